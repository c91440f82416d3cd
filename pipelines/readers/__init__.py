"""Readers: what a corpus holds, one file per layout. A reader lists clips and their labels; it opens no video.

To add a corpus, write ``list_clips(root)`` and ``PUBLISHED`` (its totals, for ``space data check``) in a file of this folder
and name it in ``READERS``.
"""

import os
from collections.abc import Callable
from pathlib import Path

from pipelines.readers import folder, hdtf, mead, ravdess, synthetic, voxceleb2
from pipelines.readers.listing import Listing, Published, Source
from pipelines.readers.tree import is_utf8, printable
from space_data.errors import SpaceError
from space_data.files import check_length
from space_data.schema import Utterance
from space_data.store import Place

__all__ = ["READERS", "Listing", "Source", "list_sources", "list_utterances", "published"]

READERS = {
    "folder": (folder.list_clips, folder.PUBLISHED),
    "hdtf": (hdtf.list_clips, hdtf.PUBLISHED),
    "mead": (mead.list_clips, mead.PUBLISHED),
    "ravdess": (ravdess.list_clips, ravdess.PUBLISHED),
    "synthetic": (synthetic.list_clips, synthetic.PUBLISHED),
    "voxceleb2": (voxceleb2.list_clips, voxceleb2.PUBLISHED),
}
"""Per corpus (``folder``: any videos) what lists its clips, and its published totals. ``data.reader`` names one."""


def list_sources(reader: str, root: Place | Path | str) -> Listing:
    """The clips under ``root``, a folder or a prefix of a bucket, as the reader of that name understands them.

    Raises:
        SpaceError: no such reader, no such folder, or no video in it.
    """
    list_clips, _ = _reader(reader)
    if not is_utf8(os.path.abspath(root if isinstance(root, str | Path) else root.uri)):  # no library could open the files
        raise SpaceError(f"{printable(str(root))}: the path is not UTF-8 (rename the folder)")
    root = Place.of(root)
    check_length(str(root))
    if not root.is_folder():
        raise SpaceError(f"{root}: no such folder (data.raw; the default corpus is made by `python -m pipelines.stages corpus`)")
    listing = list_clips(root)
    if not listing.sources:
        ignored = ", ".join(f"{n} {suffix}" for suffix, n in sorted(listing.ignored.items())) or "nothing else either"
        raise SpaceError(f"{root}: no video in this folder ({ignored})")
    return listing


def published(reader: str) -> dict[str, Published]:
    """Published totals of the whole corpus, by what they count.

    Raises:
        SpaceError: no such reader.
    """
    return _reader(reader)[1]


def _reader(name: str) -> tuple[Callable[[Place], Listing], dict[str, Published]]:
    if name not in READERS:
        raise SpaceError(f"data.reader: {name!r}, need one of {', '.join(sorted(READERS))}")
    return READERS[name]


def list_utterances(reader: str, root: Place) -> list[Utterance]:
    """Speech with landmark tracks but no pictures; only the default corpus has any."""
    return synthetic.list_utterances(root) if reader == "synthetic" else []
