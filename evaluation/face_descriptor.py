"""Who a face looks like: dlib's published descriptor, from two packages (``pip install 'open-space[identity]'``).

``face_recognition_models`` carries the network's file (CC0), ``dlib-bin`` the code that runs it. Of the former only the
descriptor is used: its 68-point file was trained on pictures that are not for commercial use.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.landmarks import mesh_to_landmarks

NAME = "dlib-resnet-v1"
SIZE = 128
CARRIER, MODEL_FILE = "face_recognition_models", "models/dlib_face_recognition_resnet_model_v1.dat"
MODEL_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
"""Of version 0.3.0 of the package."""
FIVE_POINTS = np.array([45, 42, 36, 39, 33])
"""Of the 78 those that dlib aligns faces by: outer and inner corner of the eye on the right of the picture, of the one on the
left, base of the nose."""
ABSENT = "identity similarity needs dlib's face descriptor, which is not installed: `pip install 'open-space[identity]'`"


class FaceDescriptor:
    """dlib's 128 numbers of a face; those of one person lie less than 0.6 apart, as its author says."""

    name = NAME

    def __init__(self, path: Path) -> None:
        """``path`` must be the published file (`find`)."""
        import dlib

        self._dlib, self._network = dlib, dlib.face_recognition_model_v1(str(path))

    def __call__(self, rgb: NDArray[np.uint8], mesh: NDArray[np.floating] | None) -> NDArray[np.float32]:
        """Descriptor (128,) of the face in a picture (height, width, 3) with its mesh (478, 3) px; NaN without one.

        The face is cut out by dlib's own rule for five points, which come from our mesh instead of dlib's detector.
        """
        if mesh is None:
            return np.full(SIZE, np.nan, np.float32)
        points = [self._dlib.point(*np.rint(xy).astype(int).tolist()) for xy in mesh_to_landmarks(mesh[None])[0, FIVE_POINTS, :2]]
        frame = self._dlib.rectangle(0, 0, rgb.shape[1] - 1, rgb.shape[0] - 1)
        found = self._network.compute_face_descriptor(np.ascontiguousarray(rgb), self._dlib.full_object_detection(frame, points))
        return np.array(found, np.float32)


def find() -> Path | None:
    """The descriptor's file, verified; None where one of the packages is not installed.

    Raises:
        SpaceError: it is another file.
    """
    carrier = find_spec(CARRIER)  # not imported: its module asks for pkg_resources, which setuptools no longer has
    if carrier is None or not carrier.submodule_search_locations or find_spec("dlib") is None:
        return None
    path = Path(carrier.submodule_search_locations[0]) / MODEL_FILE
    if not path.is_file() or (found := sha256_of(path)) != MODEL_SHA256:
        what = f"SHA-256 {found}" if path.is_file() else "absent"
        raise SpaceError(f"{path}: {what}, need {MODEL_SHA256} (install face_recognition_models 0.3.0)")
    return path


@lru_cache(maxsize=1)
def load() -> FaceDescriptor | None:
    """The descriptor, once per process; None where it is not installed."""
    path = find()
    return FaceDescriptor(path) if path else None
