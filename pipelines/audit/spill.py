"""Columns of numbers in a temporary file: of the fifty that the audit looks at, a few are in memory at a time."""

import contextlib
import ctypes
import os
import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from pipelines.deciding.rules import Values

HELD = 4
"""Columns that stay in memory once they were read: whoever looks at single entries asks for the same ones again and again."""
M_MMAP_THRESHOLD, MAPPED_BYTES = -3, 1 << 20
"""Of <malloc.h>."""


def return_freed_memory() -> None:
    """Have the C library give arrays of more than a megabyte back to the system once they are freed.

    Without that the GNU library raises its own limit whenever such an array is freed, up to 32 MB, and keeps what is below it:
    after a hundred columns of 8 MB, hundreds of MB. Other libraries have no such limit.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)


class SpilledColumns(Mapping[str, Values]):
    """Columns of float64, all of one length, by name; each is read from the file when it is asked for. Read-only.

    Rows are added block by block; from the first column that is read on, they lie in the order that was given.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="space-audit-", buffering=0)  # noqa: SIM115 (as long as the columns)
        self._blocks: dict[str, list[tuple[int, int]]] = {}
        self._order: NDArray[np.int64] | None = None
        self._held: OrderedDict[str, Values] = OrderedDict()

    def add(self, columns: Mapping[str, Values]) -> None:
        """Add a block of rows; each block has the same columns.

        Raises:
            OSError: no room on the disk.
        """
        for name, values in columns.items():
            at = self._file.seek(0, os.SEEK_END)
            np.ascontiguousarray(values, np.float64).tofile(self._file)
            self._blocks.setdefault(name, []).append((at, len(values)))

    def sort(self, order: NDArray[np.int64]) -> None:
        """Let row i be the one that was added as row ``order[i]``."""
        self._order = order
        self._held.clear()

    def __getitem__(self, name: str) -> Values:
        """The column.

        Raises:
            KeyError: there is none of that name.
        """
        if name not in self._held:
            values = np.concatenate([self._block(*block) for block in self._blocks[name]])
            values = values if self._order is None else values[self._order]
            values.flags.writeable = False
            self._held[name] = values
            if len(self._held) > HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(name)
        return self._held[name]

    def _block(self, at: int, length: int) -> Values:
        self._file.seek(at)
        return np.fromfile(self._file, np.float64, length)

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)
