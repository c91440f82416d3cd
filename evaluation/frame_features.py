"""Feature vectors of single frames for the Fréchet distance: the official Inception where its weights are, a stand-in elsewhere.

Both are `FrameFeatures`: a name that goes into the metric's id, and pictures in, vectors out. `choose` never mixes them up: the
name ``fid`` belongs to the verified file of 2015-12-05 alone.
"""

import logging
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from space_data import weights

logger = logging.getLogger(__name__)

STAND_IN_SIZE_PX = 256
BLOCK_PX = 8
ENERGY_FLOOR = 1e-2
"""Mean squared DCT coefficient below which 8-bit rounding noise is all there is."""
COLOUR_SCALE = 32.0
"""Grey levels that weigh as much as one neper of DCT energy."""
INCEPTION_BATCH = 16


class FrameFeatures(Protocol):
    """Turns pictures into vectors."""

    name: str
    is_fid: bool

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, height, width, 3) RGB -> (n, dimensions)."""


class DctColour:
    """The stand-in: log energies of the 63 block-DCT coefficients at 256 px and the mean and deviation of each colour, 69-d.

    It sees blur, ringing, blocks, noise and colour shifts; it does not know what a face is.
    """

    name = "dct8-colour-256px"
    is_fid = False

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, height, width, 3) RGB -> (n, 69)."""
        return np.stack([self._one(picture) for picture in pictures]) if len(pictures) else np.zeros((0, 69), np.float32)

    @staticmethod
    def _one(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        small = cv2.resize(rgb, (STAND_IN_SIZE_PX, STAND_IN_SIZE_PX), interpolation=cv2.INTER_AREA)
        luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        count = STAND_IN_SIZE_PX // BLOCK_PX
        blocks = luma.reshape(count, BLOCK_PX, count, BLOCK_PX).swapaxes(1, 2)
        basis = _dct_basis(BLOCK_PX)
        energy = ((basis @ blocks @ basis.T) ** 2).mean(axis=(0, 1)).ravel()[1:]
        colour = np.concatenate([small.mean(axis=(0, 1)), small.std(axis=(0, 1))]) / COLOUR_SCALE
        return np.concatenate([np.log(np.maximum(energy, ENERGY_FLOOR)), colour]).astype(np.float32)


class Inception:
    """The FID network: TensorFlow's Inception of 2015-12-05, pool 3 (2048-d), with TF1's resize, by torch-fidelity.

    ``path`` must be verified weights (`weights.find`): the file is a pickle, and only its SHA-256 makes it safe to open.
    """

    name = "inception-pt-2015-12-05-tf1resize"
    is_fid = True

    def __init__(self, path: Path) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        self._network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path))

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, height, width, 3) RGB -> (n, 2048)."""
        import torch

        batches = []
        with torch.inference_mode():
            for begin in range(0, len(pictures), INCEPTION_BATCH):
                batch = torch.from_numpy(np.ascontiguousarray(pictures[begin : begin + INCEPTION_BATCH].transpose(0, 3, 1, 2)))
                batches.append(self._network(batch)[0].numpy())
        return np.concatenate(batches) if batches else np.zeros((0, 2048), np.float32)


def choose(weights_folder: Path) -> FrameFeatures:
    """Inception if its verified weights are in ``weights_folder``, else the stand-in, with a warning that says what to do.

    Raises:
        SpaceError: a file of the right name but another content.
    """
    path = weights.find(weights.INCEPTION, weights_folder)
    if path is not None:
        return Inception(path)
    logger.info("%s; the report shows a stand-in under its own name", weights.absence(weights.INCEPTION, weights_folder))
    return DctColour()


def _dct_basis(n: int) -> NDArray[np.float32]:
    """Orthonormal DCT-II matrix (n, n), frequencies in rows."""
    k, i = np.mgrid[0:n, 0:n]
    basis = np.sqrt(2.0 / n) * np.cos(np.pi * (2 * i + 1) * k / (2 * n))
    basis[0] /= np.sqrt(2.0)
    return basis.astype(np.float32)
