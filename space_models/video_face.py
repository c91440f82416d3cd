"""Following the face through a video whose frames come at any rate."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.facemesh import track_faces
from space_data.media.video import decode_video


def follow_face(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Face meshes (N, 478, 3) of a video's frames, NaN where there is no face, and when each is shown (N,), s.

    Raises:
        SpaceError: not a video, or no picture in it.
    """
    times_s: list[float] = []

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for frame in decode_video(path):
            times_s.append(frame.pts_s)
            yield frame.rgb

    meshes = track_faces(pictures())
    if not times_s:
        raise SpaceError(f"{path}: no picture in it, need a video with one at least (is the file complete?)")
    return meshes, np.array(times_s)
