"""`space animate-batch`: a row costs itself, what is there is not made again, tables that cannot be meant are refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from pipelines import animate_batch as batch
from pipelines.animate_request import Request
from pipelines.cli import app
from pipelines.job.unit import EnvironmentFault
from pipelines.readers.csv_tables import Row
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.media.encode import write_wav
from space_data.media.images import write_image
from space_data.media.probe import probe
from space_data.params import Params, load_params
from space_data.schema import FAILED, KEPT, AnimationRow
from space_data.tables import read_table
from space_models.animate import ASSETS, animate

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")
NOT_OF_A_ROW = {"help", "models", "params", "set", "quiet", "speech_encoder", "text", "voice"}
"""Options of `space animate` that hold for a whole table, or that a table has no need of."""
TABLE = """image,audio,out,emotion,seed,size,tracks
face.png,speech.wav,one.mp4,happy:0.8,1,128,one.parquet
face.png,none.wav,two.mp4,,,,
face.png,speech.wav,three.mp4,hapy,,,
face.png,speech.wav,below/four.mp4,,2,128,
"""


@pytest.fixture
def folder(tmp_path: Path, astronaut: np.ndarray) -> Path:
    write_image(tmp_path / "face.png", astronaut)
    time_s = np.arange(8 * 640) / 16_000
    write_wav(tmp_path / "speech.wav", (0.3 * np.sin(2 * np.pi * 150 * time_s)).astype(np.float32))
    (tmp_path / "videos.csv").write_text(TABLE)
    return tmp_path


def run(folder: Path, params: Params = PARAMS) -> tuple[batch.Batch, dict[str, AnimationRow]]:
    done = batch.animate_batch(folder / "videos.csv", folder / "made", params, ASSETS)
    return done, {row.out: row for row in read_table(done.ledger, AnimationRow)}


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the videos that a stand-in for `animate` was asked for; it writes their names and seeds into them."""
    asked: list[str] = []

    def fake(**options: Any) -> None:
        asked.append(options["out"].name)
        for path in (options["out"], options["tracks"]):
            if path is not None:
                path.parent.mkdir(exist_ok=True)
                path.write_text(f"{path.name} {options['seed']}")

    monkeypatch.setattr(batch, "animate", fake)
    monkeypatch.setattr(batch, "code_version", lambda function: "code")
    return asked


def test_rows_become_what_animate_makes_of_their_options_and_bad_ones_cost_themselves(folder: Path) -> None:
    done, rows = run(folder)
    assert done.counts == {KEPT: 2, FAILED: 2} and done.from_before == 0
    assert [rows[name].reason for name in ("two.mp4", "three.mp4")] == ["error", "error"]
    assert "none.wav: no such file" in rows["two.mp4"].detail and "'hapy': not a label" in rows["three.mp4"].detail
    assert (folder / "made/one.parquet").is_file() and probe(folder / "made/one.mp4").width == 128
    alone = folder / "alone.mp4"
    animate(image=folder / "face.png", audio=folder / "speech.wav", out=alone, params=PARAMS, seed=2, size_px=128)
    assert alone.read_bytes() == (folder / "made/below/four.mp4").read_bytes(), "models that made another video before"


def edit(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        table = folder / "videos.csv"
        table.write_text(table.read_text().replace(old, new))

    return change


@pytest.mark.parametrize(
    ("change", "made_again"),
    [
        (lambda folder: None, []),
        (edit("happy:0.8,1", "happy:0.8,3"), ["one.mp4"]),
        (lambda folder: (folder / "made/one.mp4").unlink(), ["one.mp4"]),
        (lambda folder: (folder / "made/one.parquet").write_text("edited"), ["one.mp4"]),
        (lambda folder: (folder / "made/below/four.mp4").write_text("cut"), ["four.mp4"]),
        (lambda folder: shutil.copy(folder / "speech.wav", folder / "none.wav"), ["two.mp4"]),
        (lambda folder: write_wav(folder / "speech.wav", np.full(16_000, 0.1, np.float32)), ["one.mp4", "four.mp4"]),
        (edit("face.png,none.wav,two.mp4,,,,\n", ""), []),
    ],
)
def test_only_what_has_changed_is_made_again(change: Callable[[Path], None], made_again: list[str], folder: Path, fakes) -> None:
    run(folder)
    assert fakes == ["one.mp4", "four.mp4"]
    del fakes[:]
    change(folder)
    done, rows = run(folder)
    assert fakes == made_again
    assert done.from_before == 2 - len([name for name in made_again if name != "two.mp4"])
    assert sorted(rows) == sorted(row.split(",")[2] for row in (folder / "videos.csv").read_text().splitlines()[1:])


def test_settings_and_code_are_part_of_what_a_video_is_made_of(folder: Path, fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    run(folder)
    run(folder, load_params(None, ["animate.blinks_per_min=0"]))
    assert len(fakes) == 4
    monkeypatch.setattr(batch, "code_version", lambda function: "other code")
    run(folder, load_params(None, ["animate.blinks_per_min=0"]))
    assert len(fakes) == 6


def test_ctrl_c_loses_no_finished_row_and_a_defect_of_ours_is_a_row_with_its_traceback(folder: Path, monkeypatch) -> None:
    def breaks(**options: Any) -> None:
        if options["seed"] == 2:
            raise KeyboardInterrupt
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(batch, "animate", breaks)
    with pytest.raises(KeyboardInterrupt):
        run(folder)
    rows = {row.out: row for row in read_table(folder / "made/videos.ledger.parquet", AnimationRow)}
    assert sorted(rows) == ["one.mp4", "three.mp4", "two.mp4"]
    assert rows["one.mp4"].reason == "exception" and "ZeroDivisionError: ours" in rows["one.mp4"].detail


def test_a_full_disk_stops_the_run_and_is_no_fate_of_a_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**options: Any) -> None:
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise SpaceError("one.mp4: cannot be written (No space left on device)") from error

    monkeypatch.setattr(batch, "animate", full)
    with pytest.raises(EnvironmentFault, match="row 2: stopped: .*No space left"):
        run(folder)
    assert not (folder / "made/videos.ledger.parquet").exists()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["a.mp4", "b.mp4", "a.mp4"], "row 4: out 'a.mp4' is also made by row 2"),
        (["a.mp4", "x/../A.mp4"], "is also made by row 2"),
        (["../a.mp4"], "leads out of"),
        (["/tmp/a.mp4"], "leads out of"),
        (["a.mp4", "link/a.mp4"], "leads out of"),
    ],
)
def test_outputs_that_meet_or_lead_elsewhere_are_refused_before_any_is_made(rows: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made/link").symlink_to(tmp_path)
    cells = [Row(f"row {number}", {"out": name}) for number, name in enumerate(rows, 2)]
    with pytest.raises(SpaceError, match=words):
        batch.check_outputs(cells, tmp_path / "made")


def test_tables_and_folders_that_cannot_be_meant_are_refused(folder: Path) -> None:
    with pytest.raises(SpaceError, match="no models here"):
        batch.animate_batch(folder / "videos.csv", None, PARAMS, folder)
    (folder / "videos.csv").write_text("image,audio,out,emotoin\nface.png,speech.wav,a.mp4,happy\n")
    with pytest.raises(SpaceError, match="unknown column 'emotoin'"):
        run(folder)
    assert not (folder / "made").exists()


def test_a_column_for_every_option_of_animate() -> None:
    options = {max(option.opts, key=len) for option in get_command(app).commands["animate"].params}  # type: ignore[attr-defined]
    assert {name.lstrip("-").replace("-", "_") for name in options} - NOT_OF_A_ROW == Request.columns()


def test_cells_are_read_as_the_command_line_reads_its_options(tmp_path: Path) -> None:
    (tmp_path / "head.csv").write_text("")
    cells = {"image": "a.png", "audio": "/b.wav", "out": "o.mp4", "pose": "head.csv", "blinks": "15", "from": "t.parquet"}
    request = Request.of({**cells, "compare": "yes", "size": ""}, tmp_path, tmp_path / "made")
    assert request.image == tmp_path / "a.png" and request.audio == Path("/b.wav") and request.out == tmp_path / "made/o.mp4"
    assert request.pose == str(tmp_path / "head.csv") and request.blinks == "15" and request.size is None and request.compare
    assert tmp_path / "head.csv" in request.input_files and tmp_path / "t.parquet" in request.input_files
    for column, cell, words in (("seed", "-1", "seed: "), ("size", "big", "size: "), ("compare", "perhaps", "compare: ")):
        with pytest.raises(SpaceError, match=words):
            Request.of({**cells, column: cell}, tmp_path, tmp_path)


def test_inputs_are_only_read(folder: Path, fakes) -> None:
    before = {path: sha256_of(path) for path in folder.glob("*.*")}
    run(folder)
    assert {path: sha256_of(path) for path in folder.glob("*.*")} == before
