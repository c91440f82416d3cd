"""CSV files for spreadsheets."""

import csv
from pathlib import Path

import pyarrow as pa
import pytest

from space_data import csv_files
from space_data.csv_files import write_csv

TEXTS = ["=cmd|'/c calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a=1", "a,b", 'say "x"', "", None]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_no_cell_is_a_formula(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.table({"clip_id": pa.array(TEXTS).cast(kind), "offset_frames": pa.array([-1.5] * len(TEXTS))})
    write_csv(tmp_path / "a.csv", table)
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["clip_id"] for row in rows] == [f"'{text}" if text in TEXTS[:6] else text or "" for text in TEXTS]
    assert {row["offset_frames"] for row in rows} == {"-1.5"}, "numbers stay numbers"


def test_rows_are_written_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = pa.array(TEXTS).dictionary_encode()
    table = pa.table({"clip_id": words, "offset_frames": pa.array([*range(len(TEXTS) - 1), None], pa.float64())})
    write_csv(tmp_path / "whole.csv", table)
    monkeypatch.setattr(csv_files, "ROWS_AT_ONCE", 3)
    write_csv(tmp_path / "blocks.csv", table)
    write_csv(tmp_path / "empty.csv", table.slice(0, 0))
    whole = (tmp_path / "whole.csv").read_bytes()
    assert (tmp_path / "blocks.csv").read_bytes() == whole
    assert (tmp_path / "empty.csv").read_bytes() == whole.splitlines(keepends=True)[0]
