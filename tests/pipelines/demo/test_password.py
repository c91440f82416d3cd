"""The page's password: where it may stand, that it is not shown, and that nothing is served without it."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from pipelines.demo.limits import Limits
from pipelines.demo.password import WRONG_S, doorkeeper, read_password
from pipelines.demo.serve import served
from space_data.errors import SpaceError
from space_data.params import load_params
from space_models.animate import ASSETS

PARAMS = load_params(Path(__file__).resolve().parents[3] / "params.yaml")
SECRET = "correct horse, staple"


def test_it_is_read_from_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\nnot this\n")
    monkeypatch.setenv("OF_THE_PAGE", SECRET)
    assert read_password(str(tmp_path / "secret")) == read_password("env:OF_THE_PAGE") == SECRET


def test_what_cannot_be_one_is_refused_and_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "short").write_text("abc\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for source, needs in (
        ("swordfish-99", "need one whose first line"), ("env:NO_SUCH_VARIABLE", "no variable NO_SUCH_VARIABLE"),
        (str(tmp_path / "empty"), "0 characters, need 8"), (str(tmp_path / "short"), "3 characters, need 8"),
        (str(tmp_path / "binary"), "no such text file"), (str(tmp_path), "no such text file"),
    ):  # fmt: skip
        with pytest.raises(SpaceError, match=needs) as refused:
            read_password(source)
        assert "swordfish" not in str(refused.value) and "abc" not in str(refused.value)


def test_a_wrong_one_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    waited_s: list[float] = []
    monkeypatch.setattr(time, "sleep", waited_s.append)
    may_enter = doorkeeper(SECRET)
    assert may_enter("anybody", SECRET) and not waited_s
    assert not may_enter("anybody", "nö") and waited_s == [WRONG_S]


def test_without_it_nothing_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio", reason="Gradio is not installed (the extra 'demo')")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with served(PARAMS, ASSETS, Limits(speech_s=10, upload_mb=1), password=SECRET) as url:
        visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

        def ask(path: str, form: dict[str, str] | None = None) -> tuple[int, bytes]:
            data = None if form is None else urllib.parse.urlencode(form).encode()
            try:
                with visitor.open(url.rstrip("/") + path, data, timeout=20) as reply:
                    return reply.status, reply.read()
            except urllib.error.HTTPError as error:
                return error.code, b""

        secret_file = next(tmp_path.glob("space-demo-*")) / "visit" / "video.mp4"
        secret_file.parent.mkdir()
        secret_file.write_bytes(b"a video")
        closed = ["/config", f"/gradio_api/file={secret_file}", "/gradio_api/info"]
        assert [ask(path)[0] for path in closed] == [401] * 3
        assert ask("/gradio_api/upload", {"files": "x"})[0] == 401
        assert ask("/login", {"username": "a", "password": "wrong"})[0] == 400 and ask("/config")[0] == 401
        assert ask("/login", {"username": "a", "password": SECRET})[0] == 200
        status, config = ask("/config")
        assert status == 200 and "components" in json.loads(config) and SECRET.encode() not in config
