"""Columns that lie in a file are the columns that were put there."""

import numpy as np
import pytest

from pipelines.audit.spill import HELD, SpilledColumns


def test_blocks_come_back_as_one_column_in_the_order_asked_for(rng: np.random.Generator) -> None:
    names, lengths = [f"column {number}" for number in range(HELD + 3)], (5, 1, 0, 7)
    blocks = [{name: rng.normal(size=length) for name in names} for length in lengths]
    blocks[0][names[0]][2] = np.nan
    order = rng.permutation(sum(lengths))
    columns = SpilledColumns()
    for block in blocks:
        columns.add(block)
    columns.sort(order)
    for name in (*names, *reversed(names)):  # more than are held, so that some are read again
        np.testing.assert_array_equal(columns[name], np.concatenate([block[name] for block in blocks])[order])
    assert list(columns) == names and len(columns) == len(names)


def test_a_column_cannot_be_changed_and_an_unknown_one_is_an_error() -> None:
    columns = SpilledColumns()
    columns.add({"yaw": np.arange(3.0)})
    with pytest.raises(ValueError, match="read-only"):
        columns["yaw"][0] = 1.0
    with pytest.raises(KeyError):
        columns["pitch"]
    assert "pitch" not in columns
