"""Cut a clip into segments of 2-10 s: at shots, where the face is lost or another one is taken for it, at long silences.

Every frame belongs to exactly one segment, so that each dropped second has a reason: a stretch without a face, a long silence, or
pictures made from damaged data, is a segment of its own that the filter rejects. Nothing is decoded; the cuts follow from the
stored tracks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from space_data.speech import runs
from space_data.timebase import CLOCK_SLACK_S

Span = tuple[int, int]
"""First frame and one past the last."""


@dataclass(frozen=True)
class CutRules:
    """Where to cut; all times in seconds."""

    shortest_s: float
    """no cut is made for length or silence that would leave less than this"""
    longest_s: float
    lost_s: float
    """a face that is away for longer ends the segment; shorter gaps stay inside and are counted"""
    jump: float
    """a step of the face between two frames, in face widths, from which on it is another face"""
    silence_s: float
    """a pause that is longer ends the segment"""
    margin_s: float
    """of that silence, what stays with the speech on each side"""


@dataclass(frozen=True)
class Timeline:
    """What the cuts depend on, per frame; ``speech`` is None for a clip without sound."""

    starts_s: NDArray[np.float64]
    """(T + 1,) the last entry is the clip's end"""
    shot: NDArray[np.int64]
    found: NDArray[np.bool_]
    step: NDArray[np.float64]
    """(T,) distance of the face from where it last was, in face widths; NaN without a face"""
    speech: NDArray[np.bool_] | None
    damaged: NDArray[np.bool_] | None = None
    """(T,) frames made from damaged data; None: none is"""

    def seconds(self, span: Span) -> float:
        """Length of ``span``."""
        return float(self.starts_s[span[1]] - self.starts_s[span[0]])


def face_steps(boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Distance of each frame's face from where it last was, in widths of the wider of the two; boxes (T, 4), NaN = no face.

    0 for the first face, NaN where there is none.
    """
    steps = np.full(len(boxes), np.nan)
    seen = np.flatnonzero(np.isfinite(boxes[:, 0]))
    if not len(seen):
        return steps
    faces = boxes[seen].astype(np.float64)
    centres = (faces[:, :2] + faces[:, 2:]) / 2
    widths = np.maximum(faces[:, 2] - faces[:, 0], 1e-6)
    moved = np.linalg.norm(np.diff(centres, axis=0), axis=1) / np.maximum(widths[1:], widths[:-1])
    steps[seen] = np.concatenate([[0.0], moved])
    return steps


def cut(line: Timeline, rules: CutRules) -> list[Span]:
    """Segments of a clip, in order; together they cover every frame once."""
    pieces = []
    for stretch in _stretches(line, rules):
        pieces += _cut_at_silence(line, stretch, rules)
    return [part for piece in pieces for part in _cut_to_length(line, piece, rules)]


def _stretches(line: Timeline, rules: CutRules) -> list[Span]:
    """Between shots, jumps, and both ends of damage and of a long absence of the face."""
    n = len(line.shot)
    edges = {0, n, *(np.flatnonzero(np.diff(line.shot)) + 1).tolist(), *np.flatnonzero(line.step > rules.jump).tolist()}
    damaged = [] if line.damaged is None else runs(line.damaged)
    for span in runs(~line.found):
        if line.seconds(span) > rules.lost_s + CLOCK_SLACK_S:
            edges.update(span)
    for span in damaged:
        edges.update(span)
    ordered = sorted(edges)
    return list(zip(ordered[:-1], ordered[1:], strict=True))


def _cut_at_silence(line: Timeline, stretch: Span, rules: CutRules) -> list[Span]:
    """Speech with its margins, and the long silences between, as pieces of their own; a stretch without speech stays whole."""
    if line.speech is None:
        return [stretch]
    first, end = stretch
    silent = [(first + a, first + b) for a, b in runs(~line.speech[first:end])]
    if silent == [stretch]:
        return [stretch]
    removed = [hole for span in silent if (hole := _hole(line, span, stretch, rules)) is not None]
    edges = sorted({first, end, *(edge for hole in removed for edge in hole)})
    return _join_short(line, list(zip(edges[:-1], edges[1:], strict=True)), set(removed), rules)


def _hole(line: Timeline, silence: Span, stretch: Span, rules: CutRules) -> Span | None:
    """The part of a long silence that is cut out: all but the margins beside speech. None if it is too short for that."""
    if line.seconds(silence) <= rules.silence_s + CLOCK_SLACK_S:
        return None
    begin_s = line.starts_s[silence[0]] + (0.0 if silence[0] == stretch[0] else rules.margin_s)
    end_s = line.starts_s[silence[1]] - (0.0 if silence[1] == stretch[1] else rules.margin_s)
    begin, end = (int(i) for i in np.searchsorted(line.starts_s, [begin_s, end_s]))
    return (begin, end) if begin < end else None


def _join_short(line: Timeline, pieces: list[Span], holes: set[Span], rules: CutRules) -> list[Span]:
    """Speech that would be too short gets its silence back: first the shorter of the two beside it."""
    pieces = list(pieces)
    while True:
        short = [i for i, piece in enumerate(pieces) if piece not in holes and line.seconds(piece) < rules.shortest_s]
        beside = [(round(line.seconds(pieces[j]), 6), j, i) for i in short for j in (i - 1, i + 1) if 0 <= j < len(pieces)]
        if not beside:
            return pieces
        _, j, i = min(beside)
        low, high = min(i, j), max(i, j)
        pieces[low : high + 1] = [(pieces[low][0], pieces[high][1])]


def _cut_to_length(line: Timeline, piece: Span, rules: CutRules) -> list[Span]:
    """Cut a long piece into as few as possible: at the middle of the pause nearest to an even share, else at the share itself.

    A picture that stands still for longer stays whole.
    """
    parts = min(int(np.ceil(line.seconds(piece) / rules.longest_s - CLOCK_SLACK_S)), piece[1] - piece[0])
    if parts <= 1:
        return [piece]
    first, end = piece
    begin_s, length_s = line.starts_s[first], line.seconds(piece)
    share_s = length_s / parts
    # So far may a cut move that no part becomes too long or too short, also when its two cuts move apart or together.
    slack_s = max(0.0, min(rules.longest_s - share_s, share_s - rules.shortest_s)) / (1 if parts == 2 else 2)
    pauses = [] if line.speech is None else [(first + a, first + b) for a, b in runs(~line.speech[first:end])]
    middles_s = np.array([(line.starts_s[a] + line.starts_s[b]) / 2 for a, b in pauses])
    edges = [first]
    for number in range(1, parts):
        wished_s = begin_s + number * share_s
        near = middles_s[np.abs(middles_s - wished_s) <= slack_s]
        at_s = float(near[np.abs(near - wished_s).argmin()]) if len(near) else wished_s
        edges.append(int(np.clip(np.searchsorted(line.starts_s, at_s), edges[-1] + 1, end - (parts - number))))
    edges.append(end)
    return list(zip(edges[:-1], edges[1:], strict=True))
