"""Edge collapses by quadric error (Garland and Heckbert 1997) that keep a manifold mesh manifold.

An edge is only collapsed where the link condition (Dey et al. 1999) holds and no face turns over, so that neither
the topology nor the orientation can change. Serial, with ties broken by vertex numbers: the same bits everywhere.

Every corner 3f+k of the faces is a node of its vertex's list, so that the faces of a merged vertex are those of both
lists, joined. Faces that went stay in the lists and are skipped.
"""

from __future__ import annotations

import heapq

import numpy as np

from engine.kernels.settings import kernel

END = -1  # of a list
ANCHOR = 1e-3  # how strongly a vertex is held where it is, against its planes: even triangles where it is flat
BOUNDARY = 10.0  # weight of the planes that hold an open border
LEAST_TURN = 0.2  # cosine between a face's normal before and after a collapse that is still allowed
THINNEST = 0.02  # least area of a new face, in squares of its longest edge
MOST = 256  # neighbours of a vertex that are looked at; an edge with more stays


@kernel
def _add_plane(quadric, normal_x, normal_y, normal_z, offset, weight):
    """Add `weight` times the squared distance to the plane n.x + offset = 0 to a quadric [10]."""
    quadric[0] += weight * normal_x * normal_x
    quadric[1] += weight * normal_x * normal_y
    quadric[2] += weight * normal_x * normal_z
    quadric[3] += weight * normal_x * offset
    quadric[4] += weight * normal_y * normal_y
    quadric[5] += weight * normal_y * normal_z
    quadric[6] += weight * normal_y * offset
    quadric[7] += weight * normal_z * normal_z
    quadric[8] += weight * normal_z * offset
    quadric[9] += weight * offset * offset


@kernel
def _add_point(quadric, x, y, z, weight):
    """Add `weight` times the squared distance to a point to a quadric [10]."""
    quadric[0] += weight
    quadric[4] += weight
    quadric[7] += weight
    quadric[3] -= weight * x
    quadric[6] -= weight * y
    quadric[8] -= weight * z
    quadric[9] += weight * (x * x + y * y + z * z)


@kernel
def _error(q, x, y, z):
    """The quadric q [10] at a point."""
    along_x = q[0] * x + 2 * (q[1] * y + q[2] * z + q[3])
    along_y = q[4] * y + 2 * (q[5] * z + q[6])
    return x * along_x + y * along_y + z * (q[7] * z + 2 * q[8]) + q[9]


@kernel
def _best(q, points, a, b):
    """(error, x, y, z): where the edge a-b is best collapsed to; its middle where the quadric does not say."""
    c0, c1, c2 = q[4] * q[7] - q[5] * q[5], q[2] * q[5] - q[1] * q[7], q[1] * q[5] - q[2] * q[4]
    determinant = q[0] * c0 + q[1] * c1 + q[2] * c2
    scale = (q[0] + q[4] + q[7]) / 3
    if determinant > 1e-12 * scale * scale * scale:
        c3, c4, c5 = q[0] * q[7] - q[2] * q[2], q[1] * q[2] - q[0] * q[5], q[0] * q[4] - q[1] * q[1]
        x = -(c0 * q[3] + c1 * q[6] + c2 * q[8]) / determinant
        y = -(c1 * q[3] + c3 * q[6] + c4 * q[8]) / determinant
        z = -(c2 * q[3] + c4 * q[6] + c5 * q[8]) / determinant
    else:
        x, y, z = (
            0.5 * (points[a, 0] + points[b, 0]),
            0.5 * (points[a, 1] + points[b, 1]),
            0.5 * (points[a, 2] + points[b, 2]),
        )
    return max(_error(q, x, y, z), 0.0), x, y, z


@kernel
def _cross(points, a, b, c):
    """Twice the area vector (x, y, z) of a triangle."""
    ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
    vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
    return uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx


@kernel
def _quadrics(points, triangles, head, after, alive, quadrics):
    """Fill the quadrics [V,10] of all vertices from their faces, borders and places."""
    for f in range(len(triangles)):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        nx, ny, nz = _cross(points, a, b, c)
        length = np.sqrt(nx * nx + ny * ny + nz * nz)
        if length < 1e-30:
            continue
        nx, ny, nz = nx / length, ny / length, nz / length
        weight = length / 6  # a third of the area to every corner
        offset = -(nx * points[a, 0] + ny * points[a, 1] + nz * points[a, 2])
        for k in range(3):
            v = triangles[f, k]
            _add_plane(quadrics[v], nx, ny, nz, offset, weight)
            _add_point(quadrics[v], points[v, 0], points[v, 1], points[v, 2], ANCHOR * weight)
        for k in range(3):
            start, end = triangles[f, k], triangles[f, (k + 1) % 3]
            if _shared_faces(triangles, head, after, alive, start, end) > 1:
                continue
            ex, ey, ez = (
                points[end, 0] - points[start, 0],
                points[end, 1] - points[start, 1],
                points[end, 2] - points[start, 2],
            )
            px, py, pz = ey * nz - ez * ny, ez * nx - ex * nz, ex * ny - ey * nx
            squared = px * px + py * py + pz * pz
            if squared > 1e-30:
                size = np.sqrt(squared)
                px, py, pz = px / size, py / size, pz / size
                offset_here = -(px * points[start, 0] + py * points[start, 1] + pz * points[start, 2])
                _add_plane(quadrics[start], px, py, pz, offset_here, BOUNDARY * squared)
                _add_plane(quadrics[end], px, py, pz, offset_here, BOUNDARY * squared)


@kernel
def _shared_faces(triangles, head, after, alive, a, b):
    """Number of faces that have both vertices."""
    count = 0
    node = head[a]
    while node != END:
        f = node // 3
        if alive[f] and (triangles[f, 0] == b or triangles[f, 1] == b or triangles[f, 2] == b):
            count += 1
        node = after[node]
    return count


@kernel
def _neighbours(triangles, head, after, alive, vertex, found):
    """(number of neighbours written to `found`, number of faces); -1 neighbours where there are too many."""
    count, faces = 0, 0
    node = head[vertex]
    while node != END:
        f = node // 3
        if alive[f]:
            faces += 1
            for k in range(3):
                other = triangles[f, k]
                if other == vertex:
                    continue
                known = False
                for i in range(count):
                    if found[i] == other:
                        known = True
                        break
                if not known:
                    if count == len(found):
                        return -1, faces
                    found[count] = other
                    count += 1
        node = after[node]
    return count, faces


@kernel
def _may_merge(triangles, head, after, alive, a, b, near_a, near_b, spare):
    """Whether the link condition allows the collapse of edge a-b."""
    count_a, faces_a = _neighbours(triangles, head, after, alive, a, near_a)
    count_b, faces_b = _neighbours(triangles, head, after, alive, b, near_b)
    if count_a < 0 or count_b < 0:
        return False
    shared = _shared_faces(triangles, head, after, alive, a, b)
    if shared == 0 or shared > 2:
        return False
    open_a, open_b = count_a != faces_a, count_b != faces_b  # a closed fan has as many faces as neighbours
    if shared == 2 and open_a and open_b:
        return False
    common = 0
    for i in range(count_a):
        for j in range(count_b):
            if near_a[i] == near_b[j]:
                common += 1
                count_c, faces_c = _neighbours(triangles, head, after, alive, near_a[i], spare)
                if count_c < 0 or faces_c < (4 if count_c == faces_c else 2):
                    return False
    return common == shared


@kernel
def _turns_over(points, triangles, head, after, alive, vertex, other, x, y, z):
    """Whether a face of `vertex` without `other` turns over or becomes a splinter when `vertex` moves to (x, y, z)."""
    node = head[vertex]
    while node != END:
        f, k = node // 3, node % 3
        node = after[node]
        if not alive[f]:
            continue
        b, c = triangles[f, (k + 1) % 3], triangles[f, (k + 2) % 3]
        if b == other or c == other:
            continue
        nx, ny, nz = _cross(points, vertex, b, c)
        ux, uy, uz = points[b, 0] - x, points[b, 1] - y, points[b, 2] - z
        vx, vy, vz = points[c, 0] - x, points[c, 1] - y, points[c, 2] - z
        mx, my, mz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        before, now = np.sqrt(nx * nx + ny * ny + nz * nz), np.sqrt(mx * mx + my * my + mz * mz)
        if nx * mx + ny * my + nz * mz < LEAST_TURN * before * now:
            return True
        wx, wy, wz = ux - vx, uy - vy, uz - vz
        longest = max(ux * ux + uy * uy + uz * uz, max(vx * vx + vy * vy + vz * vz, wx * wx + wy * wy + wz * wz))
        if 0.5 * now < THINNEST * longest:
            ox, oy, oz = (
                points[b, 0] - points[vertex, 0],
                points[b, 1] - points[vertex, 1],
                points[b, 2] - points[vertex, 2],
            )
            gx, gy, gz = (
                points[c, 0] - points[vertex, 0],
                points[c, 1] - points[vertex, 1],
                points[c, 2] - points[vertex, 2],
            )
            was = max(ox * ox + oy * oy + oz * oz, max(gx * gx + gy * gy + gz * gz, wx * wx + wy * wy + wz * wz))
            if 0.5 * now * was < 0.5 * before * longest:  # thinner than it was
                return True
    return False


@kernel
def _merge(triangles, head, tail, after, alive, a, b):
    """Let vertex `a` take the faces of `b`; returns how many faces that ends. Dead faces leave the list of `a`."""
    ended = 0
    node = head[b]
    while node != END:
        f = node // 3
        if alive[f]:
            if triangles[f, 0] == a or triangles[f, 1] == a or triangles[f, 2] == a:
                alive[f] = False
                ended += 1
            else:
                triangles[f, node % 3] = a
        node = after[node]
    after[tail[a]] = head[b]
    node, last = head[a], END
    while node != END:
        following = after[node]
        if alive[node // 3]:
            if last == END:
                head[a] = node
            else:
                after[last] = node
            last = node
        node = following
    after[last] = END
    tail[a] = last
    return ended


@kernel
def _candidate(quadrics, points, stamps, a, b, joint):
    """The heap's entry of an edge: (error, smaller vertex, larger vertex, when)."""
    for k in range(10):
        joint[k] = quadrics[a, k] + quadrics[b, k]
    error, _, _, _ = _best(joint, points, a, b)
    return error, min(a, b), max(a, b), stamps[a] + stamps[b]


@kernel
def _all_edges(triangles, alive, head, after, quadrics, points, stamps, joint):
    """A heap of every edge, each once."""
    heap = [(0.0, np.int64(0), np.int64(0), np.int64(0)) for _ in range(0)]
    for f in range(len(triangles)):
        if not alive[f]:
            continue
        for k in range(3):
            a, b = triangles[f, k], triangles[f, (k + 1) % 3]
            if a < b or _shared_faces(triangles, head, after, alive, a, b) == 1:
                heap.append(_candidate(quadrics, points, stamps, a, b, joint))
    heapq.heapify(heap)
    return heap


@kernel
def collapse(points, triangles, budget):
    """Collapse edges of a manifold mesh in place until at most `budget` faces are left, the cheapest first.

    points [V,3] float64, triangles [F,3] int64. Returns which faces are left [F] bool; fewer collapses than asked for
    where every edge that is left would change the topology or turn a face over.
    """
    count = len(triangles)
    alive = np.ones(count, np.bool_)
    head, tail = np.full(len(points), END, np.int64), np.full(len(points), END, np.int64)
    after = np.full(3 * count, END, np.int64)
    for node in range(3 * count):
        v = triangles[node // 3, node % 3]
        if head[v] == END:
            head[v] = node
        else:
            after[tail[v]] = node
        tail[v] = node
    quadrics, joint = np.zeros((len(points), 10)), np.empty(10)
    _quadrics(points, triangles, head, after, alive, quadrics)
    stamps = np.zeros(len(points), np.int64)
    near_a, near_b, spare = np.empty(MOST, np.int64), np.empty(MOST, np.int64), np.empty(MOST, np.int64)
    left, before = count, count + 1
    while left > budget and left < before:  # what was refused may be allowed once its neighbours have gone
        before = left
        heap = _all_edges(triangles, alive, head, after, quadrics, points, stamps, joint)
        while left > budget and len(heap) > 0:
            _, a, b, when = heapq.heappop(heap)
            if stamps[a] < 0 or stamps[b] < 0 or when != stamps[a] + stamps[b]:
                continue
            if not _may_merge(triangles, head, after, alive, a, b, near_a, near_b, spare):
                continue
            for k in range(10):
                joint[k] = quadrics[a, k] + quadrics[b, k]
            _, x, y, z = _best(joint, points, a, b)
            if _turns_over(points, triangles, head, after, alive, a, b, x, y, z):
                continue
            if _turns_over(points, triangles, head, after, alive, b, a, x, y, z):
                continue
            left -= _merge(triangles, head, tail, after, alive, a, b)
            points[a, 0], points[a, 1], points[a, 2] = x, y, z
            quadrics[a] = joint
            stamps[a] += stamps[b] + 1
            stamps[b] = -1
            found, _ = _neighbours(triangles, head, after, alive, a, near_a)
            for i in range(found):
                heapq.heappush(heap, _candidate(quadrics, points, stamps, a, near_a[i], joint))
    return alive
