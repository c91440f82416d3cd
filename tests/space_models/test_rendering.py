"""Rendering in threads: the same frames in the same order, bounded, and ended by whatever ends it."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from space_data.landmarks import PoseTrack, estimate_pose
from space_data.params import load_params
from space_models.generators import Driving
from space_models.generators.renderers import WarpRenderer
from space_models.portrait import load_portrait
from space_models.rendering import PART_FRAMES, PARTS_AHEAD, one_thread_each, rendered

N_FRAMES = 3 * PART_FRAMES + 5


class Numbers:
    """A renderer whose frames are their own numbers."""

    size_px, device, latents_of = 1, "cpu", ""

    def __init__(self, at: Callable[[int], None] = lambda number: None) -> None:
        self._at = at

    def prepare(self, portrait: object) -> None:
        """Nothing."""

    def latents(self, state: None, driving: Driving) -> None:
        """None."""

    def drawing(self, state: None, driving: Driving) -> np.ndarray:
        return driving.normalised

    def draw(self, state: None, drawing: np.ndarray) -> Iterator[np.ndarray]:
        for row in drawing:
            self._at(int(row[0, 0]))
            yield np.full((1, 1, 3), row[0, 0], np.uint8)

    def render(self, state: None, driving: Driving) -> Iterator[np.ndarray]:
        return self.draw(state, self.drawing(state, driving))


def numbered(n_frames: int = N_FRAMES) -> Driving:
    """Tracks whose only content is the number of the frame."""
    normalised = np.broadcast_to(np.arange(n_frames, dtype=np.float32)[:, None, None], (n_frames, 78, 3))
    pose = PoseTrack.from_array(np.zeros((n_frames, 6), np.float32))
    return Driving(normalised, pose, np.zeros((n_frames, 160), np.float32), np.zeros(9, np.float32))


def threads_alive() -> list[str]:
    """Of the pool."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("render")]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("n_frames", [0, 1, PART_FRAMES, N_FRAMES])
def test_every_frame_once_and_in_order_whoever_is_slow(threads: int, n_frames: int) -> None:
    slow = Numbers(lambda number: time.sleep(0.01 if number % (2 * PART_FRAMES) == 0 else 0))
    frames = rendered(slow, None, numbered(n_frames), threads)
    assert [int(frame[0, 0, 0]) for frame in frames] == list(range(n_frames))
    assert not threads_alive()


def test_no_more_is_drawn_than_is_about_to_be_taken() -> None:
    drawn: list[int] = []
    frames = rendered(Numbers(drawn.append), None, numbered(20 * PART_FRAMES), 2)
    next(frames)
    time.sleep(0.1)
    assert len(drawn) <= (2 + PARTS_AHEAD) * PART_FRAMES
    frames.close()  # type: ignore[attr-defined]
    assert not threads_alive()


def test_an_error_in_a_thread_is_the_callers_and_ends_the_others() -> None:
    def fails(number: int) -> None:
        if number == PART_FRAMES + 3:
            raise ValueError("frame 19")

    frames = rendered(Numbers(fails), None, numbered(), 2)
    with pytest.raises(ValueError, match="frame 19"):
        list(frames)
    assert not threads_alive()


@pytest.mark.usefixtures("heard_ctrl_c")
def test_ctrl_c_ends_what_is_drawn() -> None:
    drawn: list[int] = []

    def interrupts(number: int) -> None:
        drawn.append(number)
        if number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.02)

    with pytest.raises(KeyboardInterrupt):
        list(rendered(Numbers(interrupts), None, numbered(20 * PART_FRAMES), 2))
    assert len(drawn) <= (2 + PARTS_AHEAD) * PART_FRAMES, "no more than had been given out"
    assert not threads_alive()


def test_libraries_use_one_thread_meanwhile_and_their_own_number_afterwards() -> None:
    seen: list[tuple[int, int]] = []
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(2)
    torch.set_num_threads(2)
    try:
        list(rendered(Numbers(lambda number: seen.append((cv2.getNumThreads(), torch.get_num_threads()))), None, numbered(3), 2))
        assert seen == [(1, 1)] * 3
        assert (cv2.getNumThreads(), torch.get_num_threads()) == (2, 2)
        with one_thread_each():
            assert {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"} == {1}
        with pytest.raises(ValueError), one_thread_each():
            raise ValueError
        assert (cv2.getNumThreads(), torch.get_num_threads()) == (2, 2)
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


def test_warp_draws_the_same_bytes_in_any_number_of_threads(astronaut: np.ndarray, rng: np.random.Generator) -> None:
    renderer = WarpRenderer(load_params(Path(__file__).resolve().parents[2] / "params.yaml").warp)
    portrait = load_portrait(astronaut)
    state = renderer.prepare(portrait)
    n = PART_FRAMES + 4
    pose = np.repeat(estimate_pose(portrait.mesh[None]).as_array(), n, 0)
    pose[:, :3] += 8 * np.sin(np.arange(n)[:, None] / 3 + np.arange(3))
    face = portrait.normalised + rng.normal(0, 0.01, (n, 78, 3)).astype(np.float32)
    tracks = Driving(face, PoseTrack.from_array(pose), np.zeros((n, 160), np.float32), np.zeros(9, np.float32))
    alone = np.stack(list(renderer.render(state, tracks)))
    for threads in (1, 3):
        assert (np.stack(list(rendered(renderer, state, tracks, threads))) == alone).all()
    assert len(np.unique(alone.reshape(n, -1)[:, ::997], axis=0)) == n
