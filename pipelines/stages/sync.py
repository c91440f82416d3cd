"""Stage ``sync``: how far sound and lips are apart in every segment, by a scorer fitted on the set's own clips; no decoding.

With enough speech the scorer is fitted on the set itself (on a part of a large one) in speaker-disjoint folds: no clip is judged
by a scorer that has seen its speaker. Its threshold is what mismatched sound of the same set exceeds in 5 % of cases. A smaller
set uses the scorer shipped in ``space_data/assets/sync_scorer.npz``. The table says which.

A segment is scored alone (lags of +-0.6 s) and, since the offset is a property of the recording, together with the other
segments of its clip, over lags of +-``search_s``. The filter goes by the recording's figure where that is sure.

Two scorers are shipped, one for this stage, one for the benchmark (``sync_scorer_evaluation.npz``), fitted on disjoint speakers,
so that no system is judged by the scorer that chose its training clips. Those in the package know real and rendered speakers
(``benchmarks/fit_shipped_sync.py``); ``python -m pipelines.stages.sync --export`` makes a pair from the present set alone.
"""

import argparse
import io
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from importlib.resources import files
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipelines.job.ledger import all_kept
from pipelines.job.run import run_stage
from pipelines.job.shards import cache_of
from pipelines.job.stage import Context, Stage
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from space_data import avsync, progress
from space_data.avsync import Array, Scorer, Track
from space_data.errors import SpaceError
from space_data.files import atomic_file
from space_data.landmarks import N_LANDMARKS, PoseTrack
from space_data.params import Params, SyncStage, load_params
from space_data.recording_sync import RecordingOffset, pool, read_pool
from space_data.schema import FrameRow, Measure, SegmentSync, SoundRow, SyncWindow
from space_data.store import Place, written
from space_data.tables import (
    from_arrow,
    read_arrow,
    read_table,
    stream_clips,
    stream_pairs,
    table_files,
    to_arrow,
    vectors,
    write_arrow,
    write_table,
)  # fmt: skip
from space_data.timebase import frame_start_s, frames_in

logger = logging.getLogger(__name__)

NAME = "sync"
SECONDS_PER_SEGMENT = 0.1
NOT_SCORED = "not scored: no sound, no face, or too short"
SHIPPED, SHIPPED_EVALUATION = "sync_scorer.npz", "sync_scorer_evaluation.npz"


def shipped_scorer(name: str = SHIPPED) -> Scorer:
    """One of the two scorers that come with the package."""
    return Scorer.load(Path(str(files("space_data") / "assets" / name)))


def are_eligible(measures: pa.Table, settings: SyncStage) -> pa.ChunkedArray:
    """Which segments are good enough to fit a scorer on; offsets do not matter, they are found on the way."""

    def column(name: str) -> pa.ChunkedArray:
        return pc.fill_null(measures.column(name), 0)

    conditions = (
        measures.column("has_audio"),
        pc.greater_equal(column("length_s"), settings.fit_length_s),
        pc.equal(column("lost_share"), 0),
        pc.equal(column("several_faces_share"), 0),
        pc.greater_equal(column("face_width_px"), settings.fit_face_width_px),
        pc.less_equal(column("yaw_p95_deg"), settings.fit_yaw_deg),
        pc.greater_equal(column("speech_share"), settings.least_speech),
        pc.greater_equal(column("lip_motion"), settings.fit_lip_motion),
    )
    return reduce(pc.and_, conditions)


def is_eligible(measure: Measure, settings: SyncStage) -> bool:
    """The same of one segment."""
    return are_eligible(to_arrow([measure], Measure), settings)[0].as_py()


@dataclass(frozen=True)
class Shard:
    """One shard of ``measure``'s frames and sound."""

    frames: str
    sound: str


def shards_of(layout: Layout) -> list[Shard]:
    """The shards, in order of their names."""
    frames, sounds = table_files(layout.frames), table_files(layout.sound)
    return [Shard(a.uri, b.uri) for a, b in zip(frames, sounds, strict=True)]


def read_tracks(shard: Shard, measures: Iterable[Measure], reach_frames: int = 0) -> Iterator[Track]:
    """Tracks of those segments that have a face and sound and lie in ``shard``, clip by clip; one row group is in memory."""
    by_source: dict[str, list[Measure]] = {}
    for measure in measures:
        if measure.has_audio:
            by_source.setdefault(measure.source_clip_id, []).append(measure)
    seen = stream_clips(shard.frames, FrameRow, ["clip_id", "pts_s", "landmarks_px", "pose"], by_source)
    heard = stream_clips(shard.sound, SoundRow, ["clip_id", "log_mel", "speech"], by_source)
    for clip_id, frames, sound in stream_pairs(seen, heard):
        if sound is None or clip_id not in by_source:
            continue
        pts_s = np.asarray(frames["pts_s"], np.float64)
        landmarks = vectors(frames, "landmarks_px").reshape(-1, N_LANDMARKS, 3)
        pose = PoseTrack.from_array(vectors(frames, "pose"))
        log_mel = vectors(sound, "log_mel")
        speech = np.asarray(sound["speech"], bool)
        for m in by_source[clip_id]:
            span = slice(m.first_frame, m.end_frame)
            track = avsync.make_track(
                m.clip_id, m.subject, pts_s[span], landmarks[span], pose[span], log_mel, speech, m.start_s, m.end_s, reach_frames
            )
            if track is not None and len(track) >= avsync.SHORTEST_OVERLAP_FRAMES:
                yield track


def to_fit_on(shards: Iterable[pa.Table], settings: SyncStage) -> list[Measure]:
    """Eligible segments, at most ``fit_at_most_s`` of them: which ones decides a hash, so a larger set changes few of them.

    Only these become objects, and only they are held: all rows of a large set would fill the memory.
    """
    chosen: list[tuple[str, Measure]] = []
    beyond = "~"  # behind every hash
    for shard in shards:
        measures = shard.filter(are_eligible(shard, settings))
        hashes = [content_hash(clip_id) for clip_id in measures.column("clip_id").to_pylist()]
        near = [row for row, found in enumerate(hashes) if found < beyond]
        chosen += zip([hashes[row] for row in near], from_arrow(measures.take(pa.array(near, pa.int64())), Measure), strict=True)
        chosen.sort(key=lambda item: item[0])
        ends_s = np.cumsum([measure.length_s for _, measure in chosen])
        enough = int(np.searchsorted(ends_s, settings.fit_at_most_s)) + 1
        if enough < len(chosen):
            del chosen[enough:]
            beyond = chosen[-1][0]
    return [measure for _, measure in chosen]


def eligible_tracks(layout: Layout, settings: SyncStage) -> list[Track]:
    """Tracks to fit a scorer on, sorted by id."""
    chosen = to_fit_on((read_arrow(shard, Measure) for shard in table_files(layout.measures)), settings)
    return sorted((t for shard in shards_of(layout) for t in read_tracks(shard, chosen)), key=lambda track: track.clip_id)


@dataclass(frozen=True)
class Scorers:
    """Which scorer judges whom: the one that has not seen the speaker; ``general`` for speakers that none was fitted on."""

    general: Scorer
    by_subject: Mapping[str, int] = field(default_factory=dict)
    folds: tuple[Scorer, ...] = ()

    def of(self, subject: str) -> Scorer:
        """The scorer for a speaker."""
        fold = self.by_subject.get(subject)
        return self.general if fold is None else self.folds[fold]

    def content(self) -> str:
        """Hash of all coefficients."""
        parts = [array.tolist() for s in (self.general, *self.folds) for array in (s.lip_map, s.mel_map, s.weights)]
        return content_hash(parts, [s.null for s in (self.general, *self.folds)], dict(self.by_subject))

    def to_bytes(self) -> bytes:
        """As an ``.npz`` file, to the last bit. No pickle: whoever can write to a shared cache could put code into one."""
        every, buffer = (self.general, *self.folds), io.BytesIO()
        np.savez(
            buffer,
            lip_maps=np.stack([s.lip_map for s in every]), mel_maps=np.stack([s.mel_map for s in every]),
            weights=np.stack([s.weights for s in every]), nulls=np.array([s.null for s in every]),
            fitted_on=np.array([s.fitted_on for s in every]), subjects=np.array(list(self.by_subject), np.str_),
            fold_of=np.array(list(self.by_subject.values()), np.int64),
        )  # fmt: skip
        return buffer.getvalue()

    @staticmethod
    def from_bytes(content: bytes) -> "Scorers":
        """From what ``to_bytes`` gave."""
        with np.load(io.BytesIO(content)) as data:
            columns = data["lip_maps"], data["mel_maps"], data["weights"], data["nulls"].tolist(), data["fitted_on"].tolist()
            general, *folds = (Scorer(*row) for row in zip(*columns, strict=True))
            by_subject = dict(zip(data["subjects"].tolist(), data["fold_of"].tolist(), strict=True))
        return Scorers(general, by_subject, tuple(folds))


@dataclass(frozen=True)
class Fit:
    """Tracks, their folds, one scorer per fold that has not seen it, and the offsets that these find, (n,) each."""

    tracks: Sequence[Track]
    folds: NDArray[np.int64]
    scorers: Sequence[Scorer]
    offsets: Sequence[int]

    def pairs(self) -> list[tuple[Array, Array]]:
        """Lips and mel of every track with its offset taken out."""
        return [track.shifted(offset) for track, offset in zip(self.tracks, self.offsets, strict=True)]


def align(tracks: Sequence[Track], settings: SyncStage, name: str, zero: Scorer | None) -> Fit:
    """Fit in speaker-disjoint folds and find every track's offset.

    Args:
        zero: the scorer that says what "in sync" is; None for a corpus most of whose clips are in sync by construction.
    """
    folds = avsync.folds_of(tracks, settings.folds)
    reference = [0 if zero is None else avsync.read_curve(zero.curve(t.lips, t.mel)).offset_frames for t in tracks]
    scorers = avsync.fit_aligned(tracks, folds, name, np.array(reference))
    offsets = [avsync.read_curve(scorers[f].curve(t.lips, t.mel)).offset_frames for t, f in zip(tracks, folds, strict=True)]
    return Fit(tracks, folds, scorers, offsets)


@threadpool_limits.wrap(limits=1, user_api="blas")  # sums of products round by the number of threads, and cores
def fit_on_set(tracks: Sequence[Track], settings: SyncStage, name: str, zero: Scorer | None) -> Scorers:
    """Fit in speaker-disjoint folds, and once on all; every scorer gets the set's own null level. ``zero`` as for ``align``."""
    fit = align(tracks, settings, name, zero)
    null = avsync.null_level(tracks, fit.folds, fit.scorers)
    by_subject = {track.subject: int(fold) for track, fold in zip(tracks, fit.folds, strict=True)}
    folds = tuple(replace(scorer, null=null) for scorer in fit.scorers)
    return Scorers(avsync.fit(fit.pairs(), name, null), by_subject, folds)


def speech_seconds(tracks: Sequence[Track]) -> float:
    """Seconds of speech in all tracks."""
    return frame_start_s(sum(int(track.speech.sum()) for track in tracks))


def choose_scorers(eligible: Sequence[Track], settings: SyncStage) -> Scorers:
    """Fitted on the set itself if it has enough speech and speakers, else the shipped one."""
    found_s, speakers = speech_seconds(eligible), len({track.subject for track in eligible})
    if found_s >= settings.fit_speech_s and speakers >= settings.folds:
        scorers = fit_on_set(eligible, settings, "own set", shipped_scorer())
        logger.info("sync: scorer fitted on %d clips of %d speakers, %.0f s of speech", len(eligible), speakers, found_s)
        return scorers
    logger.info(
        "sync: %.0f s of speech by %d speakers, fitting needs %g s and %d: the shipped scorer is used",
        found_s, speakers, settings.fit_speech_s, settings.folds,
    )  # fmt: skip
    return Scorers(replace(shipped_scorer(), fitted_on="shipped"))


def score_segment(track: Track, scorer: Scorer, start_s: float, settings: SyncStage) -> tuple[SegmentSync, list[SyncWindow]]:
    """Score one segment and each of its windows; the segment's curve is the mean of its windows'."""
    length, hop = frames_in(settings.window_s), frames_in(settings.hop_s)
    windows = avsync.window_curves(track, scorer, length, hop, settings.least_speech)
    whole = avsync.read_curve(np.mean([curve for _, curve, _ in windows], axis=0))
    rows = []
    for number, (first, curve, speech_share) in enumerate(windows):
        score = avsync.read_curve(curve)
        rows.append(
            SyncWindow(
                track.clip_id, number, start_s + frame_start_s(first), frame_start_s(min(length, len(track))), speech_share,
                score.offset_frames, score.confidence,
            )
        )  # fmt: skip
    agreeing = sum(abs(row.offset_frames - whole.offset_frames) <= 1 for row in rows)
    covered = _frames_covered(windows, min(length, len(track)))
    segment = SegmentSync(
        track.clip_id, scorer.fitted_on, len(rows), agreeing, whole.offset_frames, whole.confidence,
        scorer.threshold(covered), whole.at_zero, scorer.chance(whole.confidence, covered),
    )  # fmt: skip
    return segment, rows


def recording_of(measure: Measure) -> str:
    """What a segment's offset is a property of: its clip; where recordings were joined in one file, the segment itself."""
    return measure.clip_id if measure.restarts else measure.source_clip_id


def score_recording(tracks: Sequence[Track], scorer: Scorer, zero_frames: float, settings: SyncStage) -> RecordingOffset:
    """The offset of one recording, from its segments' tracks with the sound around them, counted from ``zero_frames``."""
    length, hop = frames_in(settings.window_s), frames_in(settings.hop_s)
    found = read_pool(pool(tracks, scorer, length, hop, settings.least_speech), scorer)
    return replace(found, offset_frames=found.offset_frames - zero_frames)


def score_clip(
    tracks: Sequence[Track], measures: Mapping[str, Measure], scorer: Scorer, settings: SyncStage
) -> Iterator[tuple[SegmentSync, list[SyncWindow]]]:
    """Score every segment of one clip, alone and together with the others of its recording."""
    together: dict[str, list[Track]] = {}
    for track in tracks:
        together.setdefault(recording_of(measures[track.clip_id]), []).append(track)
    for segments in together.values():
        zero_frames = settings.zero_frames_of.get(measures[segments[0].clip_id].dataset, settings.zero_frames)
        whole = score_recording(segments, scorer, zero_frames, settings)
        for track in segments:
            alone, windows = score_segment(track, scorer, measures[track.clip_id].start_s, settings)
            yield replace(
                alone, recording_offset_frames=whole.offset_frames, recording_confidence=whole.confidence,
                recording_threshold=whole.threshold, recording_lead=whole.lead, zero_frames=zero_frames,
            ), windows  # fmt: skip


def _frames_covered(windows: Sequence[tuple[int, NDArray[np.float64], float]], length: int) -> int:
    """Number of frames that lie in at least one window."""
    return len({frame for first, _, _ in windows for frame in range(first, first + length)})


@dataclass(frozen=True)
class ShardUnit:
    """What is scored, and by whom."""

    shard: Shard
    measures: str
    """shard of ``Measure`` rows"""
    scorers: str
    """file of ``Scorers``: they are the same for all shards, and large"""


def score_shard(unit: ShardUnit, settings: SyncStage, folder: Path) -> None:
    """Unit function: write ``segments.arrow``, ``windows.arrow`` and ``ledger.arrow`` of one shard."""
    measures = {row.clip_id: row for row in read_table(unit.measures, Measure)}
    scorers = Scorers.from_bytes(Place(unit.scorers).read())
    tracks = read_tracks(unit.shard, measures.values(), frames_in(settings.search_s))
    by_clip = (list(group) for _, group in groupby(tracks, key=lambda track: measures[track.clip_id].source_clip_id))
    scored = [row for group in by_clip for row in score_clip(group, measures, scorers.of(group[0].subject), settings)]
    write_table(folder / "segments.arrow", [segment for segment, _ in scored], SegmentSync)
    write_table(folder / "windows.arrow", [row for _, rows in scored for row in rows], SyncWindow)
    ids = pa.chunked_array([pa.array(sorted(measures), pa.string())])
    with_score = pa.array([segment.clip_id for segment, _ in scored], pa.string())
    write_arrow(folder / "ledger.arrow", all_kept(NAME, ids, pc.if_else(pc.is_in(ids, with_score), "", NOT_SCORED)))


def prepare(context: Context) -> dict[str, str]:
    """Fit the scorers, once for all shards, on some of the set."""
    layout, settings = context.layout, context.params.sync
    scorers = choose_scorers(eligible_tracks(layout, settings), settings)
    content = scorers.content()
    _scorers_file(context, content).put(scorers.to_bytes())
    with written(layout.scorer) as part:
        scorers.general.save(part)
    return {"scorers": content, "fitted_on": scorers.general.fitted_on}


def _scorers_file(context: Context, content: str) -> Place:
    return cache_of(context, NAME) / f"scorers-{content}.npz"


def items(context: Context, part: int) -> Iterator[Unit]:
    """The shard as a whole."""
    tables = [context.shard("measure", table, part) for table in ("frames", "sound")]
    measures = context.shard("segment", "segments", part)
    content = content_hash(
        context.shard_hashes("measure", ["frames", "sound"], part), context.shard_hashes("segment", ["segments"], part),
        context.extra["scorers"],
    )  # fmt: skip
    scorers = _scorers_file(context, context.extra["scorers"])
    rows = context.upstream("segment").tables["segments"][part].rows
    unit = ShardUnit(Shard(*(table.uri for table in tables)), measures.uri, scorers.uri)
    yield Unit(f"part-{part:05d}", content, unit, cost_s=1 + SECONDS_PER_SEGMENT * rows)


STAGE = Stage(
    NAME, score_shard, {"segments": SegmentSync, "windows": SyncWindow}, items, ("segment", "measure"),
    lambda params: params.sync, prepare, continues="segment", own_ledger=True,
)  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """Write the tables ``segments`` and ``windows``, ``scorer.npz`` and the stage's ledger."""
    run_stage(STAGE, params, layout)


def export(params: Params, layout: Layout, folder: Path) -> None:
    """Fit the two shipped scorers on disjoint halves of the set's speakers and write them to ``folder``.

    The set must be in sync by construction, but for a minority, as the default corpus is: its median offset becomes zero.

    Raises:
        SpaceError: a half has too little speech or too few speakers.
    """
    eligible = eligible_tracks(layout, params.sync)
    half_of = avsync.folds_of(eligible, 2)
    for half, name in enumerate((SHIPPED, SHIPPED_EVALUATION)):
        tracks = [track for track, h in zip(eligible, half_of, strict=True) if h == half]
        found_s, speakers = speech_seconds(tracks), len({track.subject for track in tracks})
        if found_s < params.sync.fit_speech_s or speakers < params.sync.folds:
            raise SpaceError(
                f"{name}: {found_s:.0f} s of speech by {speakers} speakers in this half of the set, "
                f"need {params.sync.fit_speech_s:g} s by {params.sync.folds} (make a larger corpus)"
            )
        scorer = fit_on_set(tracks, params.sync, f"{speakers} speakers, {found_s:.0f} s of speech", zero=None).general
        with atomic_file(folder / name) as part:
            scorer.save(part)
        logger.info("%s: fitted on %s, null %.2f", name, scorer.fitted_on, scorer.null)


def main() -> None:
    """The maker of the shipped scorers."""
    parser = argparse.ArgumentParser(description="Fit the two shipped scorers on the present set.")
    parser.add_argument("--export", action="store_true", required=True, help="write them into the package")
    parser.add_argument("--export-data", type=Path, default=Path("data"), help="data folder of the run to fit on")
    arguments = parser.parse_args()
    progress.setup()
    try:
        export(load_params(), Layout(data=Place.of(arguments.export_data)), Path(str(files("space_data") / "assets")))
    except SpaceError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
