"""Reader of CTranslate2's ``model.bin`` (binary version 6; layout: ``model_spec.py`` of OpenNMT/CTranslate2), little endian.

    u32 binary version | string spec | u32 revision | u32 number of tensors
    tensor: string name | u8 rank | u32 x rank shape | u8 type | u32 bytes | data
    u32 number of aliases | (string alias, string name) ...
    string: u16 length, then so many bytes, the last of them 0

Every length is checked against what the file holds before anything is read. Only tensors of 16- and 32-bit floats are handed out:
int8 files have lost what the states of an encoder need.
"""

import math
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError

BINARY_VERSION = 6
MOST_TENSORS, MOST_RANK = 100_000, 8
TYPES: dict[int, np.dtype[Any]] = {
    0: np.dtype("<f4"), 1: np.dtype("i1"), 2: np.dtype("<i2"), 3: np.dtype("<i4"), 4: np.dtype("<f2"), 5: np.dtype("<u2"),
}  # fmt: skip
"""By number; 5 is bfloat16, which NumPy does not have."""
FLOATS = (0, 4)


def read_tensors(path: Path, spec: str, names: Collection[str]) -> dict[str, NDArray[np.floating]]:
    """The tensors ``names`` of a model of kind ``spec`` (such as ``WhisperSpec``); the others are skipped over.

    Raises:
        SpaceError: not such a file, cut off or otherwise not consistent; one is missing, or is not of 16- or 32-bit floats.
    """
    with path.open("rb") as file:
        reader = _Reader(path, file)
        version, found = reader.number("I"), reader.string()
        if version != BINARY_VERSION or found != spec:
            raise SpaceError(f"{path}: CTranslate2 binary version {version}, model {found!r}; need {BINARY_VERSION} and {spec!r}")
        reader.number("I")  # revision of the spec: names and shapes are checked instead
        tensors: dict[str, NDArray[np.floating]] = {}
        for _ in range(reader.count("tensors", MOST_TENSORS)):
            name, shape, kind, n_bytes = reader.header()
            if name not in names:
                reader.skip(n_bytes)
            elif kind not in FLOATS:
                raise SpaceError(f"{path}: {name} is of type {TYPES[kind]}, need float32 or float16 (a quantised model?)")
            else:
                tensors[name] = np.frombuffer(reader.take(n_bytes), TYPES[kind]).reshape(shape)
    missing = sorted(set(names) - tensors.keys())
    if missing:
        raise SpaceError(f"{path}: {len(missing)} tensors missing: {', '.join(missing[:3])} (a model of another architecture?)")
    return tensors


class _Reader:
    """Reads a file forwards, never beyond its end."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._left = path.stat().st_size

    def take(self, n_bytes: int) -> bytes:
        if n_bytes > self._left:
            found = f"{n_bytes:,} bytes to come, {self._left:,} there"
            raise SpaceError(f"{self._path}: ends too early: {found} (cut off, or another format?)")
        self._left -= n_bytes
        content = self._file.read(n_bytes)
        if len(content) < n_bytes:
            raise SpaceError(f"{self._path}: has become shorter while it was read")
        return content

    def skip(self, n_bytes: int) -> None:
        if n_bytes > self._left:
            self.take(n_bytes)
        self._left -= n_bytes
        self._file.seek(n_bytes, 1)

    def number(self, code: str) -> int:
        return int(struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0])

    def count(self, what: str, most: int) -> int:
        found = self.number("I")
        if found > most:
            raise SpaceError(f"{self._path}: promises {found:,} {what}, at most {most:,} are believed (another format?)")
        return found

    def string(self) -> str:
        content = self.take(self.number("H"))
        if not content.endswith(b"\0") or not content[:-1].isascii():
            raise SpaceError(f"{self._path}: {content[:20]!r} where a name should be (another format?)")
        return content[:-1].decode("ascii")

    def header(self) -> tuple[str, tuple[int, ...], int, int]:
        """Name, shape, type and bytes of the tensor that follows."""
        name, rank = self.string(), self.number("B")
        if rank > MOST_RANK:
            raise SpaceError(f"{self._path}: {name}: {rank} dimensions, at most {MOST_RANK} are believed (another format?)")
        shape = tuple(self.number("I") for _ in range(rank))
        kind, n_bytes = self.number("B"), self.number("I")
        if kind not in TYPES or n_bytes != math.prod(shape) * TYPES[kind].itemsize:
            found = f"{n_bytes:,} bytes for shape {shape} of type {kind}"
            raise SpaceError(f"{self._path}: {name}: {found} (damaged, or another format?)")
        return name, shape, kind, n_bytes
