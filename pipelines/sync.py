"""Stage ``sync``: how far sound and lips are apart in every segment, by a scorer fitted on the set's own clips; no decoding.

With enough speech the scorer is fitted on the set itself in speaker-disjoint folds (no clip is judged by a scorer that has seen
its speaker), and its threshold is what mismatched sound of the same set exceeds in 5 % of cases. A smaller set uses the scorer
shipped in ``space_data/assets/sync_scorer.npz``. The table says which.

``python -m pipelines.sync --export`` makes the shipped scorers from the present set: one for this stage, one for the benchmark
(``sync_scorer_evaluation.npz``), fitted on disjoint halves of the speakers, so that no system is judged by the scorer that
chose its training clips.
"""

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.job import Layout, stage_clock, stage_main, write_ledger
from space_data import avsync, progress
from space_data.avsync import Scorer, Track
from space_data.errors import SpaceError
from space_data.files import atomic_file
from space_data.landmarks import N_LANDMARKS, PoseTrack
from space_data.params import Params, SyncStage, load_params
from space_data.schema import KEPT, FrameRow, LedgerRow, Measure, SegmentSync, SoundRow, SyncWindow
from space_data.tables import by_clip, read_arrow, read_table, vectors, write_table
from space_data.timebase import frame_start_s, frames_in

logger = logging.getLogger(__name__)

STAGE = "sync"
SHIPPED, SHIPPED_EVALUATION = "sync_scorer.npz", "sync_scorer_evaluation.npz"


def shipped_scorer(name: str = SHIPPED) -> Scorer:
    """One of the two scorers that come with the package."""
    return Scorer.load(Path(str(files("space_data") / "assets" / name)))


def is_eligible(measure: Measure, settings: SyncStage) -> bool:
    """Whether a segment is good enough to fit a scorer on; offsets do not matter, they are found on the way."""
    return (
        measure.has_audio
        and measure.length_s >= settings.fit_length_s
        and measure.lost_share == 0
        and measure.several_faces_share == 0
        and (measure.face_width_px or 0) >= settings.fit_face_width_px
        and (measure.yaw_p95_deg or 0) <= settings.fit_yaw_deg
        and measure.speech_share >= settings.least_speech
        and (measure.lip_motion or 0) >= settings.fit_lip_motion
    )


def read_tracks(layout: Layout, measures: Sequence[Measure]) -> list[Track]:
    """Tracks of the segments that have a face and sound, sorted by id; one shard of frames and of sound in memory at a time."""
    by_source: dict[str, list[Measure]] = {}
    for measure in measures:
        if measure.has_audio:
            by_source.setdefault(measure.source_clip_id, []).append(measure)
    tracks = [
        track
        for frames, sound in zip(sorted(layout.frames.glob("*.parquet")), sorted(layout.sound.glob("*.parquet")), strict=True)
        for track in _tracks_of_shard(frames, sound, by_source)
    ]
    return sorted(tracks, key=lambda track: track.clip_id)


def _tracks_of_shard(frames_file: Path, sound_file: Path, by_source: dict[str, list[Measure]]) -> Iterator[Track]:
    sound = dict(by_clip(read_arrow(sound_file, SoundRow)))
    columns = ["clip_id", "pts_s", "landmarks_px", "pose"]
    for clip_id, frames in by_clip(read_arrow(frames_file, FrameRow, columns)):
        if clip_id not in sound or clip_id not in by_source:
            continue
        pts_s = np.asarray(frames["pts_s"], np.float64)
        landmarks = vectors(frames, "landmarks_px").reshape(-1, N_LANDMARKS, 3)
        pose = PoseTrack.from_array(vectors(frames, "pose"))
        log_mel = vectors(sound[clip_id], "log_mel")
        speech = np.asarray(sound[clip_id]["speech"], bool)
        for m in by_source[clip_id]:
            span = slice(m.first_frame, m.end_frame)
            track = avsync.make_track(
                m.clip_id, m.subject, pts_s[span], landmarks[span], pose[span], log_mel, speech, m.start_s, m.end_s
            )
            if track is not None and len(track) >= avsync.SHORTEST_OVERLAP_FRAMES:
                yield track


def fit_on_set(
    tracks: Sequence[Track], settings: SyncStage, name: str, zero: Scorer | None
) -> tuple[dict[str, Scorer], Scorer]:
    """Fit in speaker-disjoint folds.

    Args:
        zero: the scorer that says what "in sync" is; None for a corpus most of whose clips are in sync by construction.

    Returns:
        scorer per speaker (the one that has not seen that speaker), and one fitted on all; both with the set's own null level.
    """
    folds = avsync.folds_of(tracks, settings.folds)
    reference = [0 if zero is None else avsync.read_curve(zero.curve(t.lips, t.mel)).offset_frames for t in tracks]
    scorers = avsync.fit_aligned(tracks, folds, name, np.array(reference))
    null = avsync.null_level(tracks, folds, scorers)
    scorers = [replace(scorer, null=null) for scorer in scorers]
    offsets = [avsync.read_curve(scorers[f].curve(t.lips, t.mel)).offset_frames for t, f in zip(tracks, folds, strict=True)]
    everything = avsync.fit([t.shifted(offset) for t, offset in zip(tracks, offsets, strict=True)], name, null)
    return {track.subject: scorers[fold] for track, fold in zip(tracks, folds, strict=True)}, everything


def speech_seconds(tracks: Sequence[Track]) -> float:
    """Seconds of speech in all tracks."""
    return frame_start_s(sum(int(track.speech.sum()) for track in tracks))


def choose_scorer(eligible: Sequence[Track], settings: SyncStage) -> tuple[Callable[[str], Scorer], Scorer]:
    """Scorer by speaker, and the one to keep: fitted on the set if it has enough speech and speakers, else the shipped one."""
    found_s, speakers = speech_seconds(eligible), len({track.subject for track in eligible})
    if found_s >= settings.fit_speech_s and speakers >= settings.folds:
        by_subject, everything = fit_on_set(eligible, settings, "own set", shipped_scorer())
        logger.info("sync: scorer fitted on %d clips of %d speakers, %.0f s of speech", len(eligible), speakers, found_s)
        return lambda subject: by_subject.get(subject, everything), everything
    shipped = replace(shipped_scorer(), fitted_on="shipped")
    logger.info(
        "sync: %.0f s of speech by %d speakers, fitting needs %g s and %d: the shipped scorer is used",
        found_s, speakers, settings.fit_speech_s, settings.folds,
    )  # fmt: skip
    return lambda subject: shipped, shipped


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
    segment = SegmentSync(
        track.clip_id, scorer.fitted_on, len(rows), agreeing, whole.offset_frames, whole.confidence,
        scorer.threshold(_frames_covered(windows, min(length, len(track)))), whole.at_zero,
    )  # fmt: skip
    return segment, rows


def _frames_covered(windows: Sequence[tuple[int, NDArray[np.float64], float]], length: int) -> int:
    """Number of frames that lie in at least one window."""
    return len({frame for first, _, _ in windows for frame in range(first, first + length)})


def run(params: Params, layout: Layout) -> None:
    """Write ``sync/segments.parquet``, ``sync/sync.parquet``, ``sync/scorer.npz`` and the stage's ledger."""
    with stage_clock(layout, STAGE) as clock:
        measures = {m.clip_id: m for m in read_table(layout.measures, Measure)}
        tracks = read_tracks(layout, list(measures.values()))
        eligible = [track for track in tracks if is_eligible(measures[track.clip_id], params.sync)]
        scorer_of, kept = choose_scorer(eligible, params.sync)
        scored = [
            score_segment(track, scorer_of(track.subject), measures[track.clip_id].start_s, params.sync)
            for track in progress.track(tracks, STAGE)
        ]
        write_table(layout.sync_segments, [segment for segment, _ in scored], SegmentSync)
        write_table(layout.sync, [row for _, rows in scored for row in rows], SyncWindow)
        with atomic_file(layout.scorer) as part:
            kept.save(part)
        done = {segment.clip_id for segment, _ in scored}
        ledger = [
            LedgerRow(i, STAGE, KEPT, "", None, None, "" if i in done else "not scored: no sound, no face, or too short")
            for i in measures
        ]
        clock.counts = write_ledger(layout, STAGE, measures, ledger)
        clock.clips = len(measures)
        clock.notes["scorer"] = kept.fitted_on


def export(params: Params, layout: Layout, folder: Path) -> None:
    """Fit the two shipped scorers on disjoint halves of the set's speakers and write them to ``folder``.

    The set must be in sync by construction, but for a minority, as the default corpus is: its median offset becomes zero.

    Raises:
        SpaceError: a half has too little speech or too few speakers.
    """
    measures = {m.clip_id: m for m in read_table(layout.measures, Measure)}
    eligible = [t for t in read_tracks(layout, list(measures.values())) if is_eligible(measures[t.clip_id], params.sync)]
    half_of = avsync.folds_of(eligible, 2)
    for half, name in enumerate((SHIPPED, SHIPPED_EVALUATION)):
        tracks = [track for track, h in zip(eligible, half_of, strict=True) if h == half]
        found_s, speakers = speech_seconds(tracks), len({track.subject for track in tracks})
        if found_s < params.sync.fit_speech_s or speakers < params.sync.folds:
            raise SpaceError(
                f"{name}: {found_s:.0f} s of speech by {speakers} speakers in this half of the set, "
                f"need {params.sync.fit_speech_s:g} s by {params.sync.folds} (make a larger corpus)"
            )
        _, scorer = fit_on_set(tracks, params.sync, f"{speakers} speakers, {found_s:.0f} s of speech", zero=None)
        with atomic_file(folder / name) as part:
            scorer.save(part)
        logger.info("%s: fitted on %s, null %.2f", name, scorer.fitted_on, scorer.null)


def main() -> None:
    """The stage, or with ``--export`` the maker of the shipped scorers."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--export", action="store_true")
    parser.add_argument("--export-data", type=Path, default=Path("data"))
    arguments, rest = parser.parse_known_args()
    if not arguments.export:
        stage_main(run, rest)
        return
    progress.setup()
    try:
        export(load_params(), Layout(data=arguments.export_data), Path(str(files("space_data") / "assets")))
    except SpaceError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
