"""One offset per recording: planted shifts, short segments that cannot tell alone, sound that belongs to somebody else."""

import numpy as np
import pytest

from pipelines.stages.sync import shipped_scorer
from space_data.avsync import LIP_POINTS, MEL_CONTEXT_FRAMES, Array, Scorer, Track
from space_data.recording_sync import pool, reaching_curve, read_pool

REACH, WINDOW, HOP = 38, 125, 62


def scorer() -> Scorer:
    """One component: the height of a lip point against the loudness of a band."""
    lips, mel = np.zeros((250, 6)), np.zeros((440, 6))
    lips[2 * 50 + 1], mel[MEL_CONTEXT_FRAMES * 40] = 1, 1  # the frame itself, of its neighbours
    return Scorer(lips, mel, np.array([1.0, 0, 0, 0, 0, 0]), 0.65, "by hand")


def recording(rng: np.random.Generator, seconds: float, offset: int, noise: float) -> tuple[Array, Array]:
    """Lips (T, 25, 2) and mel (T, 40) whose one signal is the same, the sound ``offset`` frames late, in noise."""
    n = round(25 * seconds)
    signal = np.convolve(rng.normal(size=n + 200), np.ones(3), "same")
    lips, mel = np.zeros((n, len(LIP_POINTS), 2), np.float32), np.zeros((n, 40), np.float32)
    lips[:, 0, 1] = signal[100 : 100 + n] + noise * rng.normal(size=n)
    mel[:, 0] = signal[100 - offset : 100 - offset + n]
    return lips, mel


def segments(lips: Array, mel: Array, spans: list[tuple[int, int]]) -> list[Track]:
    padded = np.concatenate([np.full((REACH, 40), np.nan), mel, np.full((REACH, 40), np.nan)]).astype(np.float32)
    return [
        Track(f"c#{i}", "s", lips[a:b], mel[a:b], np.ones(b - a, bool), padded[a : b + 2 * REACH])
        for i, (a, b) in enumerate(spans)
    ]


def read(tracks: list[Track]) -> tuple[float, bool]:
    found = read_pool(pool(tracks, scorer(), WINDOW, HOP, 0.5), scorer())
    return found.offset_frames, found.confidence >= found.threshold


@pytest.mark.parametrize("offset", [-25, -12, -4, 0, 1, 7, 12, 25, 33])
def test_a_planted_offset_is_found_as_far_as_the_search_reaches(rng: np.random.Generator, offset: int) -> None:
    tracks = segments(*recording(rng, 12, offset, 0.5), [(0, 150), (150, 300)])
    found, sure = read(tracks)
    assert found == pytest.approx(offset, abs=0.6) and sure


def test_segments_that_cannot_tell_alone_can_together(rng: np.random.Generator) -> None:
    spans = [(50 * i, 50 * i + 50) for i in range(8)]
    alone = together = 0
    for _ in range(10):
        tracks = segments(*recording(rng, 16, 25, 4.5), spans)
        alone += sum(read([track])[1] for track in tracks)
        found, sure = read(tracks)
        together += sure and abs(found - 25) <= 1
    assert together >= 8 and alone <= 40, (alone, together)


def test_a_short_segment_uses_the_sound_around_it(rng: np.random.Generator) -> None:
    lips, mel = recording(rng, 6, 30, 0.2)
    (middle,) = segments(lips, mel, [(60, 100)])
    curve, compared = reaching_curve(middle.lips, middle.around, scorer())
    assert len(curve) == 2 * REACH + 1 and curve.argmax() - REACH == 30 and (compared == 40).all()
    (first,) = segments(lips, mel, [(0, 40)])
    _, compared = reaching_curve(first.lips, first.around, scorer())
    assert compared[REACH] == 40 and compared[REACH - 20] == 20 and compared[0] == 0, "there is no sound before the clip"


def test_no_sound_says_nothing(rng: np.random.Generator) -> None:
    lips, mel = recording(rng, 4, 0, 0.1)
    (track,) = segments(lips, np.full_like(mel, np.nan), [(0, 100)])
    found = read_pool(pool([track], scorer(), WINDOW, HOP, 0.5), scorer())
    assert found.confidence == 0 and found.confidence < found.threshold


def test_windows_that_overlap_count_once(rng: np.random.Generator) -> None:
    (track,) = segments(*recording(rng, 10, 0, 0.5), [(0, 250)])
    found = pool([track], shipped_scorer(), WINDOW, HOP, 0.5)
    assert found.covered == 249 and found.weight[REACH] == pytest.approx(249)
