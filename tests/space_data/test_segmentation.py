"""Cuts of made-up clips whose right segments are known by hand: 25 frames per second, frame 25 begins at 1 s."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space_data.segmentation import CutRules, Timeline, cut, face_steps

RULES = CutRules(shortest_s=2, longest_s=10, lost_s=0.2, jump=0.5, silence_s=1.5, margin_s=0.2)


def timeline(seconds: float, silent_s: list[tuple[float, float]] | None = None) -> Timeline:
    """A clip of one shot with a face in every frame, and speech but for ``silent_s`` (None: no sound)."""
    n = round(seconds * 25)
    speech = None
    if silent_s is not None:
        speech = np.ones(n, bool)
        for begin_s, end_s in silent_s:
            speech[round(begin_s * 25) : round(end_s * 25)] = False
    return Timeline(np.arange(n + 1) / 25, np.zeros(n, np.int64), np.ones(n, bool), np.zeros(n), speech)


def seconds(spans: list[tuple[int, int]]) -> list[tuple[float, float]]:
    return [(first / 25, end / 25) for first, end in spans]


def test_a_short_clip_stays_whole() -> None:
    assert cut(timeline(8, [(1, 2)]), RULES) == [(0, 200)]
    assert cut(timeline(8), RULES) == [(0, 200)]


def test_cut_at_shots() -> None:
    shot = np.repeat([0, 1], [60, 140])
    assert cut(replace(timeline(8), shot=shot), RULES) == [(0, 60), (60, 200)]


def test_damage_is_a_segment_of_its_own() -> None:
    damaged = np.zeros(200, bool)
    damaged[10:12] = damaged[60:90] = True
    assert cut(replace(timeline(8), damaged=damaged), RULES) == [(0, 10), (10, 12), (12, 60), (60, 90), (90, 200)]


def test_a_long_absence_of_the_face_is_a_segment_of_its_own_and_a_short_one_is_not() -> None:
    found = np.ones(200, bool)
    found[100:105] = False  # 0.2 s, not longer than allowed
    assert cut(replace(timeline(8), found=found), RULES) == [(0, 200)]
    found[100:120] = False
    assert cut(replace(timeline(8), found=found), RULES) == [(0, 100), (100, 120), (120, 200)]


def test_cut_where_the_face_jumps() -> None:
    step = np.zeros(200)
    step[75] = 0.6
    assert cut(replace(timeline(8), step=step), RULES) == [(0, 75), (75, 200)]


def test_a_long_silence_is_cut_out_with_margins() -> None:
    assert seconds(cut(timeline(9, [(3, 6)]), RULES)) == [(0, 3.2), (3.2, 5.8), (5.8, 9)]


def test_silence_at_the_ends_has_a_margin_on_one_side_only() -> None:
    assert seconds(cut(timeline(9, [(0, 2), (7, 9)]), RULES)) == [(0, 1.8), (1.8, 7.2), (7.2, 9)]


def test_short_speech_gets_its_silence_back() -> None:
    """As in RAVDESS: a second of speech between silences is not worth less than the clip."""
    assert seconds(cut(timeline(4.6, [(0, 1.8), (2.8, 4.6)]), RULES)) == [(0, 3.0), (3.0, 4.6)]


def test_a_clip_without_any_speech_stays_whole() -> None:
    assert cut(timeline(8, [(0, 8)]), RULES) == [(0, 200)]


def test_a_long_clip_is_cut_in_its_pauses() -> None:
    assert seconds(cut(timeline(18, [(8.0, 8.4)]), RULES)) == [(0, 8.2), (8.2, 18)]
    assert seconds(cut(timeline(30), RULES)) == [(0, 10), (10, 20), (20, 30)]


def test_steps_are_in_face_widths_and_skip_frames_without_a_face() -> None:
    nothing = np.full(4, np.nan)
    boxes = np.array([[0, 0, 10, 10], nothing, [3, 4, 13, 14], [3, 4, 23, 24]], np.float32)
    steps = face_steps(boxes)
    assert np.isnan(steps[1])
    np.testing.assert_allclose(steps[[0, 2, 3]], [0, 0.5, np.hypot(5, 5) / 20], rtol=1e-6)
    assert np.isnan(face_steps(np.full((3, 4), np.nan, np.float32))).all()


@given(
    lengths=st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 120)), min_size=1, max_size=12),
    seed=st.integers(0, 2**16),
)
def test_segments_cover_every_frame_once_and_none_is_too_long(lengths: list[tuple[bool, bool, int]], seed: int) -> None:
    speech = np.concatenate([np.full(n, s) for s, _, n in lengths])
    found = np.concatenate([np.full(n, f) for _, f, n in lengths])
    n = len(speech)
    shot = np.cumsum(np.random.default_rng(seed).random(n) < 0.01)
    line = Timeline(np.arange(n + 1) / 25, shot, found, np.zeros(n), speech)
    spans = cut(line, RULES)
    assert spans[0][0] == 0 and spans[-1][1] == n
    assert all(a[1] == b[0] for a, b in zip(spans, spans[1:], strict=False))
    for first, end in spans:
        assert 0 < end - first <= 10 * 25 + 1
        assert len(set(shot[first:end])) == 1
        longest_gap = max((b - a for a, b in _runs(~found[first:end])), default=0)
        assert longest_gap <= 5 or longest_gap == end - first


@given(stills=st.lists(st.tuples(st.integers(0, 60), st.floats(0, 40)), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_pictures_that_stand_for_long_leave_no_segment_empty(stills: list[tuple[int, float]], seed: int) -> None:
    lengths_s = np.concatenate([[*[0.04] * n, held_s + 0.001] for n, held_s in stills])
    n = len(lengths_s)
    speech = np.random.default_rng(seed).random(n) < 0.9
    spans = cut(Timeline(np.append(0, np.cumsum(lengths_s)), np.zeros(n, int), np.ones(n, bool), np.zeros(n), speech), RULES)
    assert spans[0][0] == 0 and spans[-1][1] == n and all(first < end for first, end in spans)
    assert all(a[1] == b[0] for a, b in zip(spans, spans[1:], strict=False))


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return list(zip(edges[::2], edges[1::2], strict=True))


def test_hand_made_steps_of_one_face() -> None:
    assert face_steps(np.array([[0, 0, 10, 10]], np.float32))[0] == pytest.approx(0)
