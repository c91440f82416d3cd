"""What stands behind the page: a video with its landmarks and tracks, limits, and no file left when visitors have gone."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.animate_request import Request
from pipelines.demo import serve, studio
from pipelines.demo.limits import Limits
from pipelines.demo.studio import MOST_TEXT, Studio
from space_data.errors import SpaceError
from space_data.media.encode import write_wav
from space_data.media.images import write_image
from space_data.media.probe import probe
from space_data.params import load_params
from space_models.animate import ASSETS
from space_models.tracks import Tracks

ROOT = Path(__file__).resolve().parents[3]
PARAMS = load_params(ROOT / "params.yaml")


@pytest.fixture
def desk(tmp_path: Path) -> Studio:
    (tmp_path / "root").mkdir()
    return Studio(tmp_path / "root", PARAMS, ASSETS, Limits(speech_s=2, upload_mb=1))


def upload(desk: Studio, content: bytes, name: str = "a.bin") -> Path:
    """As Gradio leaves it."""
    path = desk.root / f"{hash(content) & 0xFFFF:x}" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_video_its_landmarks_and_its_tracks_are_made(desk: Studio, tmp_path: Path, astronaut: np.ndarray) -> None:
    write_image(tmp_path / "face.png", astronaut)
    write_wav(tmp_path / "speech.wav", (0.3 * np.sin(np.arange(10 * 640) / 17)).astype(np.float32))
    told: list[tuple[int, int]] = []
    with desk.folder("ann") as folder:
        out = folder / "video.mp4"
        request = Request(image=tmp_path / "face.png", audio=tmp_path / "speech.wav", out=out, size=128)
        made = desk.make(request, lambda done, of: told.append((done, of)))
    assert (probe(made.video).width, probe(made.landmarks).width, len(Tracks.read(made.tracks))) == (128, 512, 10)
    assert probe(made.landmarks).header_frames == probe(made.video).header_frames == 10
    assert told == [(done, 10) for done in range(1, 11)]
    assert made.lines[0].startswith("10 frames") and "face 93 px wide" in made.lines[1]
    desk.leave("ann")
    assert not list(desk.root.iterdir())


def test_the_bar_says_how_long_it_will_take_a_few_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(studio.time, "monotonic", lambda: now_s)
    shown: list[tuple[tuple[int, int], str]] = []
    rendering = studio.shown_by(lambda at, desc, unit: shown.append((at, desc)))
    for done in range(1, 101):
        now_s += 0.05
        rendering(done, 100)
    assert shown[0] == ((1, 100), "about 5 s to go") and shown[-1] == ((100, 100), "about 0 s to go")
    assert 20 < len(shown) < 30
    assert all(told == f"about {0.05 * (100 - done):.0f} s to go" for (done, _), told in shown)


def test_long_speech_and_long_text_are_refused_before_the_work(desk: Studio, tmp_path: Path) -> None:
    write_wav(tmp_path / "long.wav", np.full(16_000 * 3, 0.1, np.float32))
    with pytest.raises(SpaceError, match="long.wav: longer than 2 s"):
        desk.make(Request(image=tmp_path / "none.png", audio=tmp_path / "long.wav", out=tmp_path / "o.mp4"))
    with pytest.raises(SpaceError, match=f"{MOST_TEXT + 1} characters"):
        desk.say("ann", "a" * (MOST_TEXT + 1), "en-us")


def test_the_example_is_a_portrait_and_a_sentence(desk: Studio) -> None:
    image, audio = desk.example("ann")
    assert image.is_file() and probe(audio).audio_hz == 16_000
    assert desk.say("ann", "hello", "de").is_file()


def test_what_visitors_share_stays_until_the_last_has_gone(desk: Studio, tmp_path: Path) -> None:
    own, shared, foreign = upload(desk, b"own"), upload(desk, b"shared"), tmp_path / "foreign"
    foreign.write_text("of nobody here")
    for visitor, path in (("ann", own), ("ann", shared), ("bob", shared), ("bob", foreign)):
        desk.remember(visitor, path)
    desk.leave("ann")
    assert not own.exists() and shared.exists()
    desk.leave("bob")
    desk.leave("nobody")
    assert foreign.exists() and not list(desk.root.iterdir())


def test_who_leaves_in_the_middle_leaves_nothing_either(desk: Studio) -> None:
    path = upload(desk, b"speech")
    desk.remember("ann", path)
    with desk.folder("ann") as folder:
        desk.leave("ann")
        assert folder.is_dir() and path.exists()
        (folder / "video.mp4").touch()
    assert not list(desk.root.iterdir())
    with pytest.raises(ZeroDivisionError), desk.folder("bob") as folder:
        desk.leave("bob")
        raise ZeroDivisionError
    assert not list(desk.root.iterdir())


def test_visitors_cannot_guess_each_others_folders(desk: Studio) -> None:
    with desk.folder("visitor-1") as first, desk.folder("visitor-2") as second:
        assert "visitor-1" not in str(first) and first.parent != second.parent and len(first.parent.name) > 20


def test_models_are_loaded_once(desk: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def fake(**options: Any) -> str:
        seen.append(options["loaded"])
        raise SpaceError("enough")

    monkeypatch.setattr(studio, "animate", fake)
    write_wav(tmp_path / "a.wav", np.full(640, 0.1, np.float32))
    for seed in (1, 2):
        with pytest.raises(SpaceError, match="enough"):
            desk.make(Request(image=tmp_path / "a.png", audio=tmp_path / "a.wav", out=tmp_path / "o.mp4", seed=seed))
    assert seen[0] is seen[1]


def test_without_gradio_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with pytest.raises(SpaceError, match="pip install gradio"), serve.served(PARAMS, ASSETS, Limits(1, 1)):
        pass


def test_only_the_page_needs_gradio() -> None:
    code = "import sys, pipelines.cli, pipelines.demo.serve; assert 'gradio' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
