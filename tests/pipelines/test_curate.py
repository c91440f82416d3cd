"""``space data curate``: bad folders are named; a folder in which nothing is worth keeping still gets its ledger and its page."""

from pathlib import Path

import numpy as np
import pytest
from tiny_clips import bad_and_good_folder, folder_params

from pipelines.curate import curate
from space_data.errors import SpaceError
from space_data.schema import LedgerRow
from space_data.tables import read_table


def test_bad_folders(tmp_path: Path) -> None:
    params = folder_params(tmp_path)
    with pytest.raises(SpaceError, match="no such folder"):
        curate(tmp_path / "none", tmp_path / "out", params)
    with pytest.raises(SpaceError, match="lies inside the input folder"):
        curate(tmp_path, tmp_path / "out", params)
    (tmp_path / "in").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(SpaceError, match="is a file .need a folder"):
        curate(tmp_path / "file", tmp_path / "out", params)
    with pytest.raises(SpaceError, match="no video in this folder"):
        curate(tmp_path / "in", tmp_path / "out", params)


def test_a_folder_with_other_files_is_not_written_into(tmp_path: Path) -> None:
    """Stages replace whole folders of ``out``: a user's own ``aligned`` must not be one of them, not even as the input."""
    mine = tmp_path / "out" / "aligned" / "mine.mp4"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"x")
    (tmp_path / "in").mkdir()
    for source, message in ((tmp_path / "in", "not of an earlier run"), (mine.parent, "lies inside .*out, whose folders")):
        with pytest.raises(SpaceError, match=message):
            curate(source, tmp_path / "out", folder_params(source))
    assert mine.read_bytes() == b"x"


def test_nothing_kept_and_nothing_lost(tmp_path: Path, astronaut: np.ndarray) -> None:
    root = bad_and_good_folder(tmp_path / "set", astronaut)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    out = tmp_path / "out"
    curate(root, out, folder_params(root))
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    assert (out / "audit" / "index.html").is_file()
    rows = read_table(out / "ledger.parquet", LedgerRow)
    final = {row.clip_id: row.reason for row in rows if row.status == "rejected" and row.stage == "ingest"}
    assert final == {"set/empty": "empty_file", "set/text": "not_media", "set/half": "unreadable"}
    reasons = {row.clip_id: set() for row in rows if row.stage == "filter"}  # type: dict[str, set[str]]
    for row in rows:
        if row.stage == "filter":
            reasons[row.clip_id].add(row.reason)
    assert set(reasons) == {"set/a/cut#0", "set/a/cut#1", "set/b/mute"}
    assert "no_audio" in reasons["set/b/mute"] and "no_speech" in reasons["set/a/cut#0"]
    assert all("too_short" in found for found in reasons.values())
