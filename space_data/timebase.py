"""The only place that converts between seconds, video frames, audio samples and feature frames.

Video frame ``i`` covers ``[i/25, (i+1)/25)`` seconds. Speech is 16 kHz mono, so a video frame owns exactly 640 samples.
Speech features run at 100 Hz; feature ``j`` covers ``[j/100, (j+1)/100)`` and is computed from a window centred on that
interval, so a video frame owns exactly four features. See ``docs/time.md``.
"""

import numpy as np
from numpy.typing import NDArray

VIDEO_FPS = 25
AUDIO_HZ = 16_000
FEATURE_HZ = 100
SAMPLES_PER_FRAME = AUDIO_HZ // VIDEO_FPS
FEATURES_PER_FRAME = FEATURE_HZ // VIDEO_FPS
SAMPLES_PER_FEATURE = AUDIO_HZ // FEATURE_HZ
CLOCK_SLACK_S = 1e-6
"""Times closer than this are equal: sums of binary fractions must not decide between two frames."""


def frame_start_s(frame: int) -> float:
    """Time at which video frame ``frame`` begins, in seconds."""
    return frame / VIDEO_FPS


def frame_centre_s(frame: int) -> float:
    """Time in the middle of video frame ``frame``, in seconds."""
    return (frame + 0.5) / VIDEO_FPS


def frames_in(duration_s: float) -> int:
    """Number of whole video frames in ``duration_s`` seconds (a rounding slack of a microsecond is forgiven)."""
    return max(0, int(np.floor(duration_s * VIDEO_FPS + CLOCK_SLACK_S)))


def frames_to_samples(frames: int) -> int:
    """Number of 16 kHz samples in ``frames`` video frames."""
    return frames * SAMPLES_PER_FRAME


def samples_to_frames(samples: int) -> int:
    """Number of whole video frames in ``samples`` 16 kHz samples."""
    return samples // SAMPLES_PER_FRAME


def seconds_to_samples(duration_s: float) -> int:
    """Nearest number of 16 kHz samples to ``duration_s`` seconds."""
    return round(duration_s * AUDIO_HZ)


def samples_to_seconds(samples: int) -> float:
    """Duration of ``samples`` 16 kHz samples, in seconds."""
    return samples / AUDIO_HZ


def frames_to_seconds(frames: float) -> float:
    """Duration of ``frames`` (may be fractional, may be negative) video frames, in seconds."""
    return frames / VIDEO_FPS


def frames_to_ms(frames: float) -> float:
    """Duration of ``frames`` (may be fractional, may be negative) video frames, in milliseconds."""
    return frames * 1000.0 / VIDEO_FPS


def features_before(times_s: NDArray[np.float64] | float) -> NDArray[np.int64]:
    """Number of 100 Hz features that end at or before each time (a rounding slack of a microsecond is forgiven).

    That is also the index of the feature which covers the time.
    """
    return np.floor(np.asarray(times_s) * FEATURE_HZ + 1e-6).astype(np.int64)


def nearest_frames(pts_s: NDArray[np.float64], start_s: float, n_frames: int) -> NDArray[np.int64]:
    """Which source frame to show at each 25 fps frame.

    Args:
        pts_s: presentation times of the source frames, increasing, shape (source,), seconds.
        start_s: time of the first output frame on the same clock, seconds.
        n_frames: number of output frames.

    Returns:
        Index into ``pts_s`` per output frame, shape (n_frames,): the source frame on screen in the middle of the output
        frame, that is the last one whose presentation time is not later than it (the first one before any began).
    """
    centres = start_s + (np.arange(n_frames) + 0.5) / VIDEO_FPS
    return np.clip(np.searchsorted(pts_s, centres + CLOCK_SLACK_S, side="right") - 1, 0, len(pts_s) - 1)


def fit_samples(audio: NDArray[np.float32], n_frames: int) -> NDArray[np.float32]:
    """Cut or zero-pad mono 16 kHz ``audio`` (samples,) to exactly ``n_frames`` video frames."""
    wanted = frames_to_samples(n_frames)
    return np.pad(audio[:wanted], (0, max(0, wanted - len(audio))))


def features_to_frames(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Group 100 Hz features (4 * frames, bands) by video frame: (frames, 4, bands); an incomplete last frame is dropped."""
    n_frames = len(features) // FEATURES_PER_FRAME
    return features[: n_frames * FEATURES_PER_FRAME].reshape(n_frames, FEATURES_PER_FRAME, *features.shape[1:])
