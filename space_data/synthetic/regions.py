"""Named parts of the 468-vertex cage (MediaPipe's numbering): the only place of the synthetic head with bare indices.

"Left" and "right" are of the image. Rings run clockwise as seen on the screen, starting where noted.
"""

import numpy as np

from space_data.synthetic.cage import load_cage, mirror_map

OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Border of the face: from the middle of the forehead to the image right and round."""

LID_UPPER_LEFT = (246, 161, 160, 159, 158, 157, 173)
LID_LOWER_LEFT = (7, 163, 144, 145, 153, 154, 155)
"""Partners of LID_UPPER_LEFT, from the outer to the inner corner: a blink brings each upper one to its partner."""
EYE_CORNERS_LEFT = (33, 133)
EYE_RING_LEFT = (33, *LID_UPPER_LEFT, 133, *LID_LOWER_LEFT[::-1])
LID_FOLD_LEFT = (247, 30, 29, 27, 28, 56, 190)
"""The row above LID_UPPER_LEFT."""
EYE_BAG_LEFT = (25, 110, 24, 23, 22, 26, 112)
"""The row below LID_LOWER_LEFT."""

BROW_UPPER_LEFT = (70, 63, 105, 66, 107)
BROW_LOWER_LEFT = (46, 53, 52, 65, 55)
"""Both from the temple to the nose."""

LIP_RINGS_UPPER = (
    (185, 40, 39, 37, 0, 267, 269, 270, 409),
    (184, 74, 73, 72, 11, 302, 303, 304, 408),
    (183, 42, 41, 38, 12, 268, 271, 272, 407),
    (191, 80, 81, 82, 13, 312, 311, 310, 415),
)
LIP_RINGS_LOWER = (
    (146, 91, 181, 84, 17, 314, 405, 321, 375),
    (77, 90, 180, 85, 16, 315, 404, 320, 307),
    (96, 89, 179, 86, 15, 316, 403, 319, 325),
    (95, 88, 178, 87, 14, 317, 402, 318, 324),
)
"""Rows of the red of the lips, outermost first, each from image left to right, without the corners."""
LIP_CORNERS_LEFT = (61, 76, 62, 78)
LIP_CORNERS_RIGHT = (291, 306, 292, 308)
"""Outermost first."""
INNER_LIP = (78, *LIP_RINGS_UPPER[3], 308, *LIP_RINGS_LOWER[3][::-1])
OUTER_LIP = (61, *LIP_RINGS_UPPER[0], 291, *LIP_RINGS_LOWER[0][::-1])

CHIN = (152, 148, 377, 176, 400, 175, 199, 200, 18, 171, 396, 208, 428, 201, 421)
CHIN_TIP = 152
NOSE_TIP = 4
NOSE_BASE = (2, 97, 326, 98, 327, 164)
NOSE = (1, 2, 4, 5, 6, 195, 197, 168, 98, 327, 97, 326, 48, 278, 64, 294, 49, 279, 129, 358, 102, 331, 115, 344, 131, 360)
NOSE_WING_LEFT = (129, 102, 49, 48, 64, 98)
NOSTRIL_LEFT = 20
CHEEK_LEFT = (50, 101, 118, 205, 36)
"""The apple of the cheek."""
SNEER_LEFT = (129, 209, 49, 198, 126, 142, 203)
FOREHEAD_TOP = (10, 109, 67, 103, 54, 338, 297, 332, 284, 151)

JAW_OVAL_WEIGHTS = {93: 0.04, 132: 0.13, 58: 0.33, 172: 0.60, 136: 0.82, 150: 0.95, 149: 1.0}
"""How much of the jaw's turn each vertex of the left half of the oval takes part in."""


def mirrored(indices: tuple[int, ...]) -> tuple[int, ...]:
    """The same part on the other side of the face, in the same order."""
    partner = mirror_map(load_cage().vertices)
    return tuple(int(partner[i]) for i in indices)


LID_UPPER = (LID_UPPER_LEFT, mirrored(LID_UPPER_LEFT))
LID_LOWER = (LID_LOWER_LEFT, mirrored(LID_LOWER_LEFT))
EYE_CORNERS = (EYE_CORNERS_LEFT, mirrored(EYE_CORNERS_LEFT))
EYE_RING = (EYE_RING_LEFT, mirrored(EYE_RING_LEFT))
LID_FOLD = (LID_FOLD_LEFT, mirrored(LID_FOLD_LEFT))
EYE_BAG = (EYE_BAG_LEFT, mirrored(EYE_BAG_LEFT))
BROW_UPPER = (BROW_UPPER_LEFT, mirrored(BROW_UPPER_LEFT))
BROW_LOWER = (BROW_LOWER_LEFT, mirrored(BROW_LOWER_LEFT))
CHEEK = (CHEEK_LEFT, mirrored(CHEEK_LEFT))
SNEER = (SNEER_LEFT, mirrored(SNEER_LEFT))
NOSTRIL = (NOSTRIL_LEFT, mirrored((NOSTRIL_LEFT,))[0])
"""Pairs (image left, image right)."""

N_SIDES = 2
LIP_PROFILE = np.array([0.35, 0.65, 0.88, 0.98, 1.0, 0.98, 0.88, 0.65, 0.35])
"""How much of a lip's raising or lowering each of the nine vertices of a row takes part in."""
