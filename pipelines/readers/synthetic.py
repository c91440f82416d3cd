"""The default corpus (``space_data.synthetic.corpus``): filmed clips and planted defects, and speech with landmark tracks.

Made by ``python -m pipelines.corpus``; no download, no real person; licence of this repository.
"""

import csv
from pathlib import Path

from pipelines.readers.listing import Listing, Source, Utterance
from space_data.errors import SpaceError

DATASET = "synthetic"


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise SpaceError(f"{path}: no such list (make the corpus: `python -m pipelines.corpus`)")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def list_clips(root: Path) -> Listing:
    """All filmed clips, those with planted defects among them, each under the head it shows: splits are by identity."""
    sources = [
        Source(
            clip_id=f"{DATASET}/{row['clip']}",
            path=root / f"{row['clip']}.mp4",
            dataset=DATASET,
            subject=row["subject"],
            emotion=row["emotion"],
            intensity=float(row["intensity"]),
            language=row["language"],
        )
        for row in _rows(root / "manifest.csv")
    ]
    return Listing(sorted(sources, key=lambda source: source.clip_id))


def list_utterances(root: Path) -> list[Utterance]:
    """The speech-only part."""
    return [
        Utterance(
            clip_id=f"{DATASET}/{row['clip']}",
            audio=root / f"{row['clip']}.wav",
            track=root / f"{row['clip']}.parquet",
            dataset=DATASET,
            subject=row["subject"],
            emotion=row["emotion"],
            intensity=float(row["intensity"]),
            language=row["language"],
        )
        for row in _rows(root / "speech_only.csv")
    ]
