"""The background without the person, for the `warp` generator: what a moving head uncovers.

Exemplar-based inpainting (Criminisi, Perez and Toyama, "Region filling and object removal by exemplar-based inpainting", IEEE
TIP 2004): patch by patch, along edges first, each copied from the place nearby whose patch fits best what is there already. So
lines go on and texture stays texture; OpenCV's `inpaint` smears both, its patch-based ones take 3-20 s. Departures: patches
are sought close by, and where they overlap their colours are averaged, so that no blocks show.
"""

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from space_data.crop import CROP_SIZE_PX

HALF_PX = 6  # of a patch of 13x13 pixels; of 9x9 the fill comes apart in stripes
DEPTH_PX = 60  # of the person that is replaced: as far as heads that turn, tilt and shift at once uncover
WINDOW_PX, COARSE_PX = 64, 2  # how far away patches are sought, and the step of the first look
FAR_COST = np.float32(5.0)  # of a squared pixel of distance, in squared grey levels of a whole patch
FLAT = np.float32(0.02)  # priority of a place without an edge, of one with the strongest


def without_person(photo: NDArray[np.uint8], person: NDArray[np.bool_]) -> NDArray[np.uint8] | None:
    """`photo` (S, S, 3) with the outer `DEPTH_PX` (of 512 a side) of what is `person` (S, S) replaced by background.

    It is filled at 512 pixels a side, and enlarged. None where there is no background to take from.
    """
    size = (CROP_SIZE_PX, CROP_SIZE_PX)
    at_512 = photo if len(photo) == CROP_SIZE_PX else np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA))
    hole = cv2.resize(person.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    padded = np.pad(hole, HALF_PX, mode="edge")
    sources = cv2.erode((~padded).astype(np.uint8), np.ones((2 * HALF_PX + 1,) * 2, np.uint8))
    for outside in (np.s_[:HALF_PX], np.s_[-HALF_PX:]):
        sources[outside] = sources[:, outside] = 0
    if not sources.any():
        return None
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)
    missing = np.pad(hole & (depth <= DEPTH_PX), HALF_PX)
    rgb = np.pad(at_512, ((HALF_PX, HALF_PX), (HALF_PX, HALF_PX), (0, 0)), mode="edge").astype(np.float32)
    _fill(rgb, missing, ~padded, sources > 0)
    filled = np.clip(rgb[HALF_PX:-HALF_PX, HALF_PX:-HALF_PX] + 0.5, 0, 255).astype(np.uint8)
    return np.where(person[..., None], cv2.resize(filled, photo.shape[1::-1], interpolation=cv2.INTER_CUBIC), photo)


@njit(cache=True, nogil=True, fastmath=True)
def _fill(rgb: NDArray[np.float32], missing: NDArray[np.bool_], known: NDArray[np.bool_], sources: NDArray[np.bool_]) -> None:
    """Fill the `missing` pixels of `rgb` (H, W, 3), in place.

    Args:
        known: of which the colour is known; changed. `sources`: middles of patches all of which is. All (H, W), with a margin of
            half a patch in which nothing is missing.
    """
    height, width = missing.shape
    area = np.float32((2 * HALF_PX + 1) ** 2)
    confidence = known.astype(np.float32)
    priority = np.full((height, width), np.float32(-1))
    total, weights = np.zeros_like(rgb), np.zeros((height, width), np.float32)
    open_pixels = np.argwhere(missing)
    n_open, near_y, near_x, reach = len(open_pixels), 0, 0, height + width
    while True:
        best, best_y, best_x, left = np.float32(-1), -1, -1, 0
        for i in range(n_open):
            y, x = open_pixels[i, 0], open_pixels[i, 1]
            if known[y, x]:
                continue
            open_pixels[left, 0], open_pixels[left, 1] = y, x
            left += 1
            if abs(y - near_y) <= reach and abs(x - near_x) <= reach:
                priority[y, x] = _priority(rgb, known, confidence, y, x)
            if priority[y, x] > best:
                best, best_y, best_x = priority[y, x], y, x
        n_open, near_y, near_x, reach = left, best_y, best_x, 2 * HALF_PX + 1
        if best_y < 0:
            return
        from_y, from_x = _best_match(rgb, known, sources, best_y, best_x)
        sure = np.float32(0)
        for dy in range(-HALF_PX, HALF_PX + 1):
            for dx in range(-HALF_PX, HALF_PX + 1):
                if known[best_y + dy, best_x + dx]:
                    sure += confidence[best_y + dy, best_x + dx]
        for dy in range(-HALF_PX, HALF_PX + 1):
            for dx in range(-HALF_PX, HALF_PX + 1):
                y, x = best_y + dy, best_x + dx
                if not missing[y, x]:
                    continue
                weight = np.float32(1) / np.float32(1 + 2 * max(abs(dy), abs(dx)))
                weights[y, x] += weight
                for channel in range(3):
                    total[y, x, channel] += weight * rgb[from_y + dy, from_x + dx, channel]
                    rgb[y, x, channel] = total[y, x, channel] / weights[y, x]
                if not known[y, x]:
                    known[y, x], confidence[y, x] = True, sure / area


@njit(cache=True, nogil=True, fastmath=True)
def _priority(rgb: NDArray[np.float32], known: NDArray[np.bool_], confidence: NDArray[np.float32], y: int, x: int) -> np.float32:
    """Confidence times edge strength across the front at a pixel; -1 where it does not lie on the front."""
    if not (known[y - 1, x] or known[y + 1, x] or known[y, x - 1] or known[y, x + 1]):
        return np.float32(-1)
    sure, out_x, out_y = np.float32(0), np.float32(0), np.float32(0)
    edge_x, edge_y, strongest = np.float32(0), np.float32(0), np.float32(0)
    for v in range(y - HALF_PX + 1, y + HALF_PX):
        for u in range(x - HALF_PX + 1, x + HALF_PX):
            if not known[v, u]:
                continue
            sure += confidence[v, u]
            out_x += u - x
            out_y += v - y
            if known[v - 1, u] and known[v + 1, u] and known[v, u - 1] and known[v, u + 1]:
                across, down = np.float32(0), np.float32(0)
                for channel in range(3):
                    across += rgb[v, u + 1, channel] - rgb[v, u - 1, channel]
                    down += rgb[v + 1, u, channel] - rgb[v - 1, u, channel]
                strength = across * across + down * down
                if strength > strongest:
                    strongest, edge_x, edge_y = strength, -down, across
    outwards = np.sqrt(out_x * out_x + out_y * out_y) + np.float32(1e-6)
    leads_in = abs(edge_x * out_x + edge_y * out_y) / (outwards * np.float32(3 * 2 * 255))
    return sure * (leads_in + FLAT)


@njit(cache=True, nogil=True, fastmath=True)
def _best_match(
    rgb: NDArray[np.float32], known: NDArray[np.bool_], sources: NDArray[np.bool_], y: int, x: int
) -> tuple[int, int]:
    """Middle of the patch among `sources` that is most like what is known around a pixel; there is one."""
    height, width = known.shape
    lowest, from_y, from_x, window = np.float32(np.inf), -1, -1, WINDOW_PX
    while from_y < 0:
        for fine in range(2):
            mid_y, mid_x, reach, step = (y, x, window, COARSE_PX) if fine == 0 else (from_y, from_x, COARSE_PX - 1, 1)
            if mid_y < 0:
                break
            for v in range(max(0, mid_y - reach), min(height, mid_y + reach + 1), step):
                for u in range(max(0, mid_x - reach), min(width, mid_x + reach + 1), step):
                    if not sources[v, u]:
                        continue
                    cost = FAR_COST * np.float32((v - y) ** 2 + (u - x) ** 2)
                    for dy in range(-HALF_PX, HALF_PX + 1):
                        if cost >= lowest:
                            break
                        for dx in range(-HALF_PX, HALF_PX + 1):
                            if known[y + dy, x + dx]:
                                for channel in range(3):
                                    off = rgb[y + dy, x + dx, channel] - rgb[v + dy, u + dx, channel]
                                    cost += off * off
                    if cost < lowest:
                        lowest, from_y, from_x = cost, v, u
        window *= 2
        if window > 8 * (height + width):  # only sources between the coarse steps
            v, u = np.argwhere(sources)[0]
            return int(v), int(u)
    return from_y, from_x
