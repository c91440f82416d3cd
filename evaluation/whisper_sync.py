"""Lips against Whisper's states: the CCA of `space_data.avsync` with what an encoder of speech hears in place of mel bands.

Fitted, as the log-mel one is, on people who are not scored; on short windows it tells a person's own sound from other people's
better (`benchmarks.sync_encoders`). Nothing here imports PyTorch: states come in as numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space_data.avsync import (
    LIP_COMPONENTS,
    MEL_COMPONENTS,
    Array,
    Moments,
    SyncScore,
    cca,
    lag_curve,
    lip_context,
    read_curve,
)
from space_data.errors import SpaceError

STATE_COMPONENTS = 64
"""Of a frame's numbers; with the frames before and after three times as many go into the CCA (`benchmarks.sync_encoders`)."""
AROUND = 3


@dataclass(frozen=True)
class StateScorer:
    """Maps of lips (250, 6) and of three frames' states (3 w, 6), and the components' weights (6,)."""

    lip_map: NDArray[np.float64]
    state_map: NDArray[np.float64]
    weights: NDArray[np.float64]
    fitted_on: str

    def score(self, lips: Array, states: Array) -> SyncScore:
        """Offset, confidence and score in place of lips (T, 25, 2) against states (T, w)."""
        return read_curve(lag_curve(lip_context(lips) @ self.lip_map, context(states) @ self.state_map, self.weights))

    def save(self, path: Path) -> None:
        """Write an ``.npz``."""
        with path.open("wb") as file:
            np.savez(
                file, lip_map=self.lip_map, state_map=self.state_map, weights=self.weights, fitted_on=np.array(self.fitted_on)
            )

    @staticmethod
    def load(path: Path) -> "StateScorer":
        """What `save` wrote."""
        with np.load(path) as data:
            return StateScorer(data["lip_map"], data["state_map"], data["weights"], str(data["fitted_on"]))


def context(states: Array) -> NDArray[np.float64]:
    """Centred states (T, w) between those of the frame before and after, (T, 3 w); ends are held."""
    centred = np.asarray(states, np.float64) - states.mean(axis=0)
    padded = np.pad(centred, ((1, 1), (0, 0)), mode="edge")
    return np.concatenate([padded[i : i + len(states)] for i in range(AROUND)], axis=1)


def fit(pairs: Iterable[tuple[Array, Array]], fitted_on: str) -> StateScorer:
    """Fit to aligned pairs of lips (T, 25, 2) and states (T, w) in one pass: memory holds sums of products.

    Raises:
        SpaceError: there are no pairs.
    """
    lips, states, both, n = np.zeros(()), np.zeros(()), np.zeros(()), 0
    for shapes, clip_states in pairs:
        left, right = lip_context(shapes), context(clip_states)
        lips, states, both, n = lips + left.T @ left, states + right.T @ right, both + left.T @ right, n + len(left)
    if n == 0:
        raise SpaceError("A/V score on Whisper's states: no clips to fit on")
    width = len(states) // AROUND
    middle = states[width : 2 * width, width : 2 * width]
    reduced = np.kron(np.eye(AROUND), np.linalg.eigh(middle)[1][:, ::-1][:, :STATE_COMPONENTS])
    moments = Moments(n, lips, reduced.T @ states @ reduced, both @ reduced)
    lip_map, state_map, correlation = cca(moments, LIP_COMPONENTS, min(MEL_COMPONENTS, reduced.shape[1]))
    return StateScorer(lip_map, reduced @ state_map, correlation / correlation.sum(), fitted_on)
