"""MP4 files that were joined with `cat`: FFmpeg, as players do, plays the first and is silent about the others."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

HEADER_BYTES, LONG_HEADER_BYTES = 8, 16


def joined_s(path: os.PathLike[str] | str) -> float:
    """Seconds, by their headers, of further MP4 recordings behind the first in a file (ISO/IEC 14496-12, 4.2); 0: there are none.

    Fragmented ones do not count: their pieces are played wherever they lie.
    """
    with Path(path).open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        kinds: list[bytes] = []
        lengths_s: list[float] = []
        for kind, begin, end in _boxes(file, size_bytes):
            if not kinds and kind != b"ftyp":
                return 0.0
            if kind == b"moov":
                lengths_s.append(_movie_s(file, begin, end))
            kinds.append(kind)
    is_joined = kinds.count(b"ftyp") > 1 and b"moof" not in kinds
    return sum(lengths_s[1:]) if is_joined else 0.0


def _boxes(file: BinaryIO, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of the content of the boxes from here to ``end``; ends at the first that is none."""
    at = file.tell()
    while at + HEADER_BYTES <= end:
        file.seek(at)
        header = file.read(LONG_HEADER_BYTES)
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        begin = at + HEADER_BYTES
        if size == 1:  # a 64-bit size follows
            size, begin = int.from_bytes(header[8:16], "big"), at + LONG_HEADER_BYTES
        elif size == 0:  # to the end
            size = end - at
        if size < begin - at:
            return
        yield kind, begin, min(at + size, end)
        at += size


def _movie_s(file: BinaryIO, begin: int, end: int) -> float:
    """Length of the movie by the ``mvhd`` in its ``moov``; 0: it says none."""
    file.seek(begin)
    for kind, start, _ in _boxes(file, end):
        if kind == b"mvhd":
            file.seek(start)
            content = file.read(32)
            wide = 8 if content[:1] == b"\1" else 4  # of the times of version 1 and 0
            scale_at = 4 + 2 * wide
            scale = int.from_bytes(content[scale_at : scale_at + 4], "big")
            length = int.from_bytes(content[scale_at + 4 : scale_at + 4 + wide], "big")
            return length / scale if scale else 0.0
    return 0.0
