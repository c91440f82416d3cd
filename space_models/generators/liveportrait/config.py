"""Sizes of the networks. The defaults are the published ones; tests use smaller ones of the same classes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space_data.errors import SpaceError

CONFIG_FILE = "config.json"
"""Beside the weights, where these are not of the published sizes."""


@dataclass(frozen=True)
class LivePortraitConfig:
    """Width legend: F appearance, M motion, W warping, G decoder."""

    keypoints: int = 21
    """K"""
    image_px: int = 256
    """side of the pictures that F and M see; frames come out twice as large"""
    width: int = 64
    """channels of F's first layer, and of G's last one"""
    max_width: int = 512
    """of F and G"""
    volume_channels: int = 32
    volume_depth: int = 16
    """of the appearance volume that is warped"""
    volume_blocks: int = 6
    """residual blocks of F on the volume"""
    motion_widths: tuple[int, ...] = (96, 192, 384, 768)
    motion_depths: tuple[int, ...] = (3, 3, 9, 3)
    """of M's four stages (ConvNeXt V2 tiny)"""
    angle_bins: int = 66
    flow_width: int = 32
    flow_max_width: int = 1024
    flow_blocks: int = 5
    """of W's hourglass"""
    flow_features: int = 4
    """channels to which W compresses the volume"""
    spade_hidden: int = 128
    """of the layers that make G's scales and shifts"""
    decoder_blocks: int = 6
    """of G at the resolution of the features"""

    @property
    def feature_width(self) -> int:
        """Channels between W and G."""
        return self.max_width // 2

    @property
    def feature_px(self) -> int:
        """Side of the features between W and G."""
        return self.image_px // 4

    @property
    def frame_px(self) -> int:
        """Side of the frames that G draws."""
        return self.feature_px * 8


def read_config(folder: Path) -> LivePortraitConfig:
    """The sizes of the weights in ``folder``: the published ones unless a ``config.json`` says otherwise.

    Raises:
        SpaceError: the file is not one of ours.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        return LivePortraitConfig()
    try:
        read = json.loads(path.read_text()).items()
        sizes: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in read}
        config = LivePortraitConfig(**sizes)
    except (ValueError, TypeError, AttributeError) as error:
        raise SpaceError(f"{path}: not sizes of LivePortrait's networks ({error})") from error
    for name, value in sizes.items():
        four = isinstance(getattr(LivePortraitConfig, name), tuple)
        each = value if four and isinstance(value, tuple) and len(value) == 4 else (None,) if four else (value,)
        if not all(type(size) is int and size > 0 for size in each):
            need = "four whole numbers above 0" if four else "a whole number above 0"
            raise SpaceError(f"{path}: {name} is {value!r}, need {need}")
    return config
