"""Any folder of videos, however deep; labels are optional.

``labels.csv`` in the folder may give per clip (``clip`` = path relative to the folder) its subject, emotion, intensity, view,
language, sex and split. Without it, clips in one top-level subfolder count as one subject (so that they cannot end up in
different splits), a clip that lies directly in the folder as a subject of its own.
"""

import logging
from collections import Counter
from pathlib import Path

from pipelines.readers.listing import VIDEO_SUFFIXES, Listing, Source, check_labels, read_csv
from space_data.errors import SpaceError

logger = logging.getLogger(__name__)

LABELS = "labels.csv"
OPTIONAL = {"subject", "emotion", "intensity", "view", "language", "sex", "split"}


def list_clips(root: Path) -> Listing:
    """All videos under ``root``, by suffix; hidden files and folders are skipped, other files and linked folders counted.

    A link that points nowhere is listed if it is named like a video: ``ingest`` says what is wrong with it.
    """
    found = sorted(path for path in root.rglob("*") if not _hidden(path.relative_to(root)))
    files = [path for path in found if not path.is_dir()]
    videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    others = [path for path in files if path.suffix.lower() not in VIDEO_SUFFIXES and path.name != LABELS]
    ignored = Counter(path.suffix.lower() or "without suffix" for path in others)
    ignored.update("linked folder" for path in found if path.is_dir() and path.is_symlink())
    labels = _labels(root)
    dataset = root.resolve().name
    stems = Counter(path.relative_to(root).with_suffix("") for path in videos)
    sources = []
    for path in videos:
        relative = path.relative_to(root)
        # a.mp4 and a.mov are two clips
        name = relative.with_suffix("") if stems[relative.with_suffix("")] == 1 else relative
        label = labels.pop(relative.as_posix(), {})
        where = f"{root / LABELS}: clip {relative.as_posix()}"
        emotion, intensity, split = check_labels(
            where, label.get("emotion", ""), label.get("intensity", ""), label.get("split", "")
        )
        subject = label.get("subject") or (relative.parts[0] if len(relative.parts) > 1 else relative.stem)
        sources.append(
            Source(
                clip_id=f"{dataset}/{name.as_posix()}", path=path, dataset=dataset, subject=f"{dataset}/{subject}",
                emotion=emotion, intensity=intensity, view=label.get("view", ""), language=label.get("language", ""),
                sex=label.get("sex", ""), split=split,
            )
        )  # fmt: skip
    if labels:
        logger.warning("%s: %d rows name no video in the folder, e.g. %s", root / LABELS, len(labels), next(iter(labels)))
    return Listing(sources, ignored)


def _hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _labels(root: Path) -> dict[str, dict[str, str]]:
    """Label rows by clip path."""
    path = root / LABELS
    if not path.is_file():
        return {}
    rows: dict[str, dict[str, str]] = {}
    for row in read_csv(path, {"clip"}, OPTIONAL):
        if row["clip"] in rows:
            raise SpaceError(f"{path}: clip {row['clip']!r} has two rows")
        rows[row["clip"]] = row
    return rows
