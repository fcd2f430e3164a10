"""Numba kernels of FlexiCubes that find the crossed cells and number their dual vertices and quads.

Corners are flat [(R+1)^3], cells flat [R^3], both in x, y, z order. Every output is written by exactly one iteration,
so the results do not depend on the thread count.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.settings import kernel, parallel_kernel

WALL = 1e-2  # cells; outermost corners are lifted to at least this, which closes surfaces that leave the box


@parallel_kernel
def corner_sides(sdf, resolution, inside, filled):
    """inside [(R+1)^3] uint8: 1 where sdf < 0, always 0 on the box's boundary; filled [R+1,R+1]: their sums along z."""
    n = resolution + 1
    for x_ in prange(n):
        x = np.int64(x_)
        base = x * n * n
        if x == 0 or x == resolution:
            inside[base : base + n * n] = 0
            filled[x] = 0
        else:
            for y in range(n):
                row = base + y * n
                inside[row] = 0
                inside[row + n - 1] = 0
                filled[x, y] = 0
                if y == 0 or y == resolution:
                    inside[row : row + n] = 0
                else:
                    count = np.int32(0)
                    for z in range(1, resolution):
                        side = np.uint8(sdf[row + z] < 0.0)
                        inside[row + z] = side
                        count += side
                    filled[x, y] = count


@parallel_kernel
def cell_codes(inside, filled, resolution, codes, counts):
    """codes [R^3] uint8: each cell's configuration; counts [R] int64: crossed cells in each slab of x."""
    n = resolution + 1
    for x_ in prange(resolution):
        x = np.int64(x_)
        count = 0
        for y in range(resolution):
            c = (x * n + y) * n
            out = (x * resolution + y) * resolution
            if filled[x, y] + filled[x + 1, y] + filled[x, y + 1] + filled[x + 1, y + 1] == 0:
                codes[out : out + resolution] = 0
                continue
            for z in range(resolution):
                i = c + z
                code = (
                    inside[i]
                    | inside[i + n * n] << 1
                    | inside[i + n] << 2
                    | inside[i + n * n + n] << 3
                    | inside[i + 1] << 4
                    | inside[i + n * n + 1] << 5
                    | inside[i + n + 1] << 6
                    | inside[i + n * n + n + 1] << 7
                )
                codes[out + z] = np.uint8(code)
                count += np.int64(np.uint8(code + 1) > 1)
        counts[x] = count


@parallel_kernel
def crossed_corner_flags(inside, filled, resolution, flags, counts):
    """flags [(R+1)^3] uint8: 1 at both ends of every crossed edge; counts [R+1] int64 per slab of x."""
    n = resolution + 1
    for x_ in prange(n):
        x = np.int64(x_)
        base = x * n * n
        low, high = (n * n if x > 0 else 0), (n * n if x < resolution else 0)
        count = 0
        for y in range(n):
            row = base + y * n
            left, right = (n if y > 0 else 0), (n if y < resolution else 0)
            around = filled[max(x - 1, 0), y] + filled[min(x + 1, resolution), y]
            around += filled[x, max(y - 1, 0)] + filled[x, min(y + 1, resolution)]
            if filled[x, y] + around == 0:
                flags[row : row + n] = 0
                continue
            for z in range(n):
                i = row + z
                s = inside[i]
                flag = (s ^ inside[i - low]) | (s ^ inside[i + high]) | (s ^ inside[i - left]) | (s ^ inside[i + right])
                below, above = i - np.int64(z > 0), i + np.int64(z < resolution)
                flag |= (s ^ inside[below]) | (s ^ inside[above])
                flags[i] = flag
                count += np.int64(flag)
        counts[x] = count


@parallel_kernel
def compact(flags, slab, starts, is_code, out):
    """out: ascending indices of the flagged entries; slab entries per iteration; a code counts if not 0 or 255."""
    for s_ in prange(starts.shape[0] - 1):
        s = np.int64(s_)
        k = starts[s]
        if starts[s + 1] > k:
            for i in range(s * slab, (s + 1) * slab):
                f = flags[i]
                if f != 0 and not (is_code and f == 255):
                    out[k] = i
                    k += 1


@parallel_kernel
def resolve(cells, codes, resolution, pinched, patch_count, patch, resolved, slot, vertex_counts, quad_counts):
    """Per crossed cell its resolved configuration [A], and how many dual vertices and owned quads it has.

    slot [R^3] int32 receives the cell's place in `cells`; entries of other cells stay undefined.
    """
    r = resolution
    for a_ in prange(cells.shape[0]):
        a = np.int64(a_)
        cell = cells[a]
        slot[cell] = a
        code = np.int64(codes[cell])
        face = np.int64(pinched[code])
        if face >= 0:
            axis, side = face // 2, face % 2
            stride = r * r if axis == 0 else (r if axis == 1 else 1)
            position = cell // stride % r + 2 * side - 1
            if 0 <= position < r:
                other = np.int64(codes[cell + (2 * side - 1) * stride])
                if np.int64(pinched[other]) == 2 * axis + 1 - side:
                    code += 256
        resolved[a] = code
        vertex_counts[a] = patch_count[code]
        quads = 0
        for axis in range(3):
            if patch[code, 4 * axis] >= 0:
                quads += 1
        quad_counts[a] = quads


@kernel
def running_starts(counts, starts):
    """starts [A+1]: exclusive prefix sum of counts."""
    total = 0
    for a in range(counts.shape[0]):
        starts[a] = total
        total += counts[a]
    starts[counts.shape[0]] = total


@parallel_kernel
def quad_corners(cells, resolved, resolution, slot, patch, vertex_start, quad_start, quads, quad_cells):
    """quads, quad_cells [Q,4] int32: dual vertices and cell slots around each crossed edge, counter-clockwise outside.

    The edge along axis a from a cell's corner 0 belongs to that cell; the four cells around it follow each other about
    +a, which is outside's view where the low corner is inside.
    """
    r = resolution
    for a_ in prange(cells.shape[0]):
        a = np.int64(a_)
        q = quad_start[a]
        if quad_start[a + 1] > q:
            cell = cells[a]
            code = np.int64(resolved[a])
            for axis in range(3):
                if patch[code, 4 * axis] >= 0:
                    step_b = r if axis == 0 else (1 if axis == 1 else r * r)
                    step_c = 1 if axis == 0 else (r * r if axis == 1 else r)
                    low_inside = code & 1
                    for k in range(4):
                        db = np.int64(k == 1 or k == 2)
                        dc = np.int64(k >= 2)
                        neighbour = np.int64(slot[cell - db * step_b - dc * step_c])
                        place = k if low_inside else 3 - k
                        local = 4 * axis + db + 2 * dc
                        quads[q, place] = vertex_start[neighbour] + patch[np.int64(resolved[neighbour]), local]
                        quad_cells[q, place] = neighbour
                    q += 1


@parallel_kernel
def quad_triangles(quads, quad_cells, gamma, fan, vertex_count, triangles):
    """triangles [4Q or 2Q,3] int32: a fan about the quad's centre, or two split along the larger product of gammas."""
    for q_ in prange(quads.shape[0]):
        q = np.int64(q_)
        if fan:
            for k in range(4):
                triangles[4 * q + k, 0] = quads[q, k]
                triangles[4 * q + k, 1] = quads[q, (k + 1) % 4]
                triangles[4 * q + k, 2] = vertex_count + q
        else:
            even = gamma[quad_cells[q, 0]] * gamma[quad_cells[q, 2]]
            odd = gamma[quad_cells[q, 1]] * gamma[quad_cells[q, 3]]
            first = 0 if even > odd else 1
            for k in range(2):
                triangles[2 * q + k, 0] = quads[q, first + 2 * k]
                triangles[2 * q + k, 1] = quads[q, (first + 2 * k + 1) % 4]
                triangles[2 * q + k, 2] = quads[q, (first + 2 * k + 2) % 4]
