"""Readers: what a corpus holds, one file per layout. A reader lists clips and their labels; it opens no video.

To add a corpus, write ``list_clips(root)`` in a file of this folder and name it in ``list_sources``.
"""

from pathlib import Path

from pipelines.readers.listing import Listing, Source, Utterance
from space_data.errors import SpaceError

__all__ = ["Listing", "Source", "Utterance", "list_sources", "list_utterances"]


def list_sources(reader: str, root: Path) -> Listing:
    """The clips under ``root`` as the reader of that name understands them.

    Raises:
        SpaceError: no such reader, no such folder, or no video in it.
    """
    from pipelines.readers import folder, synthetic

    readers = {"folder": folder.list_clips, "synthetic": synthetic.list_clips}
    if reader not in readers:
        raise SpaceError(f"data.reader: {reader!r}, need one of {', '.join(sorted(readers))}")
    if not root.is_dir():
        raise SpaceError(f"{root}: no such folder (data.raw; the default corpus is made by `python -m pipelines.corpus`)")
    listing = readers[reader](root)
    if not listing.sources:
        ignored = ", ".join(f"{n} {suffix}" for suffix, n in sorted(listing.ignored.items())) or "nothing else either"
        raise SpaceError(f"{root}: no video in this folder ({ignored})")
    return listing


def list_utterances(reader: str, root: Path) -> list[Utterance]:
    """Speech with landmark tracks but no pictures; only the default corpus has any."""
    from pipelines.readers import synthetic

    return synthetic.list_utterances(root) if reader == "synthetic" else []
