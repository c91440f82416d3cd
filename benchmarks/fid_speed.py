"""FID from video against pictures on disk: ``python -m benchmarks.fid_speed`` (processor seconds of one process).

The same frames of two videos, and the same seeded weights in the official file's layout, go (a) from the video's decoder through
`evaluation.frame_features` into `evaluation.frechet`, and (b) as PNG files through pytorch-fid, which is what papers do. Both
must give the same distance. pytorch-fid's own distance takes minutes at 2048 dimensions, whatever the number of pictures:
`--features` leaves it out, so that (b) is its dumping, reading and network alone.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import skimage
import torch
from pytorch_fid import fid_score, inception
from torchvision.models import Inception3

from evaluation.frame_features import INCEPTION_SIZE, Inception
from evaluation.frechet import frechet_distance
from space_data.media.encode import write_video
from space_data.media.video import decode_video

PNG_BATCH = 50
"""pytorch-fid's default."""


def seeded_weights(path: Path) -> None:
    """Random weights in the layout of the official file."""
    torch.manual_seed(0)
    with (
        mock.patch.object(inception, "load_state_dict_from_url", lambda *_, **__: {}),
        mock.patch.object(Inception3, "load_state_dict", lambda *_: None),
    ):
        torch.save(inception.fid_inception_v3().state_dict(), path)


def write_clips(folder: Path, frames: int, size_px: int) -> list[Path]:
    """A portrait that moves, and the same blurred."""
    portrait = cv2.resize(skimage.data.astronaut(), (size_px, size_px), interpolation=cv2.INTER_AREA)
    moving = [np.roll(portrait, (i % 13, i % 7), axis=(0, 1)) for i in range(frames)]
    sharp, blurred = folder / "sharp.mp4", folder / "blurred.mp4"
    write_video(sharp, moving)
    write_video(blurred, (np.asarray(cv2.GaussianBlur(rgb, (0, 0), 2), np.uint8) for rgb in moving))
    return [sharp, blurred]


def from_video(videos: list[Path], weights: Path) -> list[np.ndarray]:
    """Feature vectors of each video by our own way."""
    network = Inception(weights, "legacy")
    return [network(np.stack([frame.rgb for frame in decode_video(video)])) for video in videos]


def from_files(videos: list[Path], weights: Path, folder: Path) -> list[np.ndarray]:
    """Feature vectors of each video by PNG files and pytorch-fid."""
    state = torch.load(weights, weights_only=True)
    with mock.patch.object(inception, "load_state_dict_from_url", lambda *_, **__: state):
        network = inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[INCEPTION_SIZE]])
    found = []
    for video in videos:
        out = folder / video.stem
        out.mkdir()
        for i, frame in enumerate(decode_video(video)):
            cv2.imwrite(str(out / f"{i:06}.png"), cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR))
        files = sorted(out.glob("*.png"))
        found.append(fid_score.get_activations(files, network, PNG_BATCH, INCEPTION_SIZE, "cpu", num_workers=0))
    return found


def timed(what: Callable[[], Any]) -> tuple[Any, float]:
    """Its result, and the processor seconds that it took."""
    began_s = time.process_time()
    return what(), time.process_time() - began_s


def main(argv: list[str] | None = None) -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100, help="of each of the two videos")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--features", action="store_true", help="without pytorch-fid's distance")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "weights.pth"
        seeded_weights(weights)
        videos = write_clips(folder, options.frames, options.size)
        ours, ours_s = timed(lambda: from_video(videos, weights))
        theirs, theirs_s = timed(lambda: from_files(videos, weights, folder))
    apart = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(ours, theirs, strict=True))
    print(f"2 x {options.frames} frames of {options.size} px, features {apart:.1e} apart")
    print(f"features: video {ours_s:.1f} s, PNG and pytorch-fid {theirs_s:.1f} s: {theirs_s / ours_s:.2f} x")
    distance, distance_s = timed(lambda: frechet_distance(*ours))
    if not options.features:
        moments = [(array.mean(axis=0), np.cov(array, rowvar=False)) for array in theirs]
        other, other_s = timed(lambda: fid_score.calculate_frechet_distance(*moments[0], *moments[1]))
        print(f"distance: {distance:.6g} in {distance_s:.2f} s, {other:.6g} in {other_s:.1f} s")
        print(f"together: {(theirs_s + other_s) / (ours_s + distance_s):.2f} x")
    rng = np.random.default_rng(0)
    _, large_s = timed(lambda: frechet_distance(*rng.normal(size=(2, 500, INCEPTION_SIZE))))
    print(f"Fréchet distance of 500 and 500 vectors of {INCEPTION_SIZE}: {large_s:.2f} s")


if __name__ == "__main__":
    main()
