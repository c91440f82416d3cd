"""A made-up clip: a face of two eyes and a mouth that opens, drawn straight onto the canvas."""

import numpy as np

from space_data.params import CompactStage, load_params
from space_models.generators.compact.canvas import CENTRE, CURVE, POWER, SIZE_PX, SLOPE
from space_models.generators.compact.keypoints import N_KEYPOINTS, NAMES
from space_models.generators.compact.sampling import Footage


def settings(**changes: object) -> CompactStage:
    """The section ``generator`` with a tiny network."""
    return load_params().generator.model_copy(update={"latent_size": 3, "width": 8, "steps": 30, **changes})


def opening_mouth(frames: int = 12) -> Footage:
    """A dark mouth on skin whose height swings; every fourth frame has shut eyes."""
    line = (np.arange(SIZE_PX) + 0.5) * (2 / SIZE_PX) - 1
    x, y = (SLOPE * line + CURVE * line**POWER + centre for centre in CENTRE)
    canvases, groups = [], []
    for t in range(frames):
        half = 0.03 + 0.12 * (0.5 - 0.5 * np.cos(2 * np.pi * t / frames))
        picture = np.full((SIZE_PX, SIZE_PX, 3), (200, 160, 140), np.uint8)
        picture[((x[None] / 0.3) ** 2 + ((y[:, None] - 0.85) / half) ** 2) < 1] = (40, 10, 10)
        if t % 4:
            for side in (-0.35, 0.35):
                picture[((x[None] - side) ** 2 + (y[:, None] - 0.05) ** 2) < 0.07**2] = (240, 240, 250)
        points = np.zeros((N_KEYPOINTS, 3), np.float32)
        points[:, 0] = [-0.3 if "left" in name else 0.3 if "right" in name else 0.0 for name in NAMES]
        points[:, 1] = [0.85 if name.startswith(("lip", "mouth")) else 0.1 for name in NAMES]
        for name, sign in (("lip_upper_inner", -1), ("lip_lower_inner", 1)):
            points[NAMES.index(name), 1] += sign * half
        canvases.append(picture)
        groups.append(points)
    pose = np.tile(np.float32([0, 0, 0, 150, 256, 220, 0]), (frames, 1))
    return Footage("a", "someone", np.stack(canvases), pose, 512, np.stack(groups), np.full(frames, 1 / frames))
