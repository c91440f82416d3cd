"""Rasterises a deformed triangle mesh into a *source map*: for each output pixel, where in the photo it comes from.

Coordinates rather than colours are interpolated, so that one high-quality resampling of the photo follows. All positions are
in edge convention (the centre of pixel i lies at i + 0.5), as the landmarks are. Compiled by numba; single-threaded.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

FAR = np.float32(1e30)
EDGE_SLACK_PX = 1e-3  # pixels on a shared edge belong to both triangles: no cracks


@njit(cache=True, nogil=True, fastmath=True)
def rasterise(
    vertices: NDArray[np.float32],
    source: NDArray[np.float32],
    triangles: NDArray[np.int32],
    map_xy: NDArray[np.float32],
    depth: NDArray[np.float32],
) -> None:
    """Draw triangles into `map_xy` (H, W, 2), nearest first by `depth` (H, W, smaller = nearer); both are changed in place.

    Args:
        vertices: (V, 3) output pixels and depth.
        source: (V, 2) photo pixels.
        triangles: (F, 3) vertex indices, any winding: back faces are drawn too, because some triangles at the edge of the
            jaw face away already in the photo, and leaving them out tears the near cheek.
    """
    height, width = depth.shape
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay = vertices[a, 0], vertices[a, 1]
        bx, by = vertices[b, 0], vertices[b, 1]
        cx, cy = vertices[c, 0], vertices[c, 1]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-6:
            continue
        first_row = max(0, int(np.ceil(min(ay, by, cy) - 0.5 - EDGE_SLACK_PX)))
        last_row = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5 + EDGE_SLACK_PX)))
        # barycentric weight of b and c as planes w = p x + q y + r
        inv = 1.0 / area
        bp, bq = (cy - ay) * inv, -(cx - ax) * inv
        cp, cq = -(by - ay) * inv, (bx - ax) * inv
        br, cr = -(bp * ax + bq * ay), -(cp * ax + cq * ay)
        # the three attributes as planes, too
        dz1, dz2 = vertices[b, 2] - vertices[a, 2], vertices[c, 2] - vertices[a, 2]
        du1, du2 = source[b, 0] - source[a, 0], source[c, 0] - source[a, 0]
        dv1, dv2 = source[b, 1] - source[a, 1], source[c, 1] - source[a, 1]
        z_step, u_step, v_step = bp * dz1 + cp * dz2, bp * du1 + cp * du2, bp * dv1 + cp * dv2
        for row in range(first_row, last_row + 1):
            y = row + 0.5
            low, high = _span(y, ax, ay, bx, by, cx, cy)
            first = max(0, int(np.ceil(low - 0.5 - EDGE_SLACK_PX)))
            last = min(width - 1, int(np.floor(high - 0.5 + EDGE_SLACK_PX)))
            if first > last:
                continue
            x = first + 0.5
            wb, wc = bp * x + bq * y + br, cp * x + cq * y + cr
            z = vertices[a, 2] + wb * dz1 + wc * dz2
            u = source[a, 0] + wb * du1 + wc * du2
            v = source[a, 1] + wb * dv1 + wc * dv2
            for column in range(first, last + 1):
                if z < depth[row, column]:
                    depth[row, column] = z
                    map_xy[row, column, 0] = u
                    map_xy[row, column, 1] = v
                z += z_step
                u += u_step
                v += v_step


@njit(cache=True, nogil=True, fastmath=True)
def _span(y: float, ax: float, ay: float, bx: float, by: float, cx: float, cy: float) -> tuple[float, float]:
    """Where the horizontal line at `y` enters and leaves a triangle (low > high when it misses it)."""
    low, high = 1e30, -1e30
    for x0, y0, x1, y1 in ((ax, ay, bx, by), (bx, by, cx, cy), (cx, cy, ax, ay)):
        top, bottom = min(y0, y1), max(y0, y1)
        if y < top - EDGE_SLACK_PX or y > bottom + EDGE_SLACK_PX:
            continue
        if bottom - top < 1e-6:
            low, high = min(low, x0, x1), max(high, x0, x1)
            continue
        x = x0 + (min(max(y, top), bottom) - y0) * (x1 - x0) / (y1 - y0)
        low, high = min(low, x), max(high, x)
    return low, high


@njit(cache=True, nogil=True, fastmath=True)
def smooth_seams(rgb: NDArray[np.uint8], map_xy: NDArray[np.float32], jump_px: float) -> None:
    """3x3 binomial filter on just those pixels of `rgb` (changed in place) whose source jumps from a neighbour's.

    Where the near side of the face covers the far side the map has a step, and the outline a one-pixel staircase.
    """
    flagged, n = _jumps(map_xy, np.float32(jump_px * jump_px))
    smoothed = np.empty((n, 3), np.uint8)
    for i in range(n):
        y, x = flagged[i, 0], flagged[i, 1]
        for channel in range(3):
            total = 0
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    total += (2 - abs(dy)) * (2 - abs(dx)) * rgb[y + dy, x + dx, channel]
            smoothed[i, channel] = (total + 8) // 16
    for i in range(n):
        y, x = flagged[i, 0], flagged[i, 1]
        for channel in range(3):
            rgb[y, x, channel] = smoothed[i, channel]


@njit(cache=True, nogil=True, fastmath=True)
def _jumps(map_xy: NDArray[np.float32], limit: np.float32) -> tuple[NDArray[np.int32], int]:
    """Pixels, row and column (N, 2), whose source lies further than the root of `limit` from a neighbour's, and their number.

    Two passes over a row, the first without a branch, so that the compiler makes vectors of it; most rows need no second.
    """
    height, width = map_xy.shape[:2]
    flagged = np.empty((height * width // 4, 2), np.int32)
    right, down, above = np.zeros(width, np.float32), np.zeros(width, np.float32), np.zeros(width, np.float32)
    largest, n = np.float32(0), 0
    for y in range(height - 1):
        above, down = down, above
        largest_above, largest = largest, np.float32(0)
        for x in range(width - 1):
            u, v = map_xy[y, x, 0], map_xy[y, x, 1]
            right[x] = (map_xy[y, x + 1, 0] - u) ** 2 + (map_xy[y, x + 1, 1] - v) ** 2
            down[x] = (map_xy[y + 1, x, 0] - u) ** 2 + (map_xy[y + 1, x, 1] - v) ** 2
            largest = max(largest, max(right[x], down[x]))
        if y == 0 or max(largest, largest_above) <= limit:
            continue
        for x in range(1, width - 1):
            if max(max(right[x - 1], right[x]), max(down[x], above[x])) > limit and n < flagged.shape[0]:
                flagged[n, 0], flagged[n, 1] = y, x
                n += 1
    return flagged, n


@njit(cache=True, nogil=True, fastmath=True)
def soften_stretched(rgb: NDArray[np.uint8], map_xy: NDArray[np.float32], stretch: tuple[float, float], radius: int) -> None:
    """Blur `rgb`, in place, down the columns where the map draws few pixels of the photo out along the row.

    What a turning head shows anew, between cheek and ear, is not in the photo: a narrow strip is stretched over it, and every
    detail in it becomes a streak along the row. Only pixels that are stretched themselves are averaged, nothing beside them.

    Args:
        stretch: photo pixels to a pixel along the row: full blur up to the first, none from the second on.
        radius: of the triangular filter, pixels.
    """
    height, width = map_xy.shape[:2]
    low, high = np.float32(stretch[0]), np.float32(stretch[1])
    limit = 4 * high * high  # over two pixels, squared
    weight = np.zeros((height, width), np.float32)
    found = np.zeros(height, np.bool_)
    for y in range(height):
        for x in range(1, width - 1):
            du, dv = map_xy[y, x + 1, 0] - map_xy[y, x - 1, 0], map_xy[y, x + 1, 1] - map_xy[y, x - 1, 1]
            squared = du * du + dv * dv
            if squared < limit:
                weight[y, x] = min((high - np.float32(0.5) * np.sqrt(squared)) / (high - low), np.float32(1))
                found[y] = True
    sharp = rgb.copy()
    for y in range(height):
        if not found[y]:
            continue
        first, last = max(y - radius, 0), min(y + radius, height - 1)
        for x in range(1, width - 1):
            share = weight[y, x]
            if share <= 0:
                continue
            total = np.float32(0)
            red, green, blue = np.float32(0), np.float32(0), np.float32(0)
            for other in range(first, last + 1):
                part = weight[other, x] * np.float32(radius + 1 - abs(other - y))
                total += part
                red += part * np.float32(sharp[other, x, 0])
                green += part * np.float32(sharp[other, x, 1])
                blue += part * np.float32(sharp[other, x, 2])
            keep, half = np.float32(1) - share, np.float32(0.5)
            share /= total
            rgb[y, x, 0] = np.uint8(keep * np.float32(sharp[y, x, 0]) + share * red + half)
            rgb[y, x, 1] = np.uint8(keep * np.float32(sharp[y, x, 1]) + share * green + half)
            rgb[y, x, 2] = np.uint8(keep * np.float32(sharp[y, x, 2]) + share * blue + half)


@njit(cache=True, nogil=True, fastmath=True)
def sharpen_moved(
    rgb: NDArray[np.uint8], blurred: NDArray[np.uint8], map_xy: NDArray[np.float32], amount: float, full_at_px: float
) -> None:
    """Unsharp mask, in place, as strong as the pixel is displaced: resampling is what blurs, and still pixels are exact.

    `blurred` is `rgb` after a small Gaussian; the full `amount` is used from a displacement of `full_at_px` on. Both pictures
    are contiguous. Weights are whole 256ths, spread over the channels: the second loop then is one of vectors.
    """
    height, width = map_xy.shape[:2]
    most, per_px, half = np.float32(256 * amount), np.float32(256 * amount / full_at_px), np.float32(0.5)
    weight = np.empty(3 * width, np.int16)
    levels, soft = rgb.reshape(height, 3 * width), blurred.reshape(height, 3 * width)
    black, white = np.int32(0), np.int32(255)
    for y in range(height):
        for x in range(width):
            distance = abs(map_xy[y, x, 0] - (np.float32(x) + half)) + abs(map_xy[y, x, 1] - (np.float32(y) + half))
            weight[3 * x] = weight[3 * x + 1] = weight[3 * x + 2] = np.int16(min(most, distance * per_px))
        row, soft_row = levels[y], soft[y]
        for i in range(3 * width):
            value = np.int32(row[i])
            value += ((value - np.int32(soft_row[i])) * np.int32(weight[i]) + 128) >> 8
            row[i] = np.uint8(min(max(value, black), white))
