"""Log-mel of sound as it comes equals that of the whole, whatever the pieces."""

import numpy as np
import pytest

from space_data.live_log_mel import LiveLogMel
from space_data.speech import log_mel


@pytest.mark.parametrize("piece", [160, 637, 1000, 6400, 100_000])
def test_pieces_of_any_size_give_the_features_of_the_whole(piece: int, rng: np.random.Generator) -> None:
    audio = rng.normal(0, 0.1, 640 * 12 + 300).astype(np.float32)  # a noise above the floor everywhere
    live = LiveLogMel()
    state, given = live.start(), []
    for begin in range(0, len(audio), piece):
        state, frames = live.step(state, audio[begin : begin + piece], ends=begin + piece >= len(audio))
        given.append(frames)
    found = np.concatenate(given)
    assert found.shape == (12, 4, 40)
    assert found.reshape(-1, 40) == pytest.approx(log_mel(audio)[:48], abs=1e-4)


def test_a_frame_comes_ten_milliseconds_after_its_sound(rng: np.random.Generator) -> None:
    live, audio = LiveLogMel(), rng.normal(0, 0.1, 2000).astype(np.float32)
    state, first = live.step(live.start(), audio[:799])
    assert len(first) == 0
    assert len(live.step(state, audio[799:800])[1]) == 1
