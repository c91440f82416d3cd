"""SyncNet on a video of the benchmark: a module of its own, because it imports PyTorch."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from evaluation.measured_video import frames_of
from evaluation.score_clip import SyncNetScorer
from space_data.media.legacy_avi import as_published, as_xvid
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


def syncnet_scorer(weights: Path, sound: NDArray[np.float32], n_frames: int, protocol: str = "direct") -> SyncNetScorer:
    """Scores videos against 16 kHz ``sound`` (samples,), of which ``n_frames`` video frames count; None below 36 frames.

    Args:
        protocol: ``direct``, or ``legacy-avi`` for the release's re-encodings (`legacy_avi`).
    """
    net = _network(weights)
    heard, windows = fit_samples(sound, n_frames), windows_of(n_frames)

    def scored(video: Path, boxes: NDArray[np.float32]) -> SyncNetResult | None:
        track = crop_track(boxes[:n_frames]) if windows >= LEAST_WINDOWS and len(boxes) >= n_frames else None
        if track is None:
            return None
        frames = frames_of(video, windows + WINDOW_FRAMES - 1)
        if protocol == "direct":
            return result(frames, heard, track)
        with TemporaryDirectory() as folder:
            seen, late = as_published(frames, heard, Path(folder) / "video.avi")
            return result(seen, fit_samples(late, n_frames), track, Path(folder) / "crop.avi")

    def result(
        frames: Iterable[NDArray[np.uint8]], speech: NDArray[np.float32], track: NDArray[np.float64], avi: Path | None = None
    ) -> SyncNetResult:
        crops = (face_crop(rgb, place) for rgb, place in zip(frames, track, strict=False))
        lips = lip_embeddings(net, as_xvid(crops, avi) if avi else crops, BATCH)
        return score(lips, sound_embeddings(net, as_int16(speech), windows, BATCH))

    return scored
