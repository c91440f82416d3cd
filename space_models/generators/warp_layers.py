"""What lies behind the skin in the `warp` generator: the inside of the mouth and the eyeballs.

Both are layers fixed to the skull, seen through the holes of the skin mesh ("occlude, don't squeeze": lips and lids slide over
them). A mouth that is closed in the photo gets drawn teeth and a drawn cavity; an open one shows its own teeth. An eye is the
photo's own eye; gaze is a local 2-D warp of it. Lengths are in mouth widths W (inner corner to inner corner) or eye widths,
with x along the corners from the middle and y down from the seam.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from space_data.landmarks import EYE_LEFT, EYE_RIGHT, IRIS_LEFT, IRIS_RIGHT
from space_models.generators.warp_mesh import LID_LOWER, LID_UPPER, LIP_LOWER, LIP_UPPER

Affine = NDArray[np.float64]
"""(2, 3): y = A[:, :2] x + A[:, 2]."""

OPEN_MOUTH_GAP = 0.07  # W: above it the photo's own teeth are used
FADE_IN_GAP = 0.03  # W beyond the photo's own gap until a drawn mouth is opaque: the resting frame is untouched
TEETH_RIDE = 0.65  # of the upper lip's lift: teeth fixed to the skull show a wide band of gum in every smile
HOLE_FADE_PX = (0.8, 2.5)  # heights of a hole between which its layer appears
FEATHER_PX = 0.75
CONTACT_SHADE = 0.25  # of the light that is missing where the lips of an open photo meet
CONTACT_BLUR = 0.01  # of the distance between the mouth's corners
BOX_MARGIN_PX = 4
LUT_BINS = 96
LUT_REACH = 0.75  # widths either side of the middle that outlines are tabulated for
MAX_GAZE = (0.25, 0.12)  # eye widths, right and down
IRIS_TRAVEL = 4 / 3  # of an eye (0.4 eye widths per radian: a ball of 12 mm behind lids of 30) over what the tracker reads of it
CHEEKS = (50, 280, 205, 425)  # mesh vertices where the skin's colour is measured

IVORY = np.array([240.0, 226.0, 204.0])
GUM = np.array([176.0, 96.0, 96.0])
CAVITY_DARK = np.array([42.0, 18.0, 22.0])
TONGUE = np.array([130.0, 62.0, 68.0])
LUMA = np.array([0.299, 0.587, 0.114])
BRIGHT_SKIN_LUMA = 180.0  # skin on which the colours above look right
TEETH_TO_SKIN = 1.3  # teeth at most this much brighter than the skin: uncapped they glow in dark photos
COLOUR_SATURATION = 0.12  # skin of a colour photo has at least this; a black-and-white one has none, nor may its mouth

UPPER_TEETH_HALF, UPPER_TEETH_EDGE, UPPER_TEETH_ARCH = 0.47, 0.078, 0.045
TOOTH_BORDERS = np.array([0.0, 0.138, 0.245, 0.335, 0.405, 0.46])
TOOTH_SHORTER = np.array([0.0, 0.012, 0.004, 0.014, 0.02])  # than the central incisors, W
TOOTH_ROUND = 0.012  # W by which the corners of a tooth's edge are rounded off
GUM_LINE = -0.115
LOWER_TEETH_HALF, LOWER_TEETH_EDGE, LOWER_TOOTH = 0.30, 0.05, 0.078
LOWER_TEETH_LIGHT = np.array([0.72, 0.65, 0.60])  # deeper in the mouth: darker and warmer
LOWER_TEETH_APPEAR = (0.03, 0.10)  # W of jaw drop
LOWER_TEETH_SHOWN = 0.075  # W over the lower lip at most: a higher row looks like a grey disc, and hides the tongue
OWN_TEETH_STRETCH = 1.4  # a lifted lip shows more of the photo's teeth: they are drawn longer up to this, then comes gum
RIDE_BLUR_BINS = 12


@dataclass(frozen=True)
class MouthLayer:
    """Set-up of one photo's mouth. `to_photo` maps mouth coordinates to photo pixels, `from_photo` back; the two rows are the
    photo's inner lip lines tabulated over x; `colours` (4, 3): teeth, gum, dark, tongue."""

    width_px: float
    depth_px: float
    to_photo: Affine
    from_photo: Affine
    upper: NDArray[np.float32]
    lower: NDArray[np.float32]
    gap: float
    is_open: bool
    colours: NDArray[np.float32]


@dataclass(frozen=True)
class EyeLayer:
    """Set-up of one eye, as `MouthLayer`. `side`: 0 left, 1 right of the image; `iris` (2,) and `iris_radius` in eye widths."""

    side: int
    width_px: float
    depth_px: float
    to_photo: Affine
    from_photo: Affine
    upper: NDArray[np.float32]
    lower: NDArray[np.float32]
    opening: float
    iris: NDArray[np.float64]
    iris_radius: float


def _local_frame(left: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[float, Affine, Affine]:
    """Width and the maps local -> photo and photo -> local of a frame whose x axis runs between two corners."""
    across = right - left
    width = float(np.linalg.norm(across))
    basis = np.column_stack([across, [-across[1], across[0]]])  # columns: one width right, one width down
    middle = (left + right) / 2
    inverse = np.linalg.inv(basis)
    return width, np.column_stack([basis, middle]), np.column_stack([inverse, -inverse @ middle])


def apply_affine(affine: Affine, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map points (..., 2)."""
    return xy @ affine[:, :2].T + affine[:, 2]


def compose(outer: Affine, inner: Affine) -> Affine:
    """The map that applies `inner`, then `outer`."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def skull_inverse(scale: float, rotation: NDArray[np.float64], translation: NDArray[np.float64], depth_px: float) -> Affine:
    """Output pixels -> photo pixels for a plane at `depth_px` of the photo that moves with the head."""
    inverse = np.linalg.inv(scale * rotation[:2, :2])
    shift = scale * rotation[:2, 2] * depth_px + translation[:2]
    return np.column_stack([inverse, -inverse @ shift])


def tabulate(row: NDArray[np.float64]) -> NDArray[np.float32]:
    """y of a polyline (N, 2) over LUT_BINS values of x in +-LUT_REACH."""
    order = np.argsort(row[:, 0], kind="stable")
    return np.interp(np.linspace(-LUT_REACH, LUT_REACH, LUT_BINS), row[order, 0], row[order, 1]).astype(np.float32)


def build_mouth(vertices: NDArray[np.float64], rgb: NDArray[np.uint8]) -> MouthLayer:
    """Measure the mouth of a photo (H, W, 3) with mesh `vertices` (V, 3) in its pixels."""
    width, to_photo, from_photo = _local_frame(vertices[LIP_UPPER[0], :2], vertices[LIP_UPPER[-1], :2])
    upper, lower = (apply_affine(from_photo, vertices[row, :2]) for row in (LIP_UPPER, LIP_LOWER))
    middle = slice(3, 8)
    gap = float((lower[middle, 1] - upper[middle, 1]).mean())
    is_open = gap > OPEN_MOUTH_GAP
    seam = float((lower[middle, 1] + upper[middle, 1]).mean() / 2)
    if not is_open:  # y = 0 is the seam, which the drawn teeth hang from
        to_photo = compose(to_photo, np.array([[1.0, 0, 0], [0, 1.0, seam]]))
        from_photo = compose(np.array([[1.0, 0, 0], [0, 1.0, -seam]]), from_photo)
        upper, lower = upper - [0, seam], lower - [0, seam]
    return MouthLayer(
        width_px=width,
        depth_px=float(vertices[np.concatenate([LIP_UPPER[2:-2], LIP_LOWER[2:-2]]), 2].mean()),
        to_photo=to_photo,
        from_photo=from_photo,
        upper=tabulate(upper),
        lower=tabulate(lower),
        gap=gap,
        is_open=is_open,
        colours=_mouth_colours(_skin_colour(vertices, rgb)),
    )


def _skin_colour(vertices: NDArray[np.float64], rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean colour of the cheeks."""
    half = max(2, int(0.02 * np.ptp(vertices[:468, 0])))
    patches = []
    for x, y in vertices[list(CHEEKS), :2].astype(int):
        patch = rgb[max(y - half, 0) : max(y + half + 1, 1), max(x - half, 0) : max(x + half + 1, 1)]
        if patch.size:
            patches.append(patch.reshape(-1, 3).mean(axis=0))
    return np.mean(patches, axis=0) if patches else np.full(3, BRIGHT_SKIN_LUMA)


def _mouth_colours(skin: NDArray[np.float64]) -> NDArray[np.float32]:
    """Teeth, gum, dark and tongue (4, 3) for a photo with this skin: as bright and as colourful as the photo is."""
    skin_luma = float(skin @ LUMA)
    brightness = min(skin_luma / BRIGHT_SKIN_LUMA, 1.0)
    chroma = min(float(np.ptp(skin)) / max(float(skin.max()), 1.0) / COLOUR_SATURATION, 1.0)
    colours = np.stack([IVORY, GUM, CAVITY_DARK, TONGUE]) * brightness
    luma = (colours @ LUMA)[:, None]
    colours = luma + chroma * (colours - luma)
    teeth_luma = float(colours[0] @ LUMA)
    colours[0] *= min(1.0, TEETH_TO_SKIN * skin_luma / max(teeth_luma, 1.0))
    return colours.astype(np.float32)


def build_eyes(vertices: NDArray[np.float64], landmarks: NDArray[np.float64]) -> tuple[EyeLayer, EyeLayer]:
    """Measure both eyes of a photo: mesh `vertices` (V, 3) and `landmarks` (78, 3) in its pixels."""

    def one(side: int, eye: NDArray[np.int64], iris: NDArray[np.int64]) -> EyeLayer:
        width, to_photo, from_photo = _local_frame(landmarks[eye[0], :2], landmarks[eye[3], :2])
        upper, lower = (apply_affine(from_photo, vertices[rows[side], :2]) for rows in (LID_UPPER, LID_LOWER))
        rim = np.linalg.norm(landmarks[iris[1:], :2] - landmarks[iris[0], :2], axis=1)
        return EyeLayer(
            side=side,
            width_px=width,
            depth_px=float(vertices[np.concatenate([LID_UPPER[side], LID_LOWER[side]]), 2].mean()),
            to_photo=to_photo,
            from_photo=from_photo,
            upper=tabulate(upper),
            lower=tabulate(lower),
            opening=float((lower[2:-2, 1] - upper[2:-2, 1]).mean()),
            iris=apply_affine(from_photo, landmarks[iris[0], :2]),
            iris_radius=float(rim.mean()) / width,
        )

    return one(0, EYE_LEFT, IRIS_LEFT), one(1, EYE_RIGHT, IRIS_RIGHT)


def gaze_shift(eyes: tuple[EyeLayer, EyeLayer], unposed: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far both irises have moved from the photo, (2,) in eye widths, from landmarks (78, 3) in the photo's frame.

    Measured against the middle of the eye corners, averaged over the eyes so that noise cannot make them squint, and limited.
    """
    shifts = []
    for eye, corners, iris in zip(eyes, (EYE_LEFT, EYE_RIGHT), (IRIS_LEFT, IRIS_RIGHT), strict=True):
        left, right = unposed[corners[0], :2], unposed[corners[3], :2]
        offset = eye.from_photo[:, :2] @ (unposed[iris[0], :2] - (left + right) / 2)
        shifts.append(offset - eye.iris)
    return np.clip(IRIS_TRAVEL * np.mean(shifts, axis=0), -np.array(MAX_GAZE), MAX_GAZE)


def _height(upper: NDArray[np.float64], lower: NDArray[np.float64]) -> float:
    """Largest distance between two rows (N, 2) that run from corner to corner, across the line between the corners.

    Not between their N points: those of lips that meet lie beside each other, by more the farther the head is turned.
    """
    across = (upper[-1] - upper[0]) / max(float(np.linalg.norm(upper[-1] - upper[0])), 1e-6)
    along = np.stack([across, [-across[1], across[0]]], axis=1)
    (x, y), (x_lower, y_lower) = (upper @ along).T, (lower @ along).T
    order = np.argsort(x_lower, kind="stable")
    return float((np.interp(x, x_lower[order], y_lower[order]) - y).max())


def hole_mask(
    upper: NDArray[np.float64], lower: NDArray[np.float64], size_px: int
) -> tuple[int, int, NDArray[np.float32]] | None:
    """Soft mask of the hole between two rows (N, 2) of output pixels: x0, y0 of its box and (h, w) in [0, 1]; None if shut."""
    height = _height(upper, lower)
    low, high = HOLE_FADE_PX
    fade = min(max((height - low) / (high - low), 0.0), 1.0)
    if fade == 0:
        return None
    outline = np.concatenate([upper, lower[-2:0:-1]])
    x0, y0 = np.maximum(np.floor(outline.min(axis=0)).astype(int) - BOX_MARGIN_PX, 0)
    x1, y1 = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + BOX_MARGIN_PX, size_px)
    if x1 <= x0 or y1 <= y0:
        return None
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    fixed = np.rint((outline - (x0 + 0.5, y0 + 0.5)) * 16).astype(np.int32)
    cv2.fillPoly(mask, [fixed], (255.0,), cv2.LINE_AA, shift=4)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (5, 5), FEATHER_PX)
    return int(x0), int(y0), np.asarray(soft * (fade / 255.0), np.float32)


def shade_contact(frame: NDArray[np.uint8], upper: NDArray[np.float64], lower: NDArray[np.float64]) -> None:
    """Darken the line between lips (rows of (N, 2) output pixels) that meet, in place; it goes as the hole between them appears.

    Lips that were apart in the photo have no shadow where they touch and look as if grown together.
    """
    low, high = HOLE_FADE_PX
    shade = CONTACT_SHADE * min(max((high - _height(upper, lower)) / (high - low), 0.0), 1.0)
    if shade == 0:
        return
    line = (upper + lower) / 2
    blur = max(CONTACT_BLUR * float(np.linalg.norm(line[-1] - line[0])), FEATHER_PX)
    margin = BOX_MARGIN_PX + round(3 * blur)
    x0, y0 = np.maximum(np.floor(line.min(axis=0)).astype(int) - margin, 0)
    x1, y1 = np.minimum(np.ceil(line.max(axis=0)).astype(int) + margin, frame.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    fixed = np.rint((line - (x0 + 0.5, y0 + 0.5)) * 16).astype(np.int32)
    cv2.polylines(mask, [fixed], False, (255.0,), 1, cv2.LINE_AA, shift=4)
    peak = blur * np.sqrt(2 * np.pi) / 255  # 1 in the middle of a straight line of one pixel
    soft = np.minimum(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), blur) * peak, 1.0)
    box = frame[y0:y1, x0:x1]
    box[:] = np.rint(box * (1 - shade * soft[..., None]))


def paint_mouth(
    frame: NDArray[np.uint8],
    photo2x: NDArray[np.uint8],
    layer: MouthLayer,
    rows: tuple[NDArray[np.float64], NDArray[np.float64]],
    to_photo: Affine,
    jaw_drop: float,
) -> None:
    """Composite the inside of the mouth into `frame` (H, W, 3), in place.

    Args:
        photo2x: the photo at twice its size (see `warp.upsample_aligned`).
        rows: upper and lower inner lip line of this frame, (11, 2) output pixels each.
        to_photo: `skull_inverse` at the layer's depth.
        jaw_drop: how far the chin has dropped from the photo, W.
    """
    if layer.is_open:
        shade_contact(frame, *rows)
    hole = hole_mask(*rows, frame.shape[0])
    if hole is None:
        return
    x0, y0, mask = hole
    to_mouth = compose(layer.from_photo, to_photo)
    upper, lower = apply_affine(to_mouth, rows[0]), apply_affine(to_mouth, rows[1])
    gap = float((lower[3:8, 1] - upper[3:8, 1]).mean())
    if not layer.is_open:
        mask *= min(max((gap - layer.gap) / FADE_IN_GAP, 0.0), 1.0)
    upper_y, lower_y = tabulate(upper), tabulate(lower)
    lift = cv2.blur(np.minimum(upper_y - layer.upper, 0.0)[None], (2 * RIDE_BLUR_BINS + 1, 1), borderType=cv2.BORDER_REPLICATE)
    ride = np.asarray(TEETH_RIDE * lift[0], np.float32)
    _mouth_kernel(
        frame,
        photo2x,
        mask,
        (x0, y0),
        to_mouth,
        layer.to_photo,
        (upper_y, lower_y, layer.upper, layer.lower, ride),
        layer.colours,
        (layer.width_px, jaw_drop, 1.0 if layer.is_open else 0.0, min(1.0, 1 / float(upper[-1, 0] - upper[0, 0]))),
    )


def paint_eye(
    frame: NDArray[np.uint8],
    photo2x: NDArray[np.uint8],
    layer: EyeLayer,
    rows: tuple[NDArray[np.float64], NDArray[np.float64]],
    to_photo: Affine,
    gaze: NDArray[np.float64],
) -> None:
    """Composite one eyeball into `frame` (H, W, 3), in place; arguments as for `paint_mouth`, `gaze` from `gaze_shift`."""
    hole = hole_mask(*rows, frame.shape[0])
    if hole is None:
        return
    x0, y0, mask = hole
    to_eye = compose(layer.from_photo, to_photo)
    upper, lower = apply_affine(to_eye, rows[0]), apply_affine(to_eye, rows[1])
    opening = float((lower[2:-2, 1] - upper[2:-2, 1]).mean())
    dropped = min(max(1 - opening / max(layer.opening, 1e-3), 0.0), 1.0)
    _eye_kernel(
        frame,
        photo2x,
        mask,
        (x0, y0),
        to_eye,
        layer.to_photo,
        (tabulate(upper), layer.upper, layer.lower),
        (layer.width_px, layer.iris[0] + gaze[0], layer.iris[1] + gaze[1], gaze[0], gaze[1], layer.iris_radius, dropped),
    )


@njit(cache=True, nogil=True, fastmath=True)
def _ramp(low: float, high: float, x: float) -> float:
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@njit(cache=True, nogil=True, fastmath=True)
def _lookup(table: NDArray[np.float32], x: float) -> float:
    position = (x + LUT_REACH) * (LUT_BINS - 1) / (2 * LUT_REACH)
    position = min(max(position, 0.0), LUT_BINS - 1.001)
    i = int(position)
    share = position - i
    return table[i] * (1 - share) + table[i + 1] * share


@njit(cache=True, nogil=True, fastmath=True)
def _sample(photo2x: NDArray[np.uint8], x: float, y: float, channel: int) -> float:
    """Bilinear; sample 2 i of `photo2x` is the centre of photo pixel i."""
    u = min(max(2 * x - 1, 0.0), photo2x.shape[1] - 1.001)
    v = min(max(2 * y - 1, 0.0), photo2x.shape[0] - 1.001)
    i, j = int(u), int(v)
    fu, fv = u - i, v - j
    top = photo2x[j, i, channel] * (1 - fu) + photo2x[j, i + 1, channel] * fu
    bottom = photo2x[j + 1, i, channel] * (1 - fu) + photo2x[j + 1, i + 1, channel] * fu
    return top * (1 - fv) + bottom * fv


@njit(cache=True, nogil=True, fastmath=True)
def _mix(out, colour, shade, share):  # type: ignore[no-untyped-def]
    """Lay `colour` (3,) times `shade` over `out` (3,)."""
    for channel in range(3):
        out[channel] += share * (colour[channel] * shade - out[channel])


@njit(cache=True, nogil=True, fastmath=True)
def _draw_cavity(x, y, top, bottom, colours, out):  # type: ignore[no-untyped-def]
    """The dark with the tongue in it, at (x, y) in mouth coordinates."""
    depth = (y - top) / max(bottom - top, 1e-4)
    tongue = _ramp(0.4, 1.0, depth) * max(1 - (x / 0.45) ** 2, 0.0)
    _mix(out, colours[2], 1.0, 1.0)
    _mix(out, colours[3], 1.0, tongue)


@njit(cache=True, nogil=True, fastmath=True)
def _draw_lower_teeth(x, y, lip, soft, jaw_drop, colours, out):  # type: ignore[no-untyped-def]
    """A row that has gone down with the jaw; seen only once that has dropped. `lip`: y of the middle of the lower lip."""
    arch = (x / LOWER_TEETH_HALF) ** 2
    appear = _ramp(LOWER_TEETH_APPEAR[0], LOWER_TEETH_APPEAR[1], jaw_drop)
    if appear == 0 or arch >= 1:
        return
    border = abs(x / LOWER_TOOTH - np.rint(x / LOWER_TOOTH)) * LOWER_TOOTH
    middle = max(LOWER_TEETH_EDGE + jaw_drop, lip - LOWER_TEETH_SHOWN)
    edge = middle + 0.03 * arch + 0.006 * (1 - _ramp(0.0, 0.015, border))
    cover = appear * _ramp(edge - soft, edge + soft, y) * _ramp(0.0, 0.5, 1 - arch)
    shade = (1.0 - 0.5 * arch) * (0.88 + 0.12 * _ramp(0.0, 0.012, border)) * (1 - 0.25 * _ramp(0.04, 0.14, y - edge))
    for channel in range(3):
        out[channel] += cover * (colours[0, channel] * LOWER_TEETH_LIGHT[channel] * shade - out[channel])


@njit(cache=True, nogil=True, fastmath=True)
def _draw_upper_teeth(x, hung, soft, colours, out):  # type: ignore[no-untyped-def]
    """The upper row at (x, hung), `hung` = y without the ride: real tooth widths, rounded edges, darker to the sides."""
    reach = abs(x)
    arch = (reach / UPPER_TEETH_HALF) ** 2
    if arch >= 1:
        return
    tooth = 0
    while tooth < TOOTH_SHORTER.shape[0] - 1 and reach > TOOTH_BORDERS[tooth + 1]:
        tooth += 1
    border = max(min(reach - TOOTH_BORDERS[tooth], TOOTH_BORDERS[tooth + 1] - reach), 0.0)
    rounded = (1 - _ramp(0.0, 0.035, border)) * TOOTH_ROUND
    edge = UPPER_TEETH_EDGE - UPPER_TEETH_ARCH * arch - TOOTH_SHORTER[tooth] - rounded
    cover = (1 - _ramp(edge - soft, edge + soft, hung)) * _ramp(0.0, 0.3, 1 - arch)
    line = 1 - _ramp(0.0, max(0.014, 1.2 * soft), border)
    shade = (1.0 - 0.62 * arch) * (1 - 0.16 * line) * (1 - 0.10 * _ramp(edge - 0.04, edge, hung))
    gum = 1 - _ramp(GUM_LINE - 0.012, GUM_LINE + 0.012, hung + 0.02 * _ramp(0.0, 0.04, border))
    _mix(out, colours[0], shade, cover * (1 - gum))
    _mix(out, colours[1], shade, cover * gum)


@njit(cache=True, nogil=True, fastmath=True)
def _own_teeth_y(x, hung, top, lines, inset):  # type: ignore[no-untyped-def]
    """Where in the photo's open mouth the point (x, hung) shows: its y there, and how far it lies above / below what is there."""
    first, last = _lookup(lines[2], x) + inset, _lookup(lines[3], x) - inset
    first = min(first, last)
    above = top + inset
    if above < first:
        squeeze = max((last - first) / (last - above), 1 / OWN_TEETH_STRETCH)
        hung = last - (last - hung) * squeeze
    return max(min(hung, last), first), first - hung, hung - last


@njit(cache=True, nogil=True, fastmath=True)
def _mouth_kernel(frame, photo2x, mask, corner, to_mouth, to_photo, lines, colours, numbers):  # type: ignore[no-untyped-def]
    """`lines`: upper and lower inner lip of the frame, the same of the photo, ride of the teeth; all tabulated over x."""
    width_px, jaw_drop, is_open, narrower = numbers
    soft, inset = 0.7 / width_px, 1.2 / width_px
    lip = _lookup(lines[1], 0.0)
    value = np.empty(3)
    photo = np.empty(3)
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            alpha = mask[row, column]
            if alpha < 1 / 512:
                continue
            px, py = corner[0] + column + 0.5, corner[1] + row + 0.5
            x = to_mouth[0, 0] * px + to_mouth[0, 1] * py + to_mouth[0, 2]
            y = to_mouth[1, 0] * px + to_mouth[1, 1] * py + to_mouth[1, 2]
            top, bottom, ride = _lookup(lines[0], x), _lookup(lines[1], x), _lookup(lines[4], x)
            x *= narrower  # a smile wider than the photo's mouth bares more teeth, not black corners
            _draw_cavity(x, y, top, bottom, colours, value)
            if is_open == 0:
                _draw_lower_teeth(x, y, lip, soft, jaw_drop, colours, value)
                _draw_upper_teeth(x, y - ride, soft, colours, value)
            shadow = (0.68 + 0.32 * _ramp(0.0, 0.04, y - top)) * (0.7 + 0.3 * _ramp(0.0, 0.03, bottom - y))
            shadow *= 0.5 + 0.5 * _ramp(0.0, 0.12, 0.5 - abs(x))
            _mix(value, value, shadow, 1.0)
            if is_open > 0:
                own_y, above, below = _own_teeth_y(x, y - ride, top - ride, lines, inset)
                sx = to_photo[0, 0] * x + to_photo[0, 1] * own_y + to_photo[0, 2]
                sy = to_photo[1, 0] * x + to_photo[1, 1] * own_y + to_photo[1, 2]
                for channel in range(3):
                    photo[channel] = _sample(photo2x, sx, sy, channel)
                gum = _ramp(0.0, 0.03, above)
                _mix(photo, colours[1], 0.8 * shadow, gum * (1 - _ramp(0.26, 0.40, abs(x))))
                _mix(photo, colours[2], shadow, gum * _ramp(0.26, 0.40, abs(x)))
                _mix(value, photo, 1.0, (1 - _ramp(0.0, 0.05, below)) * (1 - _ramp(0.47, 0.53, abs(x))))
            for channel in range(3):
                mixed = frame[corner[1] + row, corner[0] + column, channel] * (1 - alpha) + value[channel] * alpha
                frame[corner[1] + row, corner[0] + column, channel] = np.uint8(min(max(mixed + 0.5, 0.0), 255.0))


@njit(cache=True, nogil=True, fastmath=True)
def _eye_kernel(frame, photo2x, mask, corner, to_eye, to_photo, lines, numbers):  # type: ignore[no-untyped-def]
    upper, photo_upper, photo_lower = lines
    width_px, iris_x, iris_y, gaze_x, gaze_y, radius, dropped = numbers
    inset = 0.6 / width_px
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            alpha = mask[row, column]
            if alpha < 1 / 512:
                continue
            px, py = corner[0] + column + 0.5, corner[1] + row + 0.5
            x = to_eye[0, 0] * px + to_eye[0, 1] * py + to_eye[0, 2]
            y = to_eye[1, 0] * px + to_eye[1, 1] * py + to_eye[1, 2]
            distance = np.sqrt((x - iris_x) ** 2 + (y - iris_y) ** 2) / radius
            # linear: a smooth step would fold the white of the eye behind the iris over itself
            moved = min(max((2.6 - distance) / (2.6 - 1.15), 0.0), 1.0)
            x_photo, y_photo = x - gaze_x * moved, y - gaze_y * moved
            first, last = _lookup(photo_upper, x_photo) + inset, _lookup(photo_lower, x_photo) - inset
            y_photo = max(min(y_photo, last), min(first, last))
            sx = to_photo[0, 0] * x_photo + to_photo[0, 1] * y_photo + to_photo[0, 2]
            sy = to_photo[1, 0] * x_photo + to_photo[1, 1] * y_photo + to_photo[1, 2]
            light = 1 - 0.35 * dropped * (1 - _ramp(0.0, 0.08, y - _lookup(upper, x)))
            for channel in range(3):
                value = _sample(photo2x, sx, sy, channel) * light
                value = frame[corner[1] + row, corner[0] + column, channel] * (1 - alpha) + value * alpha
                frame[corner[1] + row, corner[0] + column, channel] = np.uint8(min(max(value + 0.5, 0.0), 255.0))
