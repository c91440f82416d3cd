"""PoseGen as a stream: speech comes in chunks of frames, poses go out ``lookahead_frames`` later. A file is one chunk.

    state = start(model, rng, limits)
    state, offsets = step(model, state, log_mel)      # as often as speech comes
    offsets = finish(model, state)                    # the last frames, which wait for sound that will not come

``generate`` is that fold over one chunk; chunks of any size give the same (tested). Between key poses runs a cubic whose slope at
each key needs no later one: half the way from the key before to the key that the recursion expects next (a Catmull-Rom spline
would wait another 0.2 s for it).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from space_models.posegen.model import PoseGen
from space_models.posegen.pose import FRAMES_PER_KEY, KEY_FRAME, N_POSE, key_frames
from space_models.posegen.speech import loudness, rises

Offsets = NDArray[np.float64]
REST: Offsets = np.zeros(N_POSE)


@dataclass(frozen=True)
class StreamState:
    """Between two chunks. The generator is the caller's own and moves on with every key pose."""

    rng: np.random.Generator
    limits: Offsets
    strength: float
    sound: NDArray[np.float64]
    """loudness channels that are still needed, (n, 2)"""
    sound_begin: int = 0
    """frame of the first of them"""
    drawn: int = 0
    """frames that have gone out"""
    keys: int = 1
    """key poses so far; number 0 is the portrait at rest"""
    poses: tuple[Offsets, Offsets] = (REST, REST)
    """the last two key poses, the newer one second"""
    slopes: tuple[Offsets, Offsets] = (REST, REST)
    """there, per key interval"""


def start(model: PoseGen, rng: np.random.Generator, limits: NDArray[np.floating], strength: float = 1.0) -> StreamState:
    """Motion that begins at rest, with the portrait's own pose standing for the person's mean.

    Args:
        model: see ``load_posegen``.
        rng: the noise; equal generators give equal motion.
        limits: largest absolute offset per column, (6,); approached softly.
        strength: 0 = still, 1 = as in the training data.
    """
    return StreamState(rng, np.asarray(limits, np.float64), strength, np.zeros((0, 2)))


def step(model: PoseGen, state: StreamState, log_mel: NDArray[np.floating]) -> tuple[StreamState, NDArray[np.float32]]:
    """Hear n frames of mean-normalised log-mel, (n, 160), and give the offsets (m, 6) of the frames that are ready."""
    sound = np.concatenate([state.sound, loudness(log_mel)])
    sound_end = state.sound_begin + len(sound)
    return _draw(model, replace(state, sound=sound), sound_end - model.config.lookahead_frames)


def finish(model: PoseGen, state: StreamState) -> NDArray[np.float32]:
    """The frames that were waiting for sound: its last frame is held."""
    return _draw(model, state, state.sound_begin + len(state.sound))[1]


def generate(
    model: PoseGen, log_mel: NDArray[np.floating], rng: np.random.Generator, limits: NDArray[np.floating], strength: float = 1.0
) -> NDArray[np.float32]:
    """Offsets (T, 6) in ``POSE_COLUMNS`` for the whole of ``log_mel`` (T, 160); see ``start`` and ``step``."""
    state, offsets = step(model, start(model, rng, limits, strength), log_mel)
    return np.concatenate([offsets, finish(model, state)])


def _draw(model: PoseGen, state: StreamState, until: int) -> tuple[StreamState, NDArray[np.float32]]:
    """The frames from ``state.drawn`` up to, not including, ``until``."""
    frames = np.arange(state.drawn, max(until, state.drawn))
    ahead = np.maximum(-(-(frames - KEY_FRAME) // FRAMES_PER_KEY), 0)  # number of the key pose that a frame lies before, or at
    first_known = state.keys - 2
    state, poses, slopes = _more_keys(model, state, int(ahead.max(initial=0)) + 1 - state.keys)
    begin = ahead - 1 - first_known
    at = (frames - KEY_FRAME) / FRAMES_PER_KEY - (ahead - 1)
    smooth = state.strength * _cubic(at, poses[begin], poses[begin + 1], slopes[begin], slopes[begin + 1])
    return replace(state, drawn=state.drawn + len(frames)), (state.limits * np.tanh(smooth / state.limits)).astype(np.float32)


def _more_keys(model: PoseGen, state: StreamState, n_keys: int) -> tuple[StreamState, Offsets, Offsets]:
    """Draw ``n_keys`` more key poses; all poses and slopes from the last two known ones on, (2 + n_keys, 6) each."""
    if n_keys <= 0:
        return state, np.stack(state.poses), np.stack(state.slopes)
    config, last, before = model.config, model.last.numpy(), model.before.numpy()
    at_frames = key_frames(state.keys + n_keys)[state.keys :]
    loudness_rises = rises(state.sound, at_frames - state.sound_begin, config.lookahead_frames, config.memory_frames)
    pushes = loudness_rises @ model.speech.numpy().T + state.rng.standard_normal((n_keys, N_POSE)) @ model.noise.numpy().T
    poses = [*state.poses]
    for push in pushes:
        poses.append(last * poses[-1] + before * poses[-2] + push)
    known = np.stack(poses)
    slopes = np.concatenate([state.slopes, (last * known[2:] + before * known[1:-1] - known[1:-1]) / 2])
    # Sound before the clip is its first frame, held: the oldest that is kept is one that no later key pose looks at.
    spare = max(0, min(int(at_frames[-1]) - config.memory_frames - state.sound_begin, len(state.sound) - 1))
    after = replace(
        state, keys=state.keys + n_keys, poses=(known[-2], known[-1]), slopes=(slopes[-2], slopes[-1]),
        sound=state.sound[spare:], sound_begin=state.sound_begin + spare,
    )  # fmt: skip
    return after, known, slopes


def _cubic(at: NDArray[np.float64], p0: Offsets, p1: Offsets, m0: Offsets, m1: Offsets) -> NDArray[np.float64]:
    """Cubic Hermite splines (n, 6) at ``at`` (n,) in 0..1 between ``p0`` and ``p1`` (n, 6), tangents ``m0`` and ``m1``."""
    t = at[:, None]
    return (
        (2 * t**3 - 3 * t**2 + 1) * p0
        + (t**3 - 2 * t**2 + t) * m0
        + (3 * t**2 - 2 * t**3) * p1
        + (t**3 - t**2) * m1
    )
