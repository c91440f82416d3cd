"""The default corpus (``space_data.synthetic.corpus``): filmed clips and planted defects, and speech with landmark tracks.

Made by ``python -m pipelines.corpus``; no download, no real person; licence of this repository. Its tables name every file.
"""

import csv
import dataclasses
import os
from collections import Counter
from pathlib import Path

from pipelines.readers.listing import Finding, Listing, Published, Source, Utterance, is_media, walk
from space_data.errors import SpaceError

DATASET = "synthetic"
MANIFEST, SPEECH = "manifest.csv", "speech_only.csv"
PUBLISHED: dict[str, Published] = {}


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise SpaceError(f"{path}: no such list (make the corpus: `python -m pipelines.corpus`)")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def list_clips(root: Path) -> Listing:
    """All filmed clips, those with planted defects among them, each under the head it shows: splits are by identity.

    A clip that its table names and that is not there is listed all the same: ``ingest`` rejects it.
    """
    rows = _rows(root / MANIFEST)
    sources = [
        Source(
            clip_id=f"{DATASET}/{row['clip']}",
            path=f"{root}/{row['clip']}.mp4",
            dataset=DATASET,
            subject=row["subject"],
            emotion=row["emotion"],
            intensity=float(row["intensity"]),
            language=row["language"],
        )
        for row in rows
    ]
    tree = walk(root)
    videos = {f"{row['clip']}.mp4" for row in rows}
    stems = {row["clip"] for row in rows}
    heard = {row["clip"] for row in _rows(root / SPEECH)} if (root / SPEECH).is_file() else set()
    others = [name for name in tree.files if name not in videos]
    ignored = [name for name in others if name not in (MANIFEST, SPEECH) and os.path.splitext(name)[0] not in stems | heard]
    findings = [Finding("misnamed", name, f"{MANIFEST} does not name it") for name in ignored if is_media(name)]
    absent = (videos | {f"{stem}.wav" for stem in heard}) - set(tree.files)
    findings += [Finding("lost", name, f"{SPEECH if name.endswith('.wav') else MANIFEST} names it") for name in sorted(absent)]
    counts = Counter(clips=len(sources), subjects=len({source.subject for source in sources}), utterances=len(heard))
    listing = tree.listing(sources, ignored, findings, len(others) - len(ignored), counts, len(videos - set(tree.files)))
    planted = frozenset(f"{row['clip']}.mp4" for row in rows if row["defect"])
    return dataclasses.replace(listing, planted=planted)


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
        for row in _rows(root / SPEECH)
    ]
