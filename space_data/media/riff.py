"""What a WAV file says of its own size: FFmpeg believes the file, and is silent about what is cut off or hangs on behind."""

import os
from pathlib import Path

HEADER_BYTES, STREAMED = 8, (0, 2**32 - 1)
"""Before what the size counts; sizes that a recorder writes which does not know the end."""


def riff_bytes(path: os.PathLike[str] | str) -> int | None:
    """Bytes of the file's first RIFF chunk by its header (EBU Tech 3285, 2.3); None: no WAV file, or one that does not say."""
    with Path(path).open("rb") as file:
        head = file.read(12)
    size = int.from_bytes(head[4:8], "little")
    is_wave = len(head) == 12 and head[:4] == b"RIFF" and head[8:] == b"WAVE"
    return HEADER_BYTES + size + size % 2 if is_wave and size not in STREAMED else None


def joined_bytes(path: os.PathLike[str] | str) -> int:
    """Bytes of further WAV files that were joined to the end of one, which nobody will hear; 0: none are."""
    end = riff_bytes(path)
    if end is None:
        return 0
    with Path(path).open("rb") as file:
        file.seek(end)
        is_another = file.read(4) == b"RIFF"
    return Path(path).stat().st_size - end if is_another else 0
