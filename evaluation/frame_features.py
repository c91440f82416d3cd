"""Feature vectors of single frames for the Fréchet distance: the official Inception where its weights are, a stand-in elsewhere.

Both are `FrameFeatures`: a name that goes into the metric's id, and pictures in, vectors out. `choose` never mixes them up: the
name ``fid`` belongs to the verified file of 2015-12-05 alone.
"""

import logging
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

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
INCEPTION_SIDE_PX, INCEPTION_SIZE = 299, 2048
Resize = Literal["legacy", "clean"]
INCEPTION_NAMES: dict[Resize, str] = {resize: f"inception-pt-2015-12-05-{resize}" for resize in ("legacy", "clean")}


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
    """The FID network: TensorFlow's Inception of 2015-12-05, pool 3 (2048-d), as ``pytorch-fid`` builds it.

    Resizing to 299 px is a protocol of its own (Parmar et al. 2022): ``legacy`` is pytorch-fid's (bilinear, not antialiased),
    ``clean`` is clean-fid's (PIL's bicubic, antialiased; its network takes (x - 128) / 128). Both give their library's features.
    On a GPU where there is one.
    """

    is_fid = True

    def __init__(self, path: Path, resize: Resize) -> None:
        """``path`` must be verified weights (`weights.find`)."""
        self.name = INCEPTION_NAMES[resize]
        self._resize = resize
        self._network = _inception(path)

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, height, width, 3) RGB -> (n, 2048)."""
        import torch

        prepare = _legacy_input if self._resize == "legacy" else _clean_input
        device = next(self._network.parameters()).device
        batches = []
        with torch.inference_mode():
            for begin in range(0, len(pictures), INCEPTION_BATCH):
                batch = prepare(pictures[begin : begin + INCEPTION_BATCH]).to(device, memory_format=torch.channels_last)
                batches.append(self._network(batch)[0].flatten(1).cpu().numpy())
        return np.concatenate(batches) if batches else np.zeros((0, INCEPTION_SIZE), np.float32)


@lru_cache(maxsize=1)
def _inception(path: Path) -> Any:
    """The network, once per process. pytorch-fid fetches its weights through PyTorch's hub, which finds them here instead.

    Its batch normalisations, constant here, become part of the convolutions before them, and channels lie last: the same features
    to 1e-6, in half the time of a processor (`benchmarks.fid_speed`).
    """
    import torch
    from pytorch_fid.inception import FID_WEIGHTS_URL, InceptionV3

    usual = torch.hub.get_dir()
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "checkpoints" / FID_WEIGHTS_URL.rpartition("/")[2]
        link.parent.mkdir()
        link.symlink_to(path.resolve())
        torch.hub.set_dir(folder)
        try:
            network = InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[INCEPTION_SIZE]], resize_input=False, normalize_input=False)
        finally:
            torch.hub.set_dir(usual)
    _fold_normalisation(network.eval())
    return network.to("cuda" if torch.cuda.is_available() else "cpu", memory_format=torch.channels_last)


def _fold_normalisation(module: Any) -> None:
    """Of all torchvision ``BasicConv2d`` in it."""
    from torch.nn import Identity
    from torch.nn.utils.fusion import fuse_conv_bn_eval
    from torchvision.models.inception import BasicConv2d

    for part in module.modules():
        if isinstance(part, BasicConv2d):
            part.conv, part.bn = fuse_conv_bn_eval(part.conv, part.bn), Identity()


def _legacy_input(pictures: NDArray[np.uint8]) -> Any:
    """(n, height, width, 3) -> (n, 3, 299, 299) as pytorch-fid feeds it."""
    import torch
    from torch.nn import functional

    batch = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float() / 255
    side = (INCEPTION_SIDE_PX, INCEPTION_SIDE_PX)
    return 2 * functional.interpolate(batch, side, mode="bilinear", align_corners=False) - 1


def _clean_input(pictures: NDArray[np.uint8]) -> Any:
    """The same as clean-fid feeds it: each channel resized by PIL as floats, cut to 0 ... 255, (x - 128) / 128."""
    import torch
    from PIL import Image

    side = (INCEPTION_SIDE_PX, INCEPTION_SIDE_PX)
    channels = pictures.transpose(0, 3, 1, 2).astype(np.float32)
    resized = [[np.asarray(Image.fromarray(c).resize(side, Image.Resampling.BICUBIC)) for c in picture] for picture in channels]
    return (torch.from_numpy(np.array(resized, np.float32)).clamp(0, 255) - 128) / 128


def choose(weights_folder: Path) -> tuple[FrameFeatures, ...]:
    """Inception with both resizings if its verified weights are in ``weights_folder``, else the stand-in, and what to do.

    Raises:
        SpaceError: a file of the right name but another content.
    """
    path = _verified(weights_folder)
    if path is not None:
        return tuple(Inception(path, resize) for resize in INCEPTION_NAMES)
    logger.info("%s; the report shows a stand-in under its own name", weights.absence(weights.INCEPTION, weights_folder))
    return (DctColour(),)


@lru_cache(maxsize=1)
def _verified(weights_folder: Path) -> Path | None:
    """The weights' file, hashed once per process."""
    return weights.find(weights.INCEPTION, weights_folder)


def _dct_basis(n: int) -> NDArray[np.float32]:
    """Orthonormal DCT-II matrix (n, n), frequencies in rows."""
    k, i = np.mgrid[0:n, 0:n]
    basis = np.sqrt(2.0 / n) * np.cos(np.pi * (2 * i + 1) * k / (2 * n))
    basis[0] /= np.sqrt(2.0)
    return basis.astype(np.float32)
