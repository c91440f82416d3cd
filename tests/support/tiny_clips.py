"""Tiny clips made on the spot: a portrait that drifts and blinks its light, with a sound that is not speech."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space_data.media.encode import write_video
from space_data.params import Params, load_params


def drifting(picture: NDArray[np.uint8], n_frames: int) -> list[NDArray[np.uint8]]:
    """``picture`` shifted by a pixel per frame."""
    return [np.ascontiguousarray(np.roll(picture, i, axis=1)) for i in range(n_frames)]


def buzz(n_frames: int) -> NDArray[np.float32]:
    """A 200 Hz tone as long as ``n_frames`` at 25 fps."""
    return (0.3 * np.sin(2 * np.pi * 200 * np.arange(n_frames * 640) / 16000)).astype(np.float32)


def bad_and_good_folder(root: Path, portrait: NDArray[np.uint8]) -> Path:
    """A folder of two readable clips (one without sound, one with a hard cut), three that are not media, and other files."""
    small = portrait[0:256, 96:352]
    write_video(root / "a" / "cut.mp4", drifting(small, 20) + drifting(255 - small[::-1], 20), audio=buzz(40))
    write_video(root / "b" / "mute.mp4", drifting(small, 12))
    (root / "empty.mp4").write_bytes(b"")
    (root / "text.mp4").write_text("this is no video\n" * 50)
    whole = (root / "b" / "mute.mp4").read_bytes()
    (root / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (root / "photo.png").write_bytes(b"png")
    (root / "notes.txt").write_text("hello")
    return root


def folder_params(root: Path, workers: int = 1, screen: bool = False) -> Params:
    """The repository's parameters on another folder; without the screen, which would pass over clips that hold no speech."""
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    measure = params.measure.model_copy(update={"screen": params.measure.screen.model_copy(update={"enabled": screen})})
    return params.model_copy(
        update={
            "data": params.data.model_copy(update={"reader": "folder", "raw": str(root)}),
            "job": params.job.model_copy(update={"workers": workers, "shards": 2}),
            "measure": measure,
        }
    )
