"""Make the two shipped audio-visual scorers: ``python -m benchmarks.fit_shipped_sync CLIPS --work DIR --corpus-work DIR``.

CLIPS holds the public clips of ``sync_clips.csv`` (beside this file) under the names given there. Each row says from which
repository, commit and path a file comes (``archive.zip!member`` for one inside an archive); its SHA-256 is checked. Each scorer
is fitted on half of the speakers (``use``: ``filter`` or ``evaluation``) and on half of the default corpus' rendered heads,
whose planted truth fixes what offset 0 means; real frames count ``REAL_WEIGHT`` times. Neither knows a speaker of ``test``.

Writes ``sync_scorer.npz``, ``sync_scorer_evaluation.npz`` and ``sync_scorers.json``, the card that says who was fitted on, to
``space_data/assets/``.
"""

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.sync_shifts import Measured, measured
from pipelines.stages import sync
from space_data import avsync
from space_data.avsync import Track
from space_data.errors import SpaceError
from space_data.files import atomic_file, sha256_of
from space_data.params import Params, SyncStage, load_params

LIST = Path(__file__).with_name("sync_clips.csv")
CARD = "sync_scorers.json"
NAMES = {"filter": sync.SHIPPED, "evaluation": sync.SHIPPED_EVALUATION}
REAL_WEIGHT = 4
"""Times that a real frame counts in the covariances. Hits in 4 s windows of unseen real speakers with 0, 1, 2, 4, 8 times: 93.8,
95.8, 97.1, 97.6, 97.9 %; with real frames alone 95.3 %."""


@dataclass(frozen=True)
class Listed:
    """A row of the list."""

    file: str
    speaker: str
    use: str
    repo: str
    commit: str
    path: str
    sha256: str


def read_list(path: Path = LIST) -> list[Listed]:
    """The listed clips.

    Raises:
        SpaceError: a speaker has two uses, or a use is unknown.
    """
    with open(path, newline="") as file:
        rows = [Listed(**row) for row in csv.DictReader(file)]
    uses: dict[str, str] = {}
    for row in rows:
        if row.use not in (*NAMES, "test"):
            raise SpaceError(f"{path}: {row.file}: use {row.use!r}, need one of {', '.join((*NAMES, 'test'))}")
        if uses.setdefault(row.speaker, row.use) != row.use:
            raise SpaceError(f"{path}: speaker {row.speaker} is used for {uses[row.speaker]} and for {row.use} ({row.file})")
    return rows


def check_files(rows: Sequence[Listed], folder: Path) -> None:
    """Raise SpaceError if a listed clip is not in ``folder`` or has other content."""
    for row in rows:
        path = folder / row.file
        source = f"{row.path} of github.com/{row.repo} at {row.commit}"
        if not path.is_file():
            raise SpaceError(f"{path}: missing (get {source})")
        if (found := sha256_of(path)) != row.sha256:
            raise SpaceError(f"{path}: SHA-256 {found}, need {row.sha256} (get {source})")


def eligible(clips: Measured, settings: SyncStage) -> list[Track]:
    """Tracks good enough to fit on."""
    return [t for t in clips.tracks if sync.is_eligible(clips.measures[t.clip_id], settings)]


def fit_half(real: Sequence[Track], rendered: Sequence[Track], unseen: Sequence[Track], settings: SyncStage) -> avsync.Scorer:
    """Fit one scorer; its null level is that of ``unseen`` real speakers.

    Offsets of the rendered tracks are found around 0, those of the real ones around what the rendered scorer finds.
    """
    base = sync.align(rendered, settings, "rendered", zero=None)
    found = sync.align(real, settings, "real", zero=avsync.fit(base.pairs(), "rendered"))
    of = f"{len({t.subject for t in real})} real speakers ({sync.speech_seconds(real):.0f} s of speech)"
    heads = f"{len({t.subject for t in rendered})} rendered heads ({sync.speech_seconds(rendered):.0f} s)"
    scorer = avsync.fit(found.pairs() * REAL_WEIGHT + base.pairs(), f"{of} and {heads}")
    return replace(scorer, null=avsync.null_level(unseen, np.zeros(len(unseen), np.int64), [scorer]))


def make(clips: Measured, corpus: Measured, rows: Sequence[Listed], settings: SyncStage, folder: Path) -> dict[str, object]:
    """Fit and write both scorers and the card; the card."""
    use_of = {row.sha256: row.use for row in rows}
    rendered = eligible(corpus, settings)
    head_half = avsync.folds_of(rendered, len(NAMES))
    tracks = eligible(clips, settings)
    real_of = {use: [t for t in tracks if use_of[clips.sha256[t.clip_id]] == use] for use in NAMES}
    card: dict[str, object] = {}
    for half, (use, name) in enumerate(NAMES.items()):
        unseen = [t for other in NAMES if other != use for t in real_of[other]]
        heads = [t for t, h in zip(rendered, head_half, strict=True) if h == half]
        scorer = fit_half(real_of[use], heads, unseen, settings)
        with atomic_file(folder / name) as part:
            scorer.save(part)
        card[name] = {
            "fitted_on": scorer.fitted_on, "null": round(scorer.null, 4), "real_weight": REAL_WEIGHT,
            "rendered_subjects": sorted({t.subject for t in heads}),
            "real_clips_sha256": sorted(row.sha256 for row in rows if row.use == use),
        }  # fmt: skip
    with atomic_file(folder / CARD) as part:
        part.write_text(json.dumps(card, indent=1) + "\n")
    return card


def main() -> None:
    """Check the files, measure them and the default corpus, fit, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="receives the measures of the clips")
    parser.add_argument("--corpus", type=Path, default=Path("data/raw/synthetic"))
    parser.add_argument("--corpus-work", type=Path, required=True, help="receives the measures of the corpus")
    parser.add_argument("--out", type=Path, default=Path("space_data/assets"))
    arguments = parser.parse_args()
    params: Params = load_params(Path("params.yaml"))
    rows = read_list()
    try:
        check_files(rows, arguments.clips)
        clips = measured(arguments.clips, arguments.work, "folder", params)
        corpus = measured(arguments.corpus, arguments.corpus_work, "synthetic", params)
        print(json.dumps(make(clips, corpus, rows, params.sync, arguments.out), indent=1))
    except SpaceError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
