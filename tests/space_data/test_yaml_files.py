"""Files of settings that people write by hand: whatever is in them, one line says what is wrong."""

from pathlib import Path

import pytest

from space_data.errors import SpaceError
from space_data.params import load_params, with_changes
from space_data.yaml_files import read_yaml


@pytest.mark.parametrize(
    ("content", "wanted"),
    [(b"", None), (b"# nothing\n", None), (b'{"a": [1, 2]}', {"a": [1, 2]}), ("a: é".encode(), {"a": "é"})],
)
def test_what_it_says(tmp_path: Path, content: bytes, wanted: object) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    assert read_yaml(tmp_path / "a.yaml", "a card") == wanted


@pytest.mark.parametrize(
    "content",
    [b"a: [", b"\xff\xfe", b"a: 2026-13-01", b"[" * 20_000, b"a: !!python/object/apply:os.getcwd []", b"a: &a [*b]", b"\x00"],
    ids=["open", "no UTF-8", "no date", "deep", "code", "unknown alias", "NUL"],
)
def test_what_is_no_yaml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(SpaceError, match="not YAML") as told:
        read_yaml(path, "a card")
    assert str(told.value).startswith(str(path)) and "\n" not in str(told.value) and len(str(told.value)) < len(str(path)) + 300


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=f"{tmp_path}/none.yaml: no such file, need a card"):
        read_yaml(tmp_path / "none.yaml", "a card")
    with pytest.raises(SpaceError, match=r"cannot be read \(Is a directory\), need a card"):
        read_yaml(tmp_path, "a card")


def test_a_setting_that_is_no_yaml() -> None:
    with pytest.raises(SpaceError, match="--set job.workers=2026-13-01: not YAML"):
        with_changes(load_params(), ["job.workers=2026-13-01"])
