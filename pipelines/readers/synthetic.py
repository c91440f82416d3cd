"""The default corpus (``space_data.synthetic.corpus``): filmed clips and planted defects, and speech with landmark tracks.

Made by ``python -m pipelines.stages corpus``; no download, no real person; licence of this repository. Its tables name every
file.
"""

import dataclasses
import os
from collections import Counter

from pipelines.readers.csv_tables import Row, check_labels, check_stem, read_csv
from pipelines.readers.listing import Finding, Listing, Published, Source, is_media
from pipelines.readers.tree import walk
from space_data.errors import SpaceError
from space_data.schema import SPLITS, Utterance
from space_data.store import Place

DATASET = "synthetic"
MANIFEST, SPEECH = "manifest.csv", "speech_only.csv"
PUBLISHED: dict[str, Published] = {}


LABELLED = {"clip", "subject", "emotion", "intensity"}
COLUMNS = LABELLED | {"language", "n_frames", "defect", "planted_offset_frames", "keep", "split"}


def _rows(path: Place, required: set[str]) -> list[Row]:
    if not path.is_file():
        raise SpaceError(f"{path}: no such list (make the corpus: `python -m pipelines.stages corpus`)")
    rows = read_csv(path, required, COLUMNS - required)
    for row in rows:
        check_stem(row)
    return rows


def list_clips(root: Place) -> Listing:
    """All filmed clips, those with planted defects among them, each under the head it shows: splits are by identity.

    A clip that its table names and that is not there is listed all the same: ``ingest`` rejects it.

    Raises:
        SpaceError: a table is not there, has an error, or leads out of the folder.
    """
    tree = walk(root)
    no_files = {finding.path for _, finding in tree.left_out}
    rows = [row for row in _rows(root / MANIFEST, LABELLED) if f"{row.get('clip')}.mp4" not in no_files]
    sources = []
    for row in rows:
        clip, (emotion, intensity, _), split = row.get("clip"), check_labels(row), row.get("split")
        if split not in ("", *SPLITS):
            raise SpaceError(f"{row.where}: split {split!r}, need one of {', '.join(SPLITS)}, or nothing")
        sources.append(
            Source(
                clip_id=f"{DATASET}/{clip}", path=f"{clip}.mp4", dataset=DATASET, subject=row.get("subject"),
                emotion=emotion, intensity=intensity, language=row.get("language"), split=split,
            )
        )  # fmt: skip
    stems = {row.get("clip") for row in rows}
    videos = {f"{stem}.mp4" for stem in stems}
    heard = {row.get("clip") for row in _rows(root / SPEECH, {"clip"})} if (root / SPEECH).is_file() else set()
    others = [name for name in tree.files if name not in videos]
    ignored = [name for name in others if name not in (MANIFEST, SPEECH) and os.path.splitext(name)[0] not in stems | heard]
    findings = [Finding("misnamed", name, f"{MANIFEST} does not name it") for name in ignored if is_media(name)]
    absent = (videos | {f"{stem}.wav" for stem in heard}) - set(tree.files)
    findings += [Finding("lost", name, f"{SPEECH if name.endswith('.wav') else MANIFEST} names it") for name in sorted(absent)]
    counts = Counter(clips=len(sources), subjects=len({source.subject for source in sources}), utterances=len(heard))
    listing = tree.listing(sources, ignored, findings, len(others) - len(ignored), counts, len(videos - set(tree.files)))
    planted = frozenset(f"{row.get('clip')}.mp4" for row in rows if row.get("defect"))
    return dataclasses.replace(listing, planted=planted)


def list_utterances(root: Place) -> list[Utterance]:
    """The speech-only part.

    Raises:
        SpaceError: its table is not there or has an error.
    """
    utterances = []
    for row in _rows(root / SPEECH, LABELLED):
        clip, (emotion, intensity, _) = row.get("clip"), check_labels(row)
        utterances.append(
            Utterance(
                clip_id=f"{DATASET}/{clip}", audio=f"{clip}.wav", track=f"{clip}.parquet", dataset=DATASET,
                subject=row.get("subject"), emotion=emotion, intensity=intensity, language=row.get("language"),
            )
        )  # fmt: skip
    return utterances
