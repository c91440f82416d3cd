"""How often a planted shift of the sound is found: ``python -m benchmarks.sync_shifts FOLDER --work DIR``.

FOLDER holds talking clips, with the speakers in its ``labels.csv`` (reader ``folder``), or the default corpus (``--reader
synthetic``). The stages ingest, measure and segment run into DIR, once; then windows of 2, 4, 5 and 8 s with at least half
speech are scored against their own sound moved by -10 ... +10 frames. Moved means really moved: the sound that lies so much
earlier or later in the clip, not a rolled copy (a frame is four feature hops, so this equals cutting the file).

Real clips come without truth. The *reference* of a clip is the median of what the compared scorers find on all of it; a trial is
a hit if the offset found is within a frame of reference + shift. A reference that is wrong would cost all scorers hits; ``own``
counts against the scorer's own median over the clip, which no other scorer can spoil. Where the truth is known (default corpus)
it is the reference.

Intervals: 95 % of 2,000 bootstrap draws of speakers. AUC: confidence of own sound against sound of another speaker, both by the
scorer that judges these lips (negatives scored by another fold's scorer would flatter).
"""

import argparse
import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pipelines.layout import Layout
from pipelines.stages import ingest, measure, segment, sync
from space_data import avsync
from space_data.avsync import LAGS, Scorer, Track
from space_data.errors import SpaceError
from space_data.params import Params, load_params
from space_data.schema import Clip, Measure
from space_data.tables import read_table
from space_data.timebase import VIDEO_FPS, frames_in

SHIFTS = range(-10, 11)
LENGTHS_S = (2.0, 4.0, 5.0, 8.0)
LEAST_SPEECH = 0.5
DRAWS = 2000
NO_SPEECH_OF_ONE_FACE = {"silent", "no_audio", "frozen", "two_faces"}
"""Defects of the default corpus that leave no lips to compare with the sound."""

ScorerOf = Callable[[str], Scorer]
"""Which scorer judges a speaker."""


@dataclass(frozen=True)
class Measured:
    """Tracks of all segments with a face and sound, with their measures and the content hash of their clip's file."""

    tracks: list[Track]
    measures: dict[str, Measure]
    sha256: dict[str, str]


def measured(folder: Path, work: Path, reader: str, params: Params) -> Measured:
    """Run ingest, measure and segment on ``folder``; what lies measured in ``work`` is used."""
    params = params.model_copy(update={"data": params.data.model_copy(update={"reader": reader, "raw": str(folder)})})
    layout = Layout.in_folder(work)
    for stage in (ingest, measure, segment):
        stage.run(params, layout)
    measures = {m.clip_id: m for m in read_table(layout.measures, Measure)}
    tracks = [t for shard in sync.shards_of(layout) for t in sync.read_tracks(shard, measures.values())]
    sha256 = {clip.clip_id: clip.sha256 for clip in read_table(layout.clips, Clip)}
    of_segment = {m.clip_id: sha256[m.source_clip_id] for m in measures.values()}
    return Measured(sorted(tracks, key=lambda t: t.clip_id), measures, of_segment)


def unseen_shipped(clips: Measured) -> ScorerOf:
    """The shipped scorer; for speakers that it was fitted on, as the card says, the other shipped one."""
    cards = json.loads((files("space_data") / "assets" / "sync_scorers.json").read_text())
    seen = []
    for name in (sync.SHIPPED, sync.SHIPPED_EVALUATION):
        card = cards[name]
        real = {t.subject for t in clips.tracks if clips.sha256[t.clip_id] in card["real_clips_sha256"]}
        seen.append(real | set(card["rendered_subjects"]))
    first, other = sync.shipped_scorer(), sync.shipped_scorer(sync.SHIPPED_EVALUATION)
    if both := seen[0] & seen[1]:
        raise SpaceError(f"speaker {min(both)} is known to both shipped scorers")
    return lambda subject: other if subject in seen[0] else first


def planted(manifest: Path, dataset: str) -> dict[str, int]:
    """True offsets of the default corpus' clips that keep a moving face and speech."""
    with open(manifest, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["defect"] not in NO_SPEECH_OF_ONE_FACE]
    return {f"{dataset}/{row['clip']}": int(row["planted_offset_frames"] or 0) for row in rows}


def clip_of(track: Track) -> str:
    """The clip that a segment is of."""
    return track.clip_id.split("#")[0]


def clip_offsets(tracks: Sequence[Track], scorer_of: ScorerOf) -> dict[str, int]:
    """Offset of every clip: peak of the mean curve of its segments, each weighted by its length."""
    total: dict[str, NDArray[np.float64]] = {}
    for t in tracks:
        curve = scorer_of(t.subject).curve(t.lips, t.mel) * len(t)
        total[clip_of(t)] = total.get(clip_of(t), np.zeros(len(LAGS))) + curve
    return {clip: int(LAGS[curve.argmax()]) for clip, curve in total.items()}


def consensus(offsets: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Median of several scorers' offsets, per clip."""
    return {clip: int(np.median([found[clip] for found in offsets])) for clip in offsets[0]}


@dataclass(frozen=True)
class Trial:
    """One window against its own sound, moved by ``shift`` frames (+ = made later), and what was found."""

    clip: str
    subject: str
    shift: int
    found: int
    confidence: float


def trials_of(tracks: Sequence[Track], scorer_of: ScorerOf, length_s: float) -> list[Trial]:
    """All shifts of all windows of ``length_s``, half a window apart, whose sound exists and is at least half speech."""
    length, trials = frames_in(length_s), []
    for t in tracks:
        for begin in range(0, len(t) - length + 1, length // 2):
            for shift in SHIFTS:
                heard = slice(begin - shift, begin - shift + length)
                if heard.start < 0 or heard.stop > len(t) or t.speech[heard].mean() < LEAST_SPEECH:
                    continue
                score = avsync.read_curve(scorer_of(t.subject).curve(t.lips[begin : begin + length], t.mel[heard]))
                trials.append(Trial(clip_of(t), t.subject, shift, score.offset_frames, score.confidence))
    return trials


def mismatched(tracks: Sequence[Track], scorer_of: ScorerOf, length_s: float, per_window: int = 3) -> list[Trial]:
    """The same windows against windows of other speakers' sound; ``shift`` is 0."""
    length, trials, rng = frames_in(length_s), [], np.random.default_rng(0)
    sounds = [
        (t.subject, t.mel[begin : begin + length])
        for t in tracks
        for begin in range(0, len(t) - length + 1, length // 2)
        if t.speech[begin : begin + length].mean() >= LEAST_SPEECH
    ]
    for t in tracks:
        others = [i for i, (subject, _) in enumerate(sounds) if subject != t.subject]
        for begin in range(0, len(t) - length + 1, length // 2):
            if t.speech[begin : begin + length].mean() < LEAST_SPEECH:
                continue
            for other in rng.choice(others, min(per_window, len(others)), replace=False):
                score = avsync.read_curve(scorer_of(t.subject).curve(t.lips[begin : begin + length], sounds[other][1]))
                trials.append(Trial(clip_of(t), t.subject, 0, score.offset_frames, score.confidence))
    return trials


def own_reference(trials: Sequence[Trial]) -> dict[str, int]:
    """Per clip, the median of found - shift."""
    errors: dict[str, list[int]] = {}
    for trial in trials:
        errors.setdefault(trial.clip, []).append(trial.found - trial.shift)
    return {clip: int(np.median(values)) for clip, values in errors.items()}


def hits(trials: Sequence[Trial], reference: Mapping[str, int]) -> NDArray[np.bool_]:
    """Which trials found reference + shift within a frame, (n,)."""
    return np.array([abs(t.found - t.shift - reference[t.clip]) <= 1 for t in trials], bool)


def bootstrap(hit: NDArray[np.bool_], subjects: Sequence[str], rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of the share of hits when speakers are drawn anew."""
    names, index = np.unique(subjects, return_inverse=True)
    right, of = np.bincount(index, hit, len(names)), np.bincount(index, minlength=len(names))
    drawn = rng.integers(len(names), size=(DRAWS, len(names)))
    low, high = np.percentile(right[drawn].sum(axis=1) / of[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def area_under_curve(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Probability that a positive exceeds a negative; ties count half."""
    low, high = np.sort(np.asarray(negative)), np.asarray(positive)
    return float((np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")).mean() / 2 / len(low))


@dataclass(frozen=True)
class Row:
    """One scorer at one window length."""

    scorer: str
    length_s: float
    trials: int
    speakers: int
    hit: float
    low: float
    high: float
    per_speaker: float
    own: float
    auc: float


def row_of(name: str, tracks: Sequence[Track], scorer_of: ScorerOf, length_s: float, reference: Mapping[str, int]) -> Row:
    """Score one scorer at one window length.

    Raises:
        ValueError: no window is long enough and spoken.
    """
    trials = trials_of(tracks, scorer_of, length_s)
    if not trials:
        raise ValueError(f"no window of {length_s:g} s with speech")
    hit, subjects = hits(trials, reference), [t.subject for t in trials]
    low, high = bootstrap(hit, subjects, np.random.default_rng(0))
    names = sorted(set(subjects))
    each = [hit[[s == name for s in subjects]].mean() for name in names]
    in_place = [t.confidence for t in trials if t.shift == 0]
    wrong = [t.confidence for t in mismatched(tracks, scorer_of, length_s)]
    auc = area_under_curve(in_place, wrong) if in_place and wrong else float("nan")
    own = float(hits(trials, own_reference(trials)).mean())
    return Row(name, length_s, len(trials), len(names), float(hit.mean()), low, high, float(np.mean(each)), own, auc)


def compare(
    clips: Measured, scorers: Mapping[str, ScorerOf], truth: Mapping[str, int] | None
) -> tuple[list[Row], dict[str, int]]:
    """All scorers at all window lengths, and the reference: ``truth``, or where it is None the scorers' consensus."""
    reference = truth or consensus([clip_offsets(clips.tracks, scorer_of) for scorer_of in scorers.values()])
    tracks = [t for t in clips.tracks if clip_of(t) in reference]
    rows = [row_of(name, tracks, of, length, reference) for name, of in scorers.items() for length in LENGTHS_S if any(
        len(t) >= frames_in(length) for t in tracks)]  # fmt: skip
    return rows, dict(reference)


def whole_clips(tracks: Sequence[Track], scorer_of: ScorerOf, truth: Mapping[str, int], least_s: float = 4.0) -> tuple[int, int]:
    """Clips of at least ``least_s`` whose own offset is found within a frame, and all such clips."""
    length: dict[str, int] = {}
    for t in tracks:
        length[clip_of(t)] = length.get(clip_of(t), 0) + len(t)
    found = clip_offsets([t for t in tracks if clip_of(t) in truth], scorer_of)
    long = [clip for clip in found if length[clip] >= frames_in(least_s)]
    return sum(abs(found[clip] - truth[clip]) <= 1 for clip in long), len(long)


def print_rows(rows: Sequence[Row]) -> None:
    """A table for people."""
    table = Table("scorer", "window", "trials", "speakers", "hits", "95 %", "per speaker", "own", "AUC")
    for r in rows:
        table.add_row(
            r.scorer, f"{r.length_s:g} s", str(r.trials), str(r.speakers), f"{r.hit:.1%}", f"{r.low:.1%}-{r.high:.1%}",
            f"{r.per_speaker:.1%}", f"{r.own:.1%}", f"{r.auc:.3f}",
        )  # fmt: skip
    Console(width=120).print(table)


def _same(scorer: Scorer, _subject: str) -> Scorer:
    return scorer


def main() -> None:
    """Measure, compare, print, and write the rows as CSV if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="receives the measures; used again by the next run")
    parser.add_argument("--reader", choices=("folder", "synthetic"), default="folder")
    parser.add_argument("--also", type=Path, nargs="*", default=[], metavar="NPZ", help="other scorers, named by their file")
    parser.add_argument("--csv", type=Path, help="write the table here as well")
    arguments = parser.parse_args()
    params = load_params(Path("params.yaml"))
    clips = measured(arguments.folder, arguments.work, arguments.reader, params)
    fitted = [t for t in clips.tracks if sync.is_eligible(clips.measures[t.clip_id], params.sync)]
    scorers: dict[str, ScorerOf] = {"shipped (unseen speakers)": unseen_shipped(clips)}
    for path in arguments.also:
        scorers[path.stem] = partial(_same, Scorer.load(path))
    own = sync.choose_scorers(fitted, params.sync)
    if own.folds:
        scorers["own set, folds"] = own.of
    truth = planted(arguments.folder / "manifest.csv", "synthetic") if arguments.reader == "synthetic" else None
    rows, reference = compare(clips, scorers, truth)
    print_rows(rows)
    seconds = sum(len(t) for t in clips.tracks) / VIDEO_FPS
    print(f"{len(reference)} clips, {len({t.subject for t in clips.tracks})} speakers, {seconds:.0f} s; offsets: "
          f"{sorted(reference.values())}")  # fmt: skip
    if truth is not None:
        for name, scorer_of in scorers.items():
            right, of = whole_clips(clips.tracks, scorer_of, truth)
            print(f"{name}: planted offset of {right} of {of} whole clips of 4 s or more within a frame")
    if arguments.csv:
        with open(arguments.csv, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([f.name for f in fields(Row)])
            writer.writerows([[getattr(row, f.name) for f in fields(Row)] for row in rows])


if __name__ == "__main__":
    main()
