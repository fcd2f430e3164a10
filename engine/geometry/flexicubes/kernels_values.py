"""Numba kernels of FlexiCubes for values and gradients, in cells: vertices, L_dev, entropy, and their derivatives.

A thread writes only rows of its own cell, quad or corner; what several cells give to one corner is gathered in the
order of the corner's cells. So the results do not depend on the thread count.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from engine.kernels.settings import kernel, parallel_kernel

ONE, ZERO, HALF = np.float32(1.0), np.float32(0.0), np.float32(0.5)
CHUNK = 256  # cells that share one set of scratch arrays, whose allocation would cost as much as the arithmetic


@parallel_kernel
def corner_values(corners, resolution, wall, limit, sdf, deformation, values):
    """values [(R+1)^3,4] at crossed corners: sdf (at least `wall` on the box's boundary) and offset in cells."""
    n = resolution + 1
    for c_ in prange(corners.shape[0]):
        c = np.int64(corners[c_])
        x, y, z = c // (n * n), c // n % n, c % n
        s = sdf[c]
        if x == 0 or y == 0 or z == 0 or x == resolution or y == resolution or z == resolution:
            s = max(s, np.float32(wall))
        values[c, 0] = s
        for axis in range(3):
            values[c, 1 + axis] = np.float32(limit) * math.tanh(deformation[c, axis])


@kernel
def _scratch():
    """Room for one cell after another.

    (crossed edges [12], corners [8], their points [8,3] and levels [8], crossings [12,3] and how far these are from
    their patch's centre [12]; of patches the centres [4,3] and sums of weights, mean distances and numbers [4])
    """
    crossed, corner = np.empty(12, np.int64), np.empty(8, np.int64)
    point, level = np.empty((8, 3), np.float32), np.empty(8, np.float32)
    at, distance = np.empty((12, 3), np.float32), np.empty(12, np.float32)
    centre, total = np.empty((4, 3), np.float32), np.empty(4, np.float32)
    return crossed, corner, point, level, at, distance, centre, total, np.empty(4, np.float32), np.empty(4, np.float32)


@kernel
def _load_cell(cell, code, resolution, edges, patch, values, crossed, corner, point, level):
    """Fill the cell's crossed edge list and, per corner, flat index, position relative to corner 0 and sdf."""
    n = resolution + 1
    x, y, z = cell // (resolution * resolution), cell // resolution % resolution, cell % resolution
    base = (x * n + y) * n + z
    used = 0
    count = 0
    for e in range(12):
        if patch[code, e] >= 0:
            crossed[count] = e
            count += 1
            used |= (1 << edges[e, 0]) | (1 << edges[e, 1])
    for i in range(8):
        if used >> i & 1:
            bx, by, bz = i & 1, i >> 1 & 1, i >> 2 & 1
            c = base + bx * n * n + by * n + bz
            corner[i] = c
            level[i] = values[c, 0]
            point[i, 0] = np.float32(bx) + values[c, 1]
            point[i, 1] = np.float32(by) + values[c, 2]
            point[i, 2] = np.float32(bz) + values[c, 3]
    return count, used


@kernel
def _crossing(i, j, level, alpha, point, at):
    """Fill `at` [3] with the crossing of edge (i, j) and return its parameter t and the two weighted levels."""
    a = level[i] * alpha[i]
    b = level[j] * alpha[j]
    span = a - b
    t = a / span if span != ZERO else HALF
    for axis in range(3):
        at[axis] = point[i, axis] + t * (point[j, axis] - point[i, axis])
    return t, a, b


@kernel
def _distance(a, b):
    """How far the points [3] are apart."""
    dx, dy, dz = a[0] - b[0], a[1] - b[1], a[2] - b[2]
    return math.sqrt(dx * dx + dy * dy + dz * dz)


@parallel_kernel
def dual_vertices(
    cells, resolved, resolution, edges, patch, patch_count, values, weights, scale, vertex_start, origin, size,
    active_weights, vertices, deviation, crossings,
):  # fmt: skip
    """vertices [V,3] capture units; active_weights [A,21] activated; per cell sum |distance - mean|, crossing count."""
    for chunk in prange((cells.shape[0] + CHUNK - 1) // CHUNK):
        begin = np.int64(chunk) * CHUNK
        crossed, corner, point, level, at, distance, centre, total, mean, number = _scratch()
        for a in range(begin, min(begin + CHUNK, cells.shape[0])):
            cell = np.int64(cells[a])
            code = np.int64(resolved[a])
            centre[:] = ZERO
            total[:] = ZERO
            mean[:] = ZERO
            number[:] = ZERO
            count, used = _load_cell(cell, code, resolution, edges, patch, values, crossed, corner, point, level)
            active = active_weights[a]
            for i in range(8):
                if used >> i & 1:
                    active[i] = ONE + np.float32(scale) * math.tanh(weights[cell, i])
                else:
                    active[i] = ONE
            for e in range(12):
                active[8 + e] = ONE
            for m in range(count):
                e = crossed[m]
                k = np.int64(patch[code, e])
                beta = ONE + np.float32(scale) * math.tanh(weights[cell, 8 + e])
                active[8 + e] = beta
                _crossing(edges[e, 0], edges[e, 1], level, active, point, at[m])
                total[k] += beta
                for axis in range(3):
                    centre[k, axis] += beta * at[m, axis]
            active[20] = HALF + np.float32(scale) * (ONE / (ONE + math.exp(-weights[cell, 20])) - HALF)
            position = (cell // (resolution * resolution), cell // resolution % resolution, cell % resolution)
            for k in range(patch_count[code]):
                for axis in range(3):
                    centre[k, axis] /= total[k]
                    vertices[vertex_start[a] + k, axis] = origin[axis] + size[axis] * (position[axis] + centre[k, axis])
            for m in range(count):
                k = np.int64(patch[code, crossed[m]])
                distance[m] = _distance(at[m], centre[k])
                mean[k] += distance[m]
                number[k] += ONE
            spread = 0.0
            for m in range(count):
                k = np.int64(patch[code, crossed[m]])
                spread += abs(distance[m] - mean[k] / number[k])
            deviation[a] = spread
            crossings[a] = count


@kernel
def softplus(x):
    """log(1 + exp(x)) for x >= 0."""
    return x + math.log1p(math.exp(-x))


@parallel_kernel
def edge_entropy(cells, resolved, resolution, values, patch, entropy):
    """entropy [A] float64: binary cross-entropy, summed over the crossed edges that each cell owns."""
    n = resolution + 1
    for a_ in prange(cells.shape[0]):
        a = np.int64(a_)
        cell = np.int64(cells[a])
        code = np.int64(resolved[a])
        x, y, z = cell // (resolution * resolution), cell // resolution % resolution, cell % resolution
        base = (x * n + y) * n + z
        total = 0.0
        for axis in range(3):
            if patch[code, 4 * axis] >= 0:
                step = n * n if axis == 0 else (n if axis == 1 else 1)
                total += softplus(np.float64(abs(values[base, 0]))) + softplus(np.float64(abs(values[base + step, 0])))
        entropy[a] = total


@parallel_kernel
def quad_centres(quads, quad_cells, gamma, vertex_count, vertices):
    """Write vertices[V + q]: the two diagonals' middles, weighted by the product of the gammas at their ends."""
    for q_ in prange(quads.shape[0]):
        q = np.int64(q_)
        even = gamma[quad_cells[q, 0]] * gamma[quad_cells[q, 2]]
        odd = gamma[quad_cells[q, 1]] * gamma[quad_cells[q, 3]]
        share = HALF * even / (even + odd)
        for axis in range(3):
            first = vertices[quads[q, 0], axis] + vertices[quads[q, 2], axis]
            second = vertices[quads[q, 1], axis] + vertices[quads[q, 3], axis]
            vertices[vertex_count + q, axis] = share * first + (HALF - share) * second


@parallel_kernel
def quad_centre_gradients(quads, quad_cells, gamma, vertices, centre_grad, quad_share, quad_grad):
    """Per quad the even diagonal's share [Q] of the centre and dL/d(log of even / odd) [Q]."""
    for q_ in prange(quads.shape[0]):
        q = np.int64(q_)
        even = gamma[quad_cells[q, 0]] * gamma[quad_cells[q, 2]]
        odd = gamma[quad_cells[q, 1]] * gamma[quad_cells[q, 3]]
        share = even / (even + odd)
        total = ZERO
        for axis in range(3):
            first = vertices[quads[q, 0], axis] + vertices[quads[q, 2], axis]
            second = vertices[quads[q, 1], axis] + vertices[quads[q, 3], axis]
            total += HALF * (first - second) * centre_grad[q, axis]
        quad_share[q] = share
        quad_grad[q] = total * share * (ONE - share)


@parallel_kernel
def cell_gradients(
    cells, resolved, resolution, slot, edges, patch, patch_count, values, active_weights, scale, vertex_start,
    quad_start, size, vertex_grad, fan, centre_grad, quad_share, quad_grad, deviation_grad, corner_grad, weight_grad,
):  # fmt: skip
    """corner_grad [A,8,4] (sdf, offset) and rows of weight_grad [R^3,21] from the gradients of vertices and L_dev.

    deviation_grad is dL/dL_dev over the number of crossings; centre_grad [Q,3] and the two arrays after it are those of
    the quads' centres, read only if fan.
    """
    r = resolution
    for chunk in prange((cells.shape[0] + CHUNK - 1) // CHUNK):
        begin = np.int64(chunk) * CHUNK
        crossed, corner, point, level, at, distance, centre, total, mean, number = _scratch()
        t = np.empty(12, np.float32)
        sign = np.empty(12, np.float32)
        sign_mean = np.empty(4, np.float32)
        vd_grad = np.empty((4, 3), np.float32)
        alpha_grad = np.empty(8, np.float32)
        for a in range(begin, min(begin + CHUNK, cells.shape[0])):
            cell = np.int64(cells[a])
            code = np.int64(resolved[a])
            centre[:] = ZERO
            vd_grad[:] = ZERO
            total[:] = ZERO
            mean[:] = ZERO
            sign_mean[:] = ZERO
            number[:] = ZERO
            alpha_grad[:] = ZERO
            count, _ = _load_cell(cell, code, r, edges, patch, values, crossed, corner, point, level)
            active = active_weights[a]
            local = corner_grad[a]
            for i in range(8):
                for m in range(4):
                    local[i, m] = ZERO
            for k in range(patch_count[code]):
                for axis in range(3):
                    vd_grad[k, axis] = size[axis] * vertex_grad[vertex_start[a] + k, axis]
            gamma_grad = ZERO
            for m in range(count):
                e = crossed[m]
                k = np.int64(patch[code, e])
                t[m] = _crossing(edges[e, 0], edges[e, 1], level, active, point, at[m])[0]
                beta = active[8 + e]
                total[k] += beta
                number[k] += ONE
                for axis in range(3):
                    centre[k, axis] += beta * at[m, axis]
                if fan:
                    along = e // 4
                    db, dc = e & 1, e >> 1 & 1
                    step_b = r if along == 0 else (1 if along == 1 else r * r)
                    step_c = 1 if along == 0 else (r * r if along == 1 else r)
                    owner = np.int64(slot[cell + db * step_b + dc * step_c])
                    q = quad_start[owner]
                    for before in range(along):
                        if patch[np.int64(resolved[owner]), 4 * before] >= 0:
                            q += 1
                    is_even = (db ^ dc) ^ (code >> edges[e, 0] & 1)  # the cell's place 0..3 around the quad, modulo 2
                    share = quad_share[q] if is_even else ONE - quad_share[q]
                    gamma_grad += quad_grad[q] if is_even else -quad_grad[q]
                    for axis in range(3):
                        vd_grad[k, axis] += HALF * share * size[axis] * centre_grad[q, axis]
            for k in range(patch_count[code]):
                for axis in range(3):
                    centre[k, axis] /= total[k]
            if deviation_grad != ZERO:
                for m in range(count):
                    k = np.int64(patch[code, crossed[m]])
                    distance[m] = _distance(at[m], centre[k])
                    mean[k] += distance[m] / number[k]
                for m in range(count):
                    k = np.int64(patch[code, crossed[m]])
                    excess = distance[m] - mean[k]
                    sign[m] = ONE if excess > ZERO else (-ONE if excess < ZERO else ZERO)
                    sign_mean[k] += sign[m] / number[k]
                for m in range(count):
                    k = np.int64(patch[code, crossed[m]])
                    factor = ZERO
                    if distance[m] > ZERO:
                        factor = deviation_grad * (sign[m] - sign_mean[k]) / distance[m]
                    sign[m] = factor
                    for axis in range(3):
                        vd_grad[k, axis] -= factor * (at[m, axis] - centre[k, axis])
            row = weight_grad[cell]
            for m in range(count):
                e = crossed[m]
                i, j = edges[e, 0], edges[e, 1]
                k = np.int64(patch[code, e])
                share = active[8 + e] / total[k]
                beta_grad = ZERO
                t_grad = ZERO
                for axis in range(3):
                    apart = at[m, axis] - centre[k, axis]
                    beta_grad += vd_grad[k, axis] * apart / total[k]
                    grad = share * vd_grad[k, axis]
                    if deviation_grad != ZERO:
                        grad += sign[m] * apart
                    t_grad += grad * (point[j, axis] - point[i, axis])
                    local[i, 1 + axis] += (ONE - t[m]) * grad
                    local[j, 1 + axis] += t[m] * grad
                squashed = (active[8 + e] - ONE) / scale
                row[8 + e] = beta_grad * scale * (ONE - squashed * squashed)
                first, second = level[i] * active[i], level[j] * active[j]
                span = first - second
                inverse = t_grad / (span * span) if span != ZERO else ZERO
                local[i, 0] -= inverse * second * active[i]
                local[j, 0] += inverse * first * active[j]
                alpha_grad[i] -= inverse * second * level[i]
                alpha_grad[j] += inverse * first * level[j]
            for i in range(8):
                squashed = (active[i] - ONE) / scale
                row[i] = alpha_grad[i] * scale * (ONE - squashed * squashed)
            if fan:
                sigmoid = HALF + (active[20] - HALF) / scale
                row[20] = gamma_grad / active[20] * scale * sigmoid * (ONE - sigmoid)


@parallel_kernel
def corner_gradients(
    corners, resolution, wall, limit, sdf, values, inside, codes, slot, corner_grad, entropy_grad, sdf_grad, offset_grad
):  # fmt: skip
    """Sum the crossed corners' gradients over their cells, add the entropy's, and pass them to the raw parameters."""
    r = resolution
    n = r + 1
    for c_ in prange(corners.shape[0]):
        c = np.int64(corners[c_])
        x, y, z = c // (n * n), c // n % n, c % n
        sums = np.zeros(4, np.float32)
        for i in range(8):
            cx, cy, cz = x - (i & 1), y - (i >> 1 & 1), z - (i >> 2 & 1)
            if 0 <= cx < r and 0 <= cy < r and 0 <= cz < r:
                cell = (cx * r + cy) * r + cz
                if np.uint8(codes[cell] + 1) > 1:
                    a = np.int64(slot[cell])
                    for m in range(4):
                        sums[m] += corner_grad[a, i, m]
        for axis in range(3):
            squashed = values[c, 1 + axis] / limit
            offset_grad[c, axis] = sums[1 + axis] * limit * (ONE - squashed * squashed)
        boundary = x == 0 or y == 0 or z == 0 or x == r or y == r or z == r
        if not (boundary and sdf[c] < wall):
            edges = 0
            if x > 0:
                edges += inside[c] ^ inside[c - n * n]
            if x < r:
                edges += inside[c] ^ inside[c + n * n]
            if y > 0:
                edges += inside[c] ^ inside[c - n]
            if y < r:
                edges += inside[c] ^ inside[c + n]
            if z > 0:
                edges += inside[c] ^ inside[c - 1]
            if z < r:
                edges += inside[c] ^ inside[c + 1]
            s = values[c, 0]
            slope = ONE / (ONE + math.exp(-abs(s)))
            sdf_grad[c] = sums[0] + np.float32(edges) * entropy_grad * (-slope if inside[c] else slope)
