"""How far a head is turned to the side, read a second time from the picture plane alone.

Where the far eye is hidden the mesh guesses the far side, and its depth, too shallow, pulls the three-dimensional pose fit
towards the camera. Where the points lie *in the picture* says more: the template is fitted to x and y alone, by scaled
orthography, in which a turn shows as the nose moving against the outline of the face. Neither reading is too large by much, so
the larger holds.
"""

import numpy as np
from numpy.typing import NDArray

from space_data.landmarks import MESH_TO_78, STABLE_78, template_mesh


def picture_yaw_deg(landmarks_px: NDArray[np.floating]) -> NDArray[np.float64]:
    """Yaw (T,) in degrees of landmarks (T, 78, 2 or 3) in pixels, from x and y alone; NaN for frames with a NaN in them.

    Least squares for the two rows of a scaled rotation, which are then made orthonormal; sign as in ``landmarks``.
    """
    template = template_mesh()[MESH_TO_78[STABLE_78]]
    points = np.asarray(landmarks_px, np.float64)[:, STABLE_78, :2]
    yaw = np.full(len(points), np.nan)
    seen = np.isfinite(points).all(axis=(1, 2))
    if not seen.any():
        return yaw
    solver = np.linalg.pinv(template - template.mean(axis=0))  # (3, N)
    rows = np.swapaxes(solver @ (points[seen] - points[seen].mean(axis=1, keepdims=True)), 1, 2)  # (T, 2, 3)
    u, _, vt = np.linalg.svd(rows, full_matrices=False)
    across, down = np.moveaxis(u @ vt, 1, 0)
    yaw[seen] = -np.rad2deg(np.arcsin(np.clip(np.cross(across, down)[:, 0], -1.0, 1.0)))
    return yaw


def turn_deg(yaw_deg: NDArray[np.floating], landmarks_px: NDArray[np.floating]) -> NDArray[np.float64]:
    """The larger of |yaw| of the pose fit, (T,), and of ``picture_yaw_deg``, in degrees; NaN without a face."""
    return np.maximum(np.abs(np.asarray(yaw_deg, np.float64)), np.abs(picture_yaw_deg(landmarks_px)))
