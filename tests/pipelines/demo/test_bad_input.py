"""The page survives what visitors upload and type: every kind of ``benchmarks.animate_bad_input`` that can reach it is one line,
leaves nothing, and the next visitor gets a video."""

from pathlib import Path
from typing import Any

import numpy as np
from demo_form import UNTOUCHED

from benchmarks.animate_bad_input import kinds
from pipelines.demo.form import FROM_FILE, request_of
from pipelines.demo.limits import Limits
from pipelines.demo.studio import Studio
from space_data.errors import SpaceError
from space_data.media.encode import write_wav
from space_data.media.images import write_image
from space_data.params import load_params
from space_models.animate import ASSETS

PARAMS = load_params(Path(__file__).resolve().parents[3] / "params.yaml")
FIELDS = {"--image": "image", "--audio": "audio", "--blinks": "blinks", "--from": "from_tracks", "--generator": "generator"}
LEAST_KINDS = 30


def in_the_page(options: list[str]) -> dict[str, Any] | None:
    """Options of the command as what stands in the page; None where it has no place for them."""
    form: dict[str, Any] = {}
    for option, value in zip(options[::2], options[1::2], strict=True):
        if option in FIELDS:
            form[FIELDS[option]] = value
        elif option == "--pose" and Path(value).is_file():
            form |= {"pose": FROM_FILE, "driving": value}
        elif option == "--timeline":
            form["timeline"] = Path(value).read_text()
        elif option == "--emotion":
            form["emotion"] = [[0, *f"{part}:".split(":")[:2]] for part in value.split("+")]
        else:
            return None
    return form


def test_every_kind_of_wrong_input_is_a_line_and_the_page_goes_on(tmp_path: Path, astronaut: np.ndarray) -> None:
    write_image(tmp_path / "portrait.png", astronaut)
    time_s = np.arange(16_000) / 16_000
    write_wav(tmp_path / "speech.wav", (0.3 * np.sin(2 * np.pi * 120 * time_s) * np.sin(9 * time_s)).astype(np.float32))
    sound = {"image": str(tmp_path / "portrait.png"), "audio": str(tmp_path / "speech.wav")}
    root, tried = tmp_path / "root", 0
    root.mkdir()
    studio = Studio(root, PARAMS, ASSETS, Limits(speech_s=10, upload_mb=1))
    for number, (kind, make) in enumerate(kinds(astronaut).items()):
        case = tmp_path / "cases" / str(number)
        case.mkdir(parents=True)
        (case.parent / "portrait.png").write_bytes((tmp_path / "portrait.png").read_bytes())
        (case.parent / "speech.wav").write_bytes((tmp_path / "speech.wav").read_bytes())
        form = in_the_page(make(case))
        if form is None or kind == "emotion without a number":  # in the page's table that means 1
            continue
        tried += 1
        try:
            with studio.folder("ann") as folder:
                studio.make(request_of({**UNTOUCHED, **sound, **form}, folder))
        except SpaceError as error:
            assert "\n" not in str(error), kind
        else:
            raise AssertionError(f"{kind}: made a video")
        assert not [path for path in root.rglob("*.mp4") if path.is_file()], kind
    assert tried >= LEAST_KINDS, tried
    with studio.folder("ben") as folder:
        assert studio.make(request_of({**UNTOUCHED, **sound, "size": 128}, folder)).video.is_file()
    for visitor in ("ann", "ben"):
        studio.leave(visitor)
    assert not list(root.iterdir())
