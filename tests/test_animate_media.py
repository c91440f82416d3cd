"""The table of portraits with speech: what it measures is measured rightly on videos whose answer is known."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.animate_media import BEGIN, END, Rest, Row, Whole, background_change, put_on, table, wander
from benchmarks.animate_sync import Written
from space_data.closures import Closures
from space_data.errors import SpaceError
from space_data.media.output import write_titled
from space_models.portrait import load_portrait


def written(**changed: object) -> Written:
    numbers = dict.fromkeys(Written.__dataclass_fields__, 0) | {"sharpness": 0.9, "closures": Closures(2, 2, 4, 3, 10)} | changed
    return Written(**numbers)  # type: ignore[arg-type]


def test_limits_are_those_of_the_worst_file() -> None:
    still, noise = Rest(0.3, 0.1, 0.01), Rest(0.25, 0.2, 0.02)
    assert not Row("a", [written()], Whole(1.9, 1.0), still, noise).falls_short
    assert Row("a", [written(), written(lip_lag_frames=-2)], None, still, noise).falls_short == ["offset"]
    assert Row("a", [written(audio_lag_samples=1300)], None, still, noise).falls_short == ["offset"]
    assert Row("a", [written(), written(sharpness=0.79)], None, still, noise).falls_short == ["sharpness"]
    assert Row("a", [written()], Whole(2.1, 1.0), Rest(0.3, 0.21, 0), noise).falls_short == ["background", "still"]
    text = table([Row("ann", [written(), written(sharpness=0.8)], None, still, noise)], ["one", "two"])
    cells = "| ann | 2 | 0 (0) | 0.80 | 20%, 40% | - | 0.10 (0.20) | 0.30 (0.25) | 0.010 (0.020) |"
    assert cells in text and text.endswith("one, two.")


def test_background_and_movement_are_measured(astronaut: np.ndarray, tmp_path: Path) -> None:
    portrait = load_portrait(astronaut)
    still, changed = portrait.picture, portrait.picture.copy()
    changed[-40:] = np.clip(changed[-40:].astype(int) + 60, 0, 255)  # outside the square of the face
    for name, frames in (("still.mp4", [still] * 5), ("changed.mp4", [still] * 4 + [changed])):
        write_titled(tmp_path / name, frames, title="")
    before, after = (background_change(tmp_path / name, portrait) for name in ("still.mp4", "changed.mp4"))
    assert before is not None and after is not None
    assert before.worst < 3 and after.worst > before.worst + 3 and after.mean < after.worst
    moved = [np.roll(portrait.rgb, shift, axis=1) for shift in (0, 2, 0, 2, 0, 2)]
    for name, frames in (("rest.mp4", [portrait.rgb] * 6), ("moved.mp4", moved)):
        write_titled(tmp_path / name, frames, title="")
    rest = wander(tmp_path / "rest.mp4", portrait)
    assert max(rest.landmarks, rest.covered) < 0.3 and rest.picture < 0.02, "the tracker settles in the first frames"
    seen = wander(tmp_path / "moved.mp4", portrait)
    assert 0.5 < seen.landmarks < 1.5 and seen.covered > 0.5 and seen.picture == pytest.approx(1, abs=0.1)


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_on(page, "new")
    assert page.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    page.write_text("no marks\n")
    with pytest.raises(SpaceError, match="has no marks"):
        put_on(page, "new")
