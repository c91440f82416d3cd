"""SyncNet on a video of the benchmark: a module of its own, because it imports PyTorch."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.measured_video import frames_of
from evaluation.score_clip import SyncNetScorer
from space_data.timebase import fit_samples
from space_models.syncnet import (
    LEAST_WINDOWS,
    WINDOW_FRAMES,
    SyncNet,
    SyncNetResult,
    as_int16,
    crop_track,
    face_crop,
    lip_embeddings,
    load_syncnet,
    score,
    sound_embeddings,
    windows_of,
)

BATCH = 20


@lru_cache(maxsize=1)
def _network(path: Path) -> SyncNet:
    return load_syncnet(path)


def syncnet_scorer(weights: Path, sound: NDArray[np.float32], n_frames: int) -> SyncNetScorer:
    """Scores videos against 16 kHz ``sound`` (samples,), of which ``n_frames`` video frames count; None below 36 frames."""
    net = _network(weights)
    samples, windows = as_int16(fit_samples(sound, n_frames)), windows_of(n_frames)

    def scored(video: Path, boxes: NDArray[np.float32]) -> SyncNetResult | None:
        track = crop_track(boxes[:n_frames]) if windows >= LEAST_WINDOWS and len(boxes) >= n_frames else None
        if track is None:
            return None
        frames = frames_of(video, windows + WINDOW_FRAMES - 1)
        crops = (face_crop(rgb, place) for rgb, place in zip(frames, track, strict=False))
        return score(lip_embeddings(net, crops, BATCH), sound_embeddings(net, samples, windows, BATCH))

    return scored
