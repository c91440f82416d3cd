"""Does the background stay where it is when the head moves? ``python -m benchmarks.still_background [--portraits FOLDER]``

Portraits are cut out and put in front of upright bars, which are known everywhere, also behind the head. `warp` turns and tilts
the head; what the frames show around the person (segmented anew in each) is compared with the bars: mean absolute difference in
grey levels, up to 10 pixels of 512 from the person and up to 30. ``--pictures`` writes the frames.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.controls import portraits_in
from space_data.crop import CROP_SIZE_PX, CropBox
from space_data.facemesh import person_matte
from space_data.landmarks import posed
from space_data.media.images import write_image
from space_data.params import load_params
from space_data.progress import setup
from space_models.generators.warp import WarpGenerator
from space_models.portrait import Portrait
from space_models.posegen.pose import N_POSE, apply_pose

TURNS = ((0, 15), (0, -15), (0, 8), (0, -8), (2, 8), (2, -8), (1, 8))  # index of yaw, pitch, roll; degrees
BAR_PX, BAND_PX = 12, 40
RINGS_PX = ((1, 10), (10, 30))


def bars() -> NDArray[np.uint8]:
    """Upright grey bars with greenish bands across, (512, 512, 3)."""
    across, down = np.arange(CROP_SIZE_PX) // BAR_PX % 2, np.arange(CROP_SIZE_PX) // BAND_PX % 2
    picture = np.repeat(np.where(across == 0, 200, 60)[None, :, None], CROP_SIZE_PX, 0).repeat(3, 2)
    picture[..., 1] += 30 * down[:, None]
    return picture.astype(np.uint8)


def in_front_of(picture: NDArray[np.uint8], portrait: Portrait) -> Portrait:
    """The portrait's person, cut out, before another background."""
    person = np.clip((person_matte(portrait.rgb)[..., None] - 0.1) / 0.8, 0, 1)
    rgb = np.round(portrait.rgb * person + picture * (1 - person)).astype(np.uint8)
    return replace(portrait, rgb=rgb, picture=rgb, box=CropBox(0, 0, CROP_SIZE_PX))


def main() -> None:
    """Print a line per portrait and the means."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--portraits", type=Path, help="folder of pictures (default: scikit-image's astronaut)")
    parser.add_argument("--pictures", type=Path, help="folder for the frames")
    arguments = parser.parse_args()
    setup(quiet=True)
    cv2.setNumThreads(1)
    generator, behind, means = WarpGenerator(load_params().warp), bars(), []
    turns = np.zeros((len(TURNS), N_POSE))
    for row, (angle, degrees) in enumerate(TURNS):
        turns[row, angle] = degrees
    for name, found in portraits_in(arguments.portraits):
        portrait = in_front_of(behind, found)
        faces = np.repeat(portrait.normalised[None], len(turns), 0)
        frames = list(generator.render(generator.prepare(portrait), posed(faces, apply_pose(turns, portrait.pose))))
        off = np.zeros((len(frames), len(RINGS_PX)))
        for frame, row in zip(frames, off, strict=True):
            distance = cv2.distanceTransform((person_matte(frame) < 0.02).astype(np.uint8), cv2.DIST_L2, 5)
            wrong = np.abs(frame.astype(np.int16) - behind).mean(2)
            row[:] = [wrong[(distance > low) & (distance <= high)].mean() for low, high in RINGS_PX]
        means.append(off.mean(0))
        near, far = means[-1]
        print(f"{name:24} {near:5.1f} within {RINGS_PX[0][1]} px, {far:5.1f} within {RINGS_PX[1][1]}", flush=True)
        if arguments.pictures is not None:
            write_image(arguments.pictures / f"{name}.png", np.hstack(frames))
    print(f"mean of {len(means)}: {' '.join(f'{value:.1f}' for value in np.mean(means, axis=0))}")


if __name__ == "__main__":
    main()
