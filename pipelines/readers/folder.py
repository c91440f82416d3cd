"""Any folder of videos, however deep; labels are optional.

``labels.csv`` in the folder may give per clip (``clip`` = path relative to the folder) its subject, emotion, intensity, view,
language, sex and split. Without it, clips in one top-level subfolder count as one subject (so that they cannot end up in
different splits), a clip that lies directly in the folder as a subject of its own.
"""

from collections import Counter
from pathlib import Path

from pipelines.readers.listing import (
    VIDEO_SUFFIXES,
    Finding,
    Listing,
    Published,
    Source,
    check_labels,
    read_csv,
    suffix_of,
    walk,
)  # fmt: skip
from space_data.errors import SpaceError

LABELS = "labels.csv"
OPTIONAL = {"subject", "emotion", "intensity", "view", "language", "sex", "split"}
PUBLISHED: dict[str, Published] = {}


def list_clips(root: Path) -> Listing:
    """All videos under ``root``, by suffix; hidden files and folders are skipped, other files and linked folders counted.

    A link that points nowhere is listed if it is named like a video: ``ingest`` says what is wrong with it.

    Raises:
        SpaceError: a video's name is not UTF-8, so that no table could hold it.
    """
    tree = walk(root, follow_links=False)
    for unnameable in tree.not_utf8:
        if suffix_of(unnameable) in VIDEO_SUFFIXES:  # it would be a clip without a row
            raise SpaceError(f"{ascii(str(root / unnameable))}: the name is not UTF-8 (rename the file)")
    videos = sorted(Path(f"{root}/{name}") for name in tree.files if suffix_of(name) in VIDEO_SUFFIXES)
    others = [name for name in tree.files if suffix_of(name) not in VIDEO_SUFFIXES and name != LABELS]
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
                clip_id=f"{dataset}/{name.as_posix()}", path=str(path), dataset=dataset, subject=f"{dataset}/{subject}",
                emotion=emotion, intensity=intensity, view=label.get("view", ""), language=label.get("language", ""),
                sex=label.get("sex", ""), split=split,
            )
        )  # fmt: skip
    findings = [Finding("lost", clip, f"{LABELS} has a row for it") for clip in sorted(labels)]
    counts = Counter({"subjects": len({source.subject for source in sources}), "clips": len(sources)})
    return tree.listing(sources, others, findings, len(tree.files) - len(videos) - len(others), counts)


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
