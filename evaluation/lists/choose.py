"""The rule that chooses test clips: identities in turn, and within them what the choice so far has least of.

Independent of the table's order and of what other identities there are names for: ties are settled by a hash of seed and name, so
that neither the alphabet nor the first take of a corpus is favoured.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from space_data.schema import AlignedClip
from space_data.timebase import frame_start_s

LENGTH_EDGES_S = (3.0, 4.0, 5.0, 8.0)
YAW_EDGES_DEG = (10.0, 20.0, 30.0)


@dataclass(frozen=True)
class Candidate:
    """A clip that may be chosen, and the stratum it belongs to in each respect."""

    clip_id: str
    subject: str
    strata: tuple[str, ...]


def candidate(clip: AlignedClip, yaw_p95_deg: float | None) -> Candidate:
    """An aligned clip by emotion, data set, length, and how far its head turns (95th percentile; None: not measured)."""
    length = _bin(frame_start_s(clip.n_frames), LENGTH_EDGES_S)
    yaw = "?" if yaw_p95_deg is None else _bin(yaw_p95_deg, YAW_EDGES_DEG)
    return Candidate(clip.clip_id, clip.subject, (clip.emotion, clip.dataset, length, yaw))


def _bin(value: float, edges: Sequence[float]) -> str:
    return str(sum(value >= edge for edge in edges))


def choose(candidates: Sequence[Candidate], at_most: int, seed: int) -> list[str]:
    """Ids of ``at_most`` clips (all if there are fewer), sorted.

    Identities take turns, so that each has as many clips as any other as long as it has some left; of an identity's clips the one
    is taken whose strata have been taken least often.
    """
    waiting: dict[str, list[Candidate]] = defaultdict(list)
    for one in candidates:
        waiting[one.subject].append(one)
    taken: Counter[tuple[int, str]] = Counter()
    chosen: list[str] = []
    while len(chosen) < at_most and waiting:
        for subject in sorted(waiting, key=lambda name: _rank(seed, name))[: at_most - len(chosen)]:
            best = min(waiting[subject], key=lambda c: (sum(taken[k] for k in enumerate(c.strata)), _rank(seed, c.clip_id)))
            waiting[subject].remove(best)
            taken.update(enumerate(best.strata))
            chosen.append(best.clip_id)
        waiting = defaultdict(list, {subject: left for subject, left in waiting.items() if left})
    return sorted(chosen)


def _rank(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()
