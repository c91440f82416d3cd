"""The default corpus, as ``pipelines.corpus`` lays it out: ``manifest.csv`` names every clip with its labels.

The reader takes labels only, never the truth tables beside the clips: those are for tests.
"""

from pathlib import Path

from pipelines.readers.listing import Listing, Source, check_labels, read_csv
from space_data.errors import SpaceError

MANIFEST = "manifest.csv"
REQUIRED = {"clip", "subject", "emotion", "intensity"}
OPTIONAL = {"view", "language", "sex", "split", "voice", "kind", "defect", "value", "seconds", "detail", "text"}


def list_clips(root: Path) -> Listing:
    """The clips of ``manifest.csv``.

    Raises:
        SpaceError: no manifest, or a clip it names is not there.
    """
    manifest = root / MANIFEST
    if not manifest.is_file():
        raise SpaceError(f"{manifest}: no such file (make the default corpus with `python -m pipelines.corpus`)")
    sources = []
    for row in read_csv(manifest, REQUIRED, OPTIONAL):
        path = root / row["clip"]
        if not path.is_file():
            raise SpaceError(f"{manifest}: clip {row['clip']!r} is not there (run `python -m pipelines.corpus` again)")
        emotion, intensity, split = check_labels(f"{manifest}: clip {row['clip']}", row["emotion"], row["intensity"], "")
        sources.append(
            Source(
                clip_id=f"synthetic/{Path(row['clip']).with_suffix('').as_posix()}", path=path, dataset="synthetic",
                subject=f"synthetic/{row['subject']}", emotion=emotion, intensity=intensity, view=row.get("view", ""),
                language=row.get("language", ""), sex=row.get("sex", ""), split=row.get("split", "") or split,
            )
        )  # fmt: skip
    return Listing(sorted(sources, key=lambda source: source.clip_id))
