"""``benchmarks.tracker_tremble``: what counts as tremble."""

import numpy as np
import pytest

from benchmarks.tracker_tremble import tremble


def test_independent_errors_tremble_by_their_sd_and_offsets_and_drifts_do_not(rng: np.random.Generator) -> None:
    true = rng.normal(size=(400, 78, 3))
    drift = np.array([5.0, -3.0, 1.0]) + 0.1 * np.arange(400)[:, None, None]
    assert tremble(true + drift, true, 50.0) == pytest.approx(0.0, abs=1e-6)
    assert tremble(true + drift + rng.normal(0, 0.2, true.shape), true, 50.0) == pytest.approx(4.0, rel=0.03)
