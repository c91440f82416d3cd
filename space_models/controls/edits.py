"""From what S2L says to what is drawn: lids, gaze, mouth and groups of landmarks. Normalised landmarks are (T, 78, 3)."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from space_data import landmarks as lm
from space_data.closures import CLOSED_GAP_IOD
from space_models.controls.gaze import EYE_WIDTHS_PER_RADIAN
from space_models.retarget import CLOSING, CORNER_POINTS_LEFT, CORNER_POINTS_RIGHT, with_lip_gap
from space_models.tracks import EDITED, Tracks

Points = NDArray[np.float32]

LOWER_LID_SHARE = 0.12
"""Part of the way that the lower lid comes up."""
UPPER_LID_FOLLOWS, LOWER_LID_FOLLOWS = 1.0, 0.6
"""Parts of the iris' way up and down that the lids go: the upper one rides on the eye (Becker and Fuchs, 1988).
Lids that stayed would bare what the photo does not show, and hide from the landmark tracker where the eyes look."""
CLOSURE_REACH_IOD = 1.5 * CLOSED_GAP_IOD
"""Lip gaps of about this size and less are what ``closure`` draws together."""
JAW_POINTS = {point: share / min(CLOSING.values()) for point, share in CLOSING.items() if share < 0}
"""Chin and lower lip: how far each goes with the jaw."""


def edited(tracks: Tracks) -> Tracks:
    """The tracks with ``edited`` made anew from ``spoken`` and the controls; latents, which were of the old ones, go."""
    face = moved_groups(tracks.spoken, tracks.brow_up, tracks.corner_up, tracks.corner_out, tracks.jaw_down)
    face = shaped_lips(face, tracks.mouth_gain, tracks.closure)
    face = with_blinks(with_gaze(face, tracks.gaze_deg - tracks.pose[:, :2]), tracks.lids)
    return replace(tracks, edited=face, latents=None, latents_of="", stage=EDITED)


def moved_groups(points: Points, brow_up: Points, corner_up: Points, corner_out: Points, jaw_down: Points) -> Points:
    """Brows, corners of the mouth and jaw moved by (T,) each, IOD."""
    moved = points.copy()
    moved[:, lm.BROWS, 1] -= brow_up[:, None]
    for corner, outwards in ((CORNER_POINTS_LEFT, -1), (CORNER_POINTS_RIGHT, 1)):
        for point, share in corner.items():
            moved[:, point, 0] += outwards * share * corner_out
            moved[:, point, 1] -= share * corner_up
    for point, share in JAW_POINTS.items():
        moved[:, point, 1] += share * jaw_down
    return moved


def shaped_lips(points: Points, gain: Points, closure: Points) -> Points:
    """Lip gap times ``gain`` (T,), and small gaps drawn to zero by ``closure`` (T,) in 0 ... 1; the chin follows.

    The map of the gap rises everywhere: what was wider open stays so.
    """
    gap = lm.lip_gap(points)
    wanted = gap * np.where(gap > 0, gain * (1 - closure * np.exp(-((gap / CLOSURE_REACH_IOD) ** 2))), 1)
    return points if np.array_equal(wanted, gap) else with_lip_gap(points, wanted)


def with_blinks(points: Points, closure: Points) -> Points:
    """Close the lids by ``closure`` (T,) of their opening."""
    shut = points.copy()
    for upper, lower in lm.LID_PAIRS:
        opening = points[:, lower] - points[:, upper]
        shut[:, upper] = points[:, upper] + opening * ((1 - LOWER_LID_SHARE) * closure)[:, None]
        shut[:, lower] = points[:, lower] - opening * (LOWER_LID_SHARE * closure)[:, None]
    return shut


def with_gaze(points: Points, in_head_deg: Points) -> Points:
    """Turn the eyes by ``in_head_deg`` (T, 2) yaw and pitch against the head; the lids follow what goes up and down."""
    turned = points.copy()
    shift = np.deg2rad(in_head_deg) * EYE_WIDTHS_PER_RADIAN * np.array([-1.0, 1.0], np.float32)
    for eye, iris in ((lm.EYE_LEFT, lm.IRIS_LEFT), (lm.EYE_RIGHT, lm.IRIS_RIGHT)):
        width = np.linalg.norm(points[:, eye[3], :2] - points[:, eye[0], :2], axis=-1)
        turned[:, iris, :2] += (shift * width[:, None])[:, None]
        for lid, share in ((eye[1:3], UPPER_LID_FOLLOWS), (eye[4:6], LOWER_LID_FOLLOWS)):
            turned[:, lid, 1] += share * (shift[:, 1] * width)[:, None]
    return turned
