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
    FACE_BOX_LIFT,
    FACE_BOX_SCALE,
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


def as_mesh_boxes(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Boxes (T, 4) px around a face mesh from which `crop_track` makes the squares of S3FD's ``boxes`` (T, 4)."""
    x0, y0, x1, y1 = np.asarray(boxes, np.float64).T
    half = np.maximum(x1 - x0, y1 - y0) / 2 / FACE_BOX_SCALE
    x, y = (x0 + x1) / 2, (y0 + y1) / 2 + FACE_BOX_LIFT * half
    return np.stack([x - half, y - half, x + half, y + half], axis=1)


@lru_cache(maxsize=1)
def _network(path: Path) -> SyncNet:
    return load_syncnet(path)


def syncnet_scorer(
    weights: Path, sound: NDArray[np.float32], n_frames: int, protocol: str = "direct", s3fd: bool = False
) -> SyncNetScorer:
    """Scores videos against 16 kHz ``sound`` (samples,), of which ``n_frames`` video frames count; None below 36 frames.

    Args:
        protocol: ``direct``, or ``legacy-avi`` for the release's re-encodings (`legacy_avi`).
        s3fd: the boxes are S3FD's, as in the release, not those around a face mesh.
    """
    net = _network(weights)
    samples, windows = fit_samples(sound, n_frames), windows_of(n_frames)

    def scored(video: Path, boxes: NDArray[np.float32]) -> SyncNetResult | None:
        around = as_mesh_boxes(boxes) if s3fd else boxes
        track = crop_track(around[:n_frames]) if windows >= LEAST_WINDOWS and len(boxes) >= n_frames else None
        if track is None:
            return None
        frames = frames_of(video, windows + WINDOW_FRAMES - 1)
        if protocol == "direct":
            return result(frames, samples, track)
        with TemporaryDirectory() as folder:
            seen, late = as_published(frames, samples, Path(folder) / "video.avi")
            return result(seen, fit_samples(late, n_frames), track, Path(folder) / "crop.avi")

    def result(
        frames: Iterable[NDArray[np.uint8]], speech: NDArray[np.float32], track: NDArray[np.float64], avi: Path | None = None
    ) -> SyncNetResult:
        crops = (face_crop(rgb, place) for rgb, place in zip(frames, track, strict=False))
        lips = lip_embeddings(net, as_xvid(crops, avi) if avi else crops, BATCH)
        return score(lips, sound_embeddings(net, as_int16(speech), windows, BATCH))

    return scored
