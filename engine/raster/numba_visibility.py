"""Visibility on the CPU: triangles are binned to horizontal bands, each band has its own depth buffer.

Screen positions are snapped to 1/4096 pixel, so that edge functions are exact integers: triangles that share an edge
never leave a hole or claim a pixel twice. Triangles that reach behind the camera, far off the screen or through the
near or far plane take a slower path with homogeneous edge functions (Olano and Greer 1997); edges between two snapped
vertices stay exact there too.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.settings import kernel, parallel_kernel
from engine.raster.numba_lanes import LANES, raise_keys

SUBPIXEL_BITS = 12
SUBPIXEL = 1 << SUBPIXEL_BITS
HALF = SUBPIXEL // 2
GUARD = 32768.0  # pixels; beyond it positions are not snapped
BAND_ROWS = 32
LAST_NUMBER = 0x7FFFFFFF
LOW_HALF = 0xFFFFFFFF
CHUNKS = 16  # of triangles, while binning
SMALL = 128  # pixels; the edge functions of triangles up to this wide and high fit 32 bits
TILE = 8  # pixels; what faces away is tested against the farthest surface of whole tiles first
NEARER = np.float32(1 + 1e-5)  # pays for rounding in interpolated depths

# what is known of a vertex
SNAPPED = 1  # in front of the camera and within the guard band
IN_RANGE = 2  # |z/w| <= 1
FINITE = 4
REGULAR = SNAPPED | IN_RANGE | FINITE


@kernel
def bands_of(height):
    """How many bands an image of `height` rows has."""
    return (height + BAND_ROWS - 1) // BAND_ROWS


@kernel
def band_of(order, bands):
    """A fixed shuffle of the bands, so that contiguous runs of them take equally long."""
    stride = 5
    while bands % stride == 0:
        stride += 2
    return (order * stride) % bands


@kernel
def _homogeneous_bounds(a, b, c, width, height):
    """Inclusive pixel bounds (x0, x1, y0, y1) of what lies in front of the near plane; x1 < x0 if nothing does."""
    corners = (a, b, c)
    low_x, high_x, low_y, high_y = np.inf, -np.inf, np.inf, -np.inf
    for i in range(3):
        p = corners[i]
        q = corners[(i + 1) % 3]
        near_p, near_q = p[2] + p[3], q[2] + q[3]
        for end in range(2):
            if end == 0:
                if near_p < 0:
                    continue
                x, y, w = p[0], p[1], p[3]
            else:
                if (near_p < 0) == (near_q < 0):
                    continue
                t = near_p / (near_p - near_q)
                x, y, w = p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1]), p[3] + t * (q[3] - p[3])
            if w <= 0:  # the near plane does not lie in front of this camera: no bound
                return 0, width - 1, 0, height - 1
            sx, sy = (x / w + 1) * 0.5 * width, (y / w + 1) * 0.5 * height
            low_x, high_x = min(low_x, sx), max(high_x, sx)
            low_y, high_y = min(low_y, sy), max(high_y, sy)
    if not (low_x <= high_x):
        return 0, -1, 0, -1
    # one pixel more on every side pays for snapping and rounding
    x0 = np.int64(max(min(low_x, width + 2.0) - 1.5, 0.0))
    y0 = np.int64(max(min(low_y, height + 2.0) - 1.5, 0.0))
    x1 = np.int64(min(max(high_x, -2.0) + 1.5, width - 1.0))
    y1 = np.int64(min(max(high_y, -2.0) + 1.5, height - 1.0))
    return x0, x1, y0, y1


@kernel
def _corner(clip, v):
    return np.float64(clip[v, 0]), np.float64(clip[v, 1]), np.float64(clip[v, 2]), np.float64(clip[v, 3])


@kernel
def _determinant(a, b, c):
    return a[0] * (b[1] * c[3] - c[1] * b[3]) - a[1] * (b[0] * c[3] - c[0] * b[3]) + a[3] * (b[0] * c[1] - c[0] * b[1])


@kernel
def _snapped_bounds(ax, ay, bx, by, cx, cy, width, height):
    x0 = max((min(ax, bx, cx) + HALF - 1) >> SUBPIXEL_BITS, 0)
    x1 = min((max(ax, bx, cx) - HALF) >> SUBPIXEL_BITS, width - 1)
    y0 = max((min(ay, by, cy) + HALF - 1) >> SUBPIXEL_BITS, 0)
    y1 = min((max(ay, by, cy) - HALF) >> SUBPIXEL_BITS, height - 1)
    return x0, x1, y0, y1


@kernel
def _bands_touched(clip, screen, state, i, j, k, width, height, cull):
    """(first, last) band a triangle may touch and whether it faces away; (0, -1, False) if it shows nowhere."""
    if i == j or j == k or k == i:
        return 0, -1, False
    both = state[i] & state[j] & state[k]
    if both == REGULAR:
        ax, ay = np.int64(screen[i, 0]), np.int64(screen[i, 1])
        bx, by = np.int64(screen[j, 0]), np.int64(screen[j, 1])
        cx, cy = np.int64(screen[k, 0]), np.int64(screen[k, 1])
        x0, x1, y0, y1 = _snapped_bounds(ax, ay, bx, by, cx, cy, width, height)
        if x1 < x0 or y1 < y0:
            return 0, -1, False
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or (cull and area > 0):
            return 0, -1, False
    else:
        if both & FINITE == 0:
            return 0, -1, False
        a, b, c = _corner(clip, i), _corner(clip, j), _corner(clip, k)
        for axis in range(3):  # entirely beyond one side of the frustum
            if (a[axis] > a[3] and b[axis] > b[3] and c[axis] > c[3]) or (
                a[axis] < -a[3] and b[axis] < -b[3] and c[axis] < -c[3]
            ):
                return 0, -1, False
        area = _determinant(a, b, c)
        if area == 0 or (cull and area > 0):
            return 0, -1, False
        x0, x1, y0, y1 = _homogeneous_bounds(a, b, c, width, height)
        if x1 < x0 or y1 < y0:
            return 0, -1, False
    return y0 // BAND_ROWS, y1 // BAND_ROWS, area > 0


@kernel
def _key(inverse_depth, number):
    """A pixel's content as one integer: the larger is the nearer, of equal depths the smaller triangle number."""
    return (np.int64(np.float32(inverse_depth).view(np.int32)) << 32) | (LAST_NUMBER - number)


@kernel
def _fill_rows(integer, keys, x0, x1, y0, y1, low, weights, along_x, along_y, depth_row, depth_x, depth_y):
    """Draw rows y0 to y1 of `keys`; edge functions are of the type `integer`, without a branch in LANES pixels."""
    a, b, c = integer(weights[0]), integer(weights[1]), integer(weights[2])
    a_x, b_x, c_x = integer(along_x[0]), integer(along_x[1]), integer(along_x[2])
    a_y, b_y, c_y = integer(along_y[0]), integer(along_y[1]), integer(along_y[2])
    pitch = keys.shape[1]
    for y in range(y0, y1 + 1):
        for x in range(0, x1 + 1 - x0, LANES):
            moved = integer(a + x * a_x), integer(b + x * b_x), integer(c + x * c_x)
            raise_keys(keys, y * pitch + x0 + x, moved, (a_x, b_x, c_x), depth_row + x * depth_x, depth_x, low)
        a, b, c = integer(a + a_y), integer(b + b_y), integer(c + c_y)
        depth_row += depth_y


@kernel
def _draw_snapped(screen, inverse_depth, i, j, k, number, first_row, last_row, width, height, keys):
    """Exact integer edge functions, all three vertices snapped.

    They change by multiples of SUBPIXEL from one pixel to the next, so that their signs outlive a division by it
    (rounded down), after which those of triangles up to SMALL pixels fit 32 bits.
    """
    ax, ay = np.int64(screen[i, 0]), np.int64(screen[i, 1])
    bx, by = np.int64(screen[j, 0]), np.int64(screen[j, 1])
    cx, cy = np.int64(screen[k, 0]), np.int64(screen[k, 1])
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if area < 0:
        bx, by, cx, cy = cx, cy, bx, by
        j, k = k, j
        area = -area
    x0, x1, y0, y1 = _snapped_bounds(ax, ay, bx, by, cx, cy, width, height)
    wide, high = max(ax, bx, cx) - min(ax, bx, cx), max(ay, by, cy) - min(ay, by, cy)
    small = max(wide, high) < SMALL * SUBPIXEL
    y0, y1 = max(y0, first_row), min(y1, last_row)
    px, py = x0 * SUBPIXEL + HALF, y0 * SUBPIXEL + HALF
    a_weight = (cx - bx) * (py - by) - (cy - by) * (px - bx)  # edge b-c, and so on
    b_weight = (ax - cx) * (py - cy) - (ay - cy) * (px - cx)
    c_weight = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
    a_x, b_x, c_x = by - cy, cy - ay, ay - by  # change to the next pixel, over SUBPIXEL
    a_y, b_y, c_y = cx - bx, ax - cx, bx - ax
    base = np.float64(inverse_depth[i])
    along_b = (np.float64(inverse_depth[j]) - base) / area
    along_c = (np.float64(inverse_depth[k]) - base) / area
    depth_row = base + b_weight * along_b + c_weight * along_c
    depth_x = SUBPIXEL * (b_x * along_b + c_x * along_c)
    depth_y = SUBPIXEL * (b_y * along_b + c_y * along_c)
    # a pixel on an edge belongs to the triangle into which an infinitesimal step right (then down) leads
    if not (a_x > 0 or (a_x == 0 and a_y > 0)):
        a_weight -= 1
    if not (b_x > 0 or (b_x == 0 and b_y > 0)):
        b_weight -= 1
    if not (c_x > 0 or (c_x == 0 and c_y > 0)):
        c_weight -= 1
    weights = a_weight >> SUBPIXEL_BITS, b_weight >> SUBPIXEL_BITS, c_weight >> SUBPIXEL_BITS
    along_x, along_y = (a_x, b_x, c_x), (a_y, b_y, c_y)
    y0, y1 = y0 - first_row, y1 - first_row
    if small:
        _fill_rows(
            np.int32, keys, x0, x1, y0, y1, LAST_NUMBER - number, weights, along_x, along_y, depth_row, depth_x, depth_y
        )
    else:
        _fill_rows(
            np.int64, keys, x0, x1, y0, y1, LAST_NUMBER - number, weights, along_x, along_y, depth_row, depth_x, depth_y
        )


@kernel
def _farthest_of_tiles(keys, rows, farthest):
    """farthest [tiles down, tiles across] float32 = the least 1/w in each tile of `keys`, 0 where it has background."""
    for ty in range((rows + TILE - 1) // TILE):
        for tx in range(farthest.shape[1]):
            least = np.int64(0x7FFFFFFFFFFFFFFF)
            for y in range(ty * TILE, min((ty + 1) * TILE, rows)):
                for lane in range(TILE):
                    least = min(least, keys[y, tx * TILE + lane])
            farthest[ty, tx] = np.int32(least >> 32).view(np.float32)


@kernel
def _hidden(screen, inverse_depth, i, j, k, first_row, last_row, width, height, farthest):
    """Whether all tiles that a snapped triangle may touch show something nearer than its nearest vertex."""
    ax, ay = np.int64(screen[i, 0]), np.int64(screen[i, 1])
    bx, by = np.int64(screen[j, 0]), np.int64(screen[j, 1])
    cx, cy = np.int64(screen[k, 0]), np.int64(screen[k, 1])
    x0, x1, y0, y1 = _snapped_bounds(ax, ay, bx, by, cx, cy, width, height)
    y0, y1 = max(y0, first_row) - first_row, min(y1, last_row) - first_row
    nearest = max(inverse_depth[i], inverse_depth[j], inverse_depth[k]) * NEARER
    for ty in range(y0 // TILE, y1 // TILE + 1):
        for tx in range(x0 // TILE, x1 // TILE + 1):
            if nearest >= farthest[ty, tx]:
                return False
    return True


@kernel
def _edge_sign(clip, screen, state, p, q, x, y, width, height):
    """Sign (+1 or -1, never 0) of the pixel centre (x, y) against the edge from vertex p to vertex q."""
    first, second, flip = p, q, 1
    if p > q:
        first, second, flip = q, p, -1
    if state[first] & state[second] & SNAPPED:
        ax, ay = np.int64(screen[first, 0]), np.int64(screen[first, 1])
        dx, dy = np.int64(screen[second, 0]) - ax, np.int64(screen[second, 1]) - ay
        value = dx * (y * SUBPIXEL + HALF - ay) - dy * (x * SUBPIXEL + HALF - ax)
        if value == 0:
            value = np.int64(1) if (dy < 0 or (dy == 0 and dx > 0)) else np.int64(-1)
        return flip if value > 0 else -flip
    a, b = _corner(clip, first), _corner(clip, second)
    nx, ny = (x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1
    ax, ay, bx, by = a[0] - nx * a[3], a[1] - ny * a[3], b[0] - nx * b[3], b[1] - ny * b[3]
    return flip if ax * by - bx * ay >= 0 else -flip


@kernel
def _draw_homogeneous(clip, screen, state, i, j, k, number, first_row, last_row, width, height, keys):
    """Edge functions in homogeneous coordinates, with a test against the near and far planes at every pixel."""
    a, b, c = _corner(clip, i), _corner(clip, j), _corner(clip, k)
    facing = 1 if _determinant(a, b, c) > 0 else -1
    x0, x1, y0, y1 = _homogeneous_bounds(a, b, c, width, height)
    for y in range(max(y0, first_row), min(y1, last_row) + 1):
        ny = (y + 0.5) / height * 2 - 1
        for x in range(x0, x1 + 1):
            if _edge_sign(clip, screen, state, j, k, x, y, width, height) != facing:
                continue
            if _edge_sign(clip, screen, state, k, i, x, y, width, height) != facing:
                continue
            if _edge_sign(clip, screen, state, i, j, x, y, width, height) != facing:
                continue
            nx = (x + 0.5) / width * 2 - 1
            ax, ay, bx, by = a[0] - nx * a[3], a[1] - ny * a[3], b[0] - nx * b[3], b[1] - ny * b[3]
            cx, cy = c[0] - nx * c[3], c[1] - ny * c[3]
            ea, eb = max((bx * cy - cx * by) * facing, 0.0), max((cx * ay - ax * cy) * facing, 0.0)
            ec = max((ax * by - bx * ay) * facing, 0.0)
            z, w = ea * a[2] + eb * b[2] + ec * c[2], ea * a[3] + eb * b[3] + ec * c[3]
            if w > 0 and abs(z) <= w:
                key = _key((ea + eb + ec) / w, number)
                keys[y - first_row, x] = max(keys[y - first_row, x], key)


@parallel_kernel
def draw(clip, triangles, height, width, cull, ids):
    """Fill ids [H,W] int32 (0 = background, else 1 + triangle); returns running sums of covered pixels per band."""
    vertex_count, triangle_count = clip.shape[0], triangles.shape[0]
    screen = np.empty((vertex_count, 2), np.int32)
    inverse_depth = np.empty(vertex_count, np.float32)
    state = np.empty(vertex_count, np.uint8)
    vertex_blocks = (vertex_count + 1023) // 1024
    for block in prange(vertex_blocks):
        low = np.int64(block) * 1024
        for v in range(low, min(low + 1024, vertex_count)):
            x, y, z, w = np.float64(clip[v, 0]), np.float64(clip[v, 1]), np.float64(clip[v, 2]), np.float64(clip[v, 3])
            known = 0
            if np.isfinite(x) and np.isfinite(y) and np.isfinite(z) and np.isfinite(w):
                known = FINITE
                if w > 1e-30:
                    sx, sy = (x / w + 1) * 0.5 * width, (y / w + 1) * 0.5 * height
                    inverse_depth[v] = 1 / w
                    if abs(sx) <= GUARD and abs(sy) <= GUARD:
                        known |= SNAPPED
                        screen[v, 0] = np.int32(np.floor(sx * SUBPIXEL + 0.5))
                        screen[v, 1] = np.int32(np.floor(sy * SUBPIXEL + 0.5))
                    if abs(z) <= w:
                        known |= IN_RANGE
            state[v] = known

    bands = bands_of(height)
    lists = 2 * bands  # of triangles: those that face the viewer, band by band, then those that face away
    touched = np.empty((triangle_count, 2), np.int16)
    counts = np.zeros((CHUNKS, lists), np.int64)
    for c in prange(CHUNKS):
        chunk = np.int64(c)
        own = np.zeros(lists, np.int64)
        for t in range(chunk * triangle_count // CHUNKS, (chunk + 1) * triangle_count // CHUNKS):
            i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            first, last, away = _bands_touched(clip, screen, state, i, j, k, width, height, cull)
            shift = bands if away else 0
            touched[t, 0], touched[t, 1] = first + shift, last + shift
            for band in range(first + shift, last + shift + 1):
                own[band] += 1
        counts[chunk] = own

    starts = np.empty(lists + 1, np.int64)
    total = 0
    for band in range(lists):
        starts[band] = total
        for chunk in range(CHUNKS):
            count = counts[chunk, band]
            counts[chunk, band] = total
            total += count
    starts[lists] = total
    listed = np.empty(total, np.int32)
    for c in prange(CHUNKS):
        chunk = np.int64(c)
        own = counts[chunk].copy()
        for t in range(chunk * triangle_count // CHUNKS, (chunk + 1) * triangle_count // CHUNKS):
            for band in range(touched[t, 0], touched[t, 1] + 1):
                listed[own[band]] = t
                own[band] += 1

    covered = np.zeros(bands + 1, np.int64)
    for order in prange(bands):
        band = band_of(np.int64(order), bands)
        first_row, last_row = band * BAND_ROWS, min((band + 1) * BAND_ROWS, height) - 1
        across = (width + TILE - 1) // TILE
        keys = np.zeros((BAND_ROWS, across * TILE + LANES), np.int64)
        farthest = np.zeros((BAND_ROWS // TILE, across), np.float32)
        for away in range(2):
            low, high = starts[band + away * bands], starts[band + away * bands + 1]
            if away == 1 and high > low:
                _farthest_of_tiles(keys, last_row + 1 - first_row, farthest)
            for entry in range(low, high):
                t = np.int64(listed[entry])
                i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
                if state[i] & state[j] & state[k] == REGULAR:
                    if away == 1 and _hidden(
                        screen, inverse_depth, i, j, k, first_row, last_row, width, height, farthest
                    ):
                        continue
                    _draw_snapped(screen, inverse_depth, i, j, k, t + 1, first_row, last_row, width, height, keys)
                else:
                    _draw_homogeneous(clip, screen, state, i, j, k, t + 1, first_row, last_row, width, height, keys)
        count = 0
        for y in range(first_row, last_row + 1):
            for x in range(width):
                key = keys[y - first_row, x]
                ids[y, x] = LAST_NUMBER - (key & LOW_HALF) if key != 0 else 0
                count += key != 0
        covered[band + 1] = count
    for band in range(bands):
        covered[band + 1] += covered[band]
    return covered
