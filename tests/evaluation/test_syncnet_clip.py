"""SyncNet on a video of the benchmark: what the published protocol gives for the same frames and sound, with seeded weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from seeded import seed_network

from evaluation.measured_video import frames_of
from evaluation.metrics.sync import PATHS, syncnet_metrics
from evaluation.syncnet_clip import syncnet_scorer
from space_data.media.encode import write_video
from space_models import syncnet
from space_models.syncnet import SyncNet

N_FRAMES = 40


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, np.ndarray, np.ndarray]:
    """Weights, a video of noise, its face boxes (one frame without a face), and sound."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("syncnet")
    torch.save(seed_network(SyncNet(), "syncnet").state_dict(), folder / "weights.model")
    write_video(folder / "video.mp4", list(rng.integers(0, 256, (N_FRAMES, 96, 96, 3), dtype=np.uint8)))
    boxes = np.tile(np.array([20, 20, 70, 76], np.float32), (N_FRAMES, 1))
    boxes[3] = np.nan
    return folder / "weights.model", folder / "video.mp4", boxes, rng.normal(0, 0.1, 640 * N_FRAMES).astype(np.float32)


def test_it_is_the_protocols_score(files: tuple[Path, Path, np.ndarray, np.ndarray]) -> None:
    weights, video, boxes, sound = files
    found = syncnet_scorer(weights, sound, N_FRAMES)(video, boxes)
    net, windows = syncnet.load_syncnet(weights), syncnet.windows_of(N_FRAMES)
    track = syncnet.crop_track(boxes)
    crops = (syncnet.face_crop(rgb, place) for rgb, place in zip(frames_of(video, windows + 4), track, strict=False))
    lips = syncnet.lip_embeddings(net, crops, 7)
    wanted = syncnet.score(lips, syncnet.sound_embeddings(net, syncnet.as_int16(sound), windows, 7))
    assert found is not None and found.windows == windows == 35 and found.offset_frames == wanted.offset_frames
    assert (found.confidence, found.distance) == pytest.approx((wanted.confidence, wanted.distance), rel=1e-5)


def test_too_short_or_faceless_is_none(files: tuple[Path, Path, np.ndarray, np.ndarray]) -> None:
    weights, video, boxes, sound = files
    assert syncnet_scorer(weights, sound, syncnet.LEAST_WINDOWS + 4)(video, boxes) is None
    assert syncnet_scorer(weights, sound, N_FRAMES)(video, np.full_like(boxes, np.nan)) is None


def test_the_release_s_own_way_is_another_score_under_another_name(files: tuple[Path, Path, np.ndarray, np.ndarray]) -> None:
    weights, video, boxes, sound = files
    direct, legacy = (syncnet_scorer(weights, sound, N_FRAMES, path)(video, boxes) for path in PATHS)
    assert direct is not None and legacy is not None
    assert direct.windows == legacy.windows and abs(direct.distance - legacy.distance) > 1e-4
    assert not {m.metric_id for m in syncnet_metrics("direct")} & {m.metric_id for m in syncnet_metrics("legacy-avi")}
