"""Kernels of the Monte Carlo reference: surface look-up, BRDF, and drawing light directions with their weights.

The BRDF is the twin of engine/shading/brdf.py; the tests compare them. Every sample is a pure function of
(seed, pixel, sample number), so results do not depend on threads or on how the work is cut up.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from engine.kernels.settings import kernel, parallel_kernel

MIN_ALPHA = 1e-4
MIN_FACING = 0.01
# powers of the root of x^6 = x + 1: the additive recurrence that fills five dimensions evenly (Roberts 2018)
R1, R2, R3, R4, R5 = (1.1347241384015194 ** -(i + 1) for i in range(5))


@kernel
def uniform(seed, pixel, stream):
    """A number in [0,1) that looks random, by two rounds of splitmix64 (Steele et al. 2014)."""
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(pixel)
    for step in range(2):
        state = state + np.uint64(0x9E3779B97F4A7C15) * (np.uint64(stream) * np.uint64(2) + np.uint64(step + 1))
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return np.float64(state >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@parallel_kernel
def uniform_many(seed, pixel, stream, out):
    """`out` [N,2]: the numbers of streams `stream` and `stream` + 1 at each `pixel`."""
    for row in prange(len(pixel)):
        i = np.int64(row)
        out[i, 0] = uniform(seed, pixel[i], stream[i])
        out[i, 1] = uniform(seed, pixel[i], stream[i] + 1)


@kernel
def lookup(texture, u, v, channel):
    """Bilinear texel of [H,W,C] at (u, v) in [0,1], clamped at the border."""
    height, width = texture.shape[0], texture.shape[1]
    if height == 1 and width == 1:
        return np.float64(texture[0, 0, channel])
    x = min(max(u * width - 0.5, 0.0), width - 1.0)
    y = min(max(v * height - 0.5, 0.0), height - 1.0)
    x0, y0 = min(int(x), max(width - 2, 0)), min(int(y), max(height - 2, 0))
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    fx, fy = x - x0, y - y0
    top = texture[y0, x0, channel] * (1 - fx) + texture[y0, x1, channel] * fx
    bottom = texture[y1, x0, channel] * (1 - fx) + texture[y1, x1, channel] * fx
    return top * (1 - fy) + bottom * fy


@kernel
def albedo_at(table, roughness, cosine, which):
    """Bilinear entry of the specular albedo table [R,C,2]; nodes at i / (size - 1)."""
    y = min(max(roughness, 0.0), 1.0) * (table.shape[0] - 1)
    x = min(max(cosine, 0.0), 1.0) * (table.shape[1] - 1)
    y0, x0 = min(int(y), table.shape[0] - 2), min(int(x), table.shape[1] - 2)
    fy, fx = y - y0, x - x0
    low = table[y0, x0, which] * (1 - fx) + table[y0, x0 + 1, which] * fx
    high = table[y0 + 1, x0, which] * (1 - fx) + table[y0 + 1, x0 + 1, which] * fx
    return low * (1 - fy) + high * fy


@kernel
def average_at(table, roughness, which):
    """Linear entry of the mean albedo table [R,2]."""
    y = min(max(roughness, 0.0), 1.0) * (table.shape[0] - 1)
    y0 = min(int(y), table.shape[0] - 2)
    return table[y0, which] * (1 - (y - y0)) + table[y0 + 1, which] * (y - y0)


@kernel
def specular_terms(nv, nl, nh, vh, alpha):
    """(D V, density of this light direction when drawn from the visible normals) for the cosines of both."""
    square = alpha * alpha
    d = nh * nh * (square - 1) + 1
    distribution = square / (math.pi * d * d)
    view = nl * math.sqrt(nv * nv * (1 - square) + square)
    light = nv * math.sqrt(nl * nl * (1 - square) + square)
    masking = 2 * nv / (nv + math.sqrt(nv * nv * (1 - square) + square))  # Smith G1
    return distribution * 0.5 / max(view + light, 1e-12), masking * distribution / (4 * nv)


@kernel
def visible_normal(vx, vy, vz, alpha, a, b):
    """A normal drawn from those that the view (local frame, z up) sees: spherical caps (Dupuy and Benyoub 2023)."""
    sx, sy, sz = alpha * vx, alpha * vy, vz
    length = math.sqrt(sx * sx + sy * sy + sz * sz)
    sx, sy, sz = sx / length, sy / length, sz / length
    phi = 2 * math.pi * a
    z = (1 - b) * (1 + sz) - sz
    ring = math.sqrt(max(1 - z * z, 0.0))
    hx, hy, hz = alpha * (ring * math.cos(phi) + sx), alpha * (ring * math.sin(phi) + sy), max(z + sz, 0.0)
    length = math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-30
    return hx / length, hy / length, hz / length


@kernel
def evaluate_into(out, nv, nl, nh, vh, base, roughness, metallic, table, average):
    """BRDF times the light's cosine into `out` [3], for cosines that are positive."""
    nv, nl = max(nv, 1e-4), max(nl, 1e-4)
    alpha = max(roughness * roughness, MIN_ALPHA)
    lobe = specular_terms(nv, nl, nh, vh, alpha)[0]
    grazing = (1 - min(max(vh, 0.0), 1.0)) ** 5
    view_scale, view_bias = albedo_at(table, roughness, nv, 0), albedo_at(table, roughness, nv, 1)
    light_scale, light_bias = albedo_at(table, roughness, nl, 0), albedo_at(table, roughness, nl, 1)
    mean_scale, mean_bias = average_at(average, roughness, 0), average_at(average, roughness, 1)
    for c in range(3):
        f0 = 0.04 + metallic * (base[c] - 0.04)
        weight = (1 - f0 * view_scale - view_bias) * (1 - f0 * light_scale - light_bias)
        weight /= max(1 - f0 * mean_scale - mean_bias, 1e-6)
        diffuse = (1 - metallic) * base[c] * weight / math.pi
        out[c] = (diffuse + (f0 + (1 - f0) * grazing) * lobe) * nl


@parallel_kernel
def evaluate_many(normal, view, light, base, roughness, metallic, table, average, out):
    """BRDF times cosine [N,3] for unit vectors [N,3], as `brdf.evaluate`; for tests."""
    for row in prange(len(out)):
        i = np.int64(row)
        nv, nl, nh, vh, length = 0.0, 0.0, 0.0, 0.0, 0.0
        for c in range(3):
            nv += normal[i, c] * view[i, c]
            nl += normal[i, c] * light[i, c]
            length += (view[i, c] + light[i, c]) ** 2
        length = math.sqrt(length) + 1e-12
        for c in range(3):
            half = (view[i, c] + light[i, c]) / length
            nh += normal[i, c] * half
            vh += view[i, c] * half
        out[i, :] = 0
        if nv > 0 and nl > 0:
            nh = min(max(nh, 0.0), 1.0)
            evaluate_into(out[i], nv, nl, nh, vh, base[i], roughness[i], metallic[i], table, average)


@kernel
def light_position(x, y, z, height, width):
    """(column, row) of a unit direction in the environment's frame, in texels."""
    u = math.atan2(x, -z) / (2 * math.pi) + 0.5
    v = math.acos(min(max(y, -1.0), 1.0)) / math.pi
    return u * width, v * height


@kernel
def radiance_into(out, padded, column, row):
    """Bilinear radiance at a position in texels, into `out` [3]."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    x, y = column + 0.5, row + 0.5
    x0, y0 = min(max(int(x), 0), width), min(max(int(y), 0), height)
    fx, fy = x - x0, y - y0
    for c in range(3):
        top = padded[y0, x0, c] * (1 - fx) + padded[y0, x0 + 1, c] * fx
        bottom = padded[y0 + 1, x0, c] * (1 - fx) + padded[y0 + 1, x0 + 1, c] * fx
        out[c] = top * (1 - fy) + bottom * fy


@kernel
def find(cumulative, value):
    """The interval of `cumulative` [N+1] that holds `value`."""
    low, high = 0, len(cumulative) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if cumulative[middle] <= value:
            low = middle
        else:
            high = middle
    return low


@parallel_kernel
def surface_points(
    triangle, barycentrics, eye_direction, vertices, triangles, corner_normals, uvs, uv_triangles,
    base_color, packed, normal_map, origin, geometric, normal, base, roughness, metallic,
):  # fmt: skip
    """Fill in what is at each hit: place, where its shadow rays start, normals that face the eye, and material.

    Shadow rays start from the curved surface that the smooth normals stand for (Hanika 2021), else coarse meshes shadow
    themselves where the light grazes.
    """
    textured, mapped = len(uvs) > 0, normal_map.shape[0] > 0
    for row in prange(len(triangle)):
        i = np.int64(row)
        t = triangle[i]
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        w0, w1 = np.float64(barycentrics[i, 0]), np.float64(barycentrics[i, 1])
        w2 = 1 - w0 - w1
        p, n, e1, e2, g = np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3)
        for k in range(3):
            p[k] = w0 * vertices[a, k] + w1 * vertices[b, k] + w2 * vertices[c, k]
            n[k] = w0 * corner_normals[t, 0, k] + w1 * corner_normals[t, 1, k] + w2 * corner_normals[t, 2, k]
            e1[k] = np.float64(vertices[b, k]) - vertices[a, k]
            e2[k] = np.float64(vertices[c, k]) - vertices[a, k]
        g[0] = e1[1] * e2[2] - e1[2] * e2[1]
        g[1] = e1[2] * e2[0] - e1[0] * e2[2]
        g[2] = e1[0] * e2[1] - e1[1] * e2[0]
        g /= math.sqrt(g[0] ** 2 + g[1] ** 2 + g[2] ** 2) + 1e-30
        n /= math.sqrt(n[0] ** 2 + n[1] ** 2 + n[2] ** 2) + 1e-30
        u, v = 0.0, 0.0
        if textured:
            ta, tb, tc = uv_triangles[t, 0], uv_triangles[t, 1], uv_triangles[t, 2]
            u = w0 * uvs[ta, 0] + w1 * uvs[tb, 0] + w2 * uvs[tc, 0]
            v = w0 * uvs[ta, 1] + w1 * uvs[tb, 1] + w2 * uvs[tc, 1]
            if mapped:
                # tangent: where u grows along the triangle, made square with the normal; v grows downward
                du1, dv1 = np.float64(uvs[tb, 0]) - uvs[ta, 0], np.float64(uvs[tb, 1]) - uvs[ta, 1]
                du2, dv2 = np.float64(uvs[tc, 0]) - uvs[ta, 0], np.float64(uvs[tc, 1]) - uvs[ta, 1]
                area = du1 * dv2 - du2 * dv1
                x = np.empty(3)
                along = 0.0
                for k in range(3):
                    x[k] = (e1[k] * dv2 - e2[k] * dv1) * (1.0 if area > 0 else -1.0)
                    along += x[k] * n[k]
                length = 0.0
                for k in range(3):
                    x[k] -= along * n[k]
                    length += x[k] * x[k]
                if length > 1e-30 and area != 0:
                    x /= math.sqrt(length)
                    hand = -1.0 if area > 0 else 1.0  # mirrored or not, with v downward
                    y = np.empty(3)
                    y[0] = hand * (n[1] * x[2] - n[2] * x[1])
                    y[1] = hand * (n[2] * x[0] - n[0] * x[2])
                    y[2] = hand * (n[0] * x[1] - n[1] * x[0])
                    m0, m1 = lookup(normal_map, u, v, 0), lookup(normal_map, u, v, 1)
                    m2 = lookup(normal_map, u, v, 2)
                    for k in range(3):
                        g_k = m0 * x[k] + m1 * y[k] + m2 * n[k]
                        n[k] = g_k
                    n /= math.sqrt(n[0] ** 2 + n[1] ** 2 + n[2] ** 2) + 1e-30
        toward = -(g[0] * eye_direction[i, 0] + g[1] * eye_direction[i, 1] + g[2] * eye_direction[i, 2])
        side = 1.0 if toward >= 0 else -1.0
        facing = 0.0
        for k in range(3):
            g[k] *= side
            n[k] *= side
            facing -= n[k] * eye_direction[i, k]
        if facing < MIN_FACING:  # as split_sum.facing_normal
            for k in range(3):
                n[k] -= (MIN_FACING - facing) * eye_direction[i, k]
            n /= math.sqrt(n[0] ** 2 + n[1] ** 2 + n[2] ** 2) + 1e-30
        lift = np.zeros(3)
        for corner in range(3):
            vertex = triangles[t, corner]
            weight = w0 if corner == 0 else (w1 if corner == 1 else w2)
            height = 0.0
            for k in range(3):
                height += (p[k] - vertices[vertex, k]) * corner_normals[t, corner, k] * side
            height = min(height, 0.0)
            for k in range(3):
                lift[k] -= weight * height * corner_normals[t, corner, k] * side
        size = 0.0
        for k in range(3):
            size = max(size, abs(e1[k]), abs(e2[k]), abs(p[k]) * 1e-2)
        for k in range(3):
            origin[i, k] = p[k] + lift[k] + g[k] * size * 1e-4
            geometric[i, k] = g[k]
            normal[i, k] = n[k]
            base[i, k] = lookup(base_color, u, v, k)
        roughness[i] = lookup(packed, u, v, 1)
        metallic[i] = lookup(packed, u, v, 2)


@parallel_kernel
def propose(
    strategy, seed, pixel, first_sample, count, eye_direction, geometric, normal, base, roughness, metallic, rotation,
    padded, rows, columns, density, table, average, direction, weight,
):  # fmt: skip
    """Draw `count` directions per hit from the light and as many from the BRDF; weights [P, 2 count, 3].

    `strategy` 0 combines both by the balance heuristic (Veach and Guibas 1995), 1 uses the light's draws alone, 2 the
    BRDF's alone (the other half is zero). Weights still lack visibility. `rotation` [3,3] takes world to environment.
    """
    height, width = density.shape
    for row in prange(len(pixel)):
        i = np.int64(row)
        light, out = np.empty(3), np.empty(3)
        nx, ny, nz = normal[i, 0], normal[i, 1], normal[i, 2]
        vx, vy, vz = -eye_direction[i, 0], -eye_direction[i, 1], -eye_direction[i, 2]
        nv = max(nx * vx + ny * vy + nz * vz, 1e-4)
        # an orthonormal basis about the normal (Duff et al. 2017)
        sign = 1.0 if nz >= 0 else -1.0
        a = -1.0 / (sign + nz)
        b = nx * ny * a
        tx, ty, tz = 1 + sign * nx * nx * a, sign * b, -sign * nx
        bx, by, bz = b, sign + ny * ny * a, -ny
        alpha = max(roughness[i] * roughness[i], MIN_ALPHA)
        scale, bias = albedo_at(table, roughness[i], nv, 0), albedo_at(table, roughness[i], nv, 1)
        specular, diffuse = 0.0, 0.0
        for c in range(3):
            f0 = 0.04 + metallic[i] * (base[i, c] - 0.04)
            specular += f0 * scale + bias
            diffuse += (1 - metallic[i]) * base[i, c] * (1 - f0 * scale - bias)
        share = min(max(specular / (specular + diffuse + 1e-12), 0.1), 1.0)
        if diffuse > 0:
            share = min(share, 0.9)
        s1, s2 = uniform(seed, pixel[i], 1), uniform(seed, pixel[i], 2)
        s3, s4, s5 = uniform(seed, pixel[i], 3), uniform(seed, pixel[i], 4), uniform(seed, pixel[i], 5)
        for j in range(2 * count):
            weight[i, j, 0] = weight[i, j, 1] = weight[i, j, 2] = 0
            number = np.float64(first_sample[i] + (j >> 1))
            from_light = (j & 1) == 0
            if (strategy == 1 and not from_light) or (strategy == 2 and from_light):
                continue
            if from_light:
                r1, r2 = (s1 + number * R1) % 1.0, (s2 + number * R2) % 1.0
                y0 = find(rows, r1)
                r1 = (r1 - rows[y0]) / max(rows[y0 + 1] - rows[y0], 1e-300)
                x0 = find(columns[y0], r2)
                r2 = (r2 - columns[y0, x0]) / max(columns[y0, x0 + 1] - columns[y0, x0], 1e-300)
                high, low = math.cos(y0 * math.pi / height), math.cos((y0 + 1) * math.pi / height)
                ey = high + (low - high) * r1  # even over the texel's solid angle
                ring = math.sqrt(max(1 - ey * ey, 0.0))
                column = x0 + r2
                phi = (column / width - 0.5) * 2 * math.pi
                ex, ez = ring * math.sin(phi), -ring * math.cos(phi)
                brightness = density[y0, x0]
                texel_row = math.acos(min(max(ey, -1.0), 1.0)) / math.pi * height
                lx = rotation[0, 0] * ex + rotation[1, 0] * ey + rotation[2, 0] * ez
                ly = rotation[0, 1] * ex + rotation[1, 1] * ey + rotation[2, 1] * ez
                lz = rotation[0, 2] * ex + rotation[1, 2] * ey + rotation[2, 2] * ez
            else:
                r1, r2 = (s3 + number * R3) % 1.0, (s4 + number * R4) % 1.0
                if (s5 + number * R5) % 1.0 < share:
                    hx, hy, hz = visible_normal(
                        vx * tx + vy * ty + vz * tz, vx * bx + vy * by + vz * bz, nv, alpha, r1, r2
                    )
                    mx, my, mz = hx * tx + hy * bx + hz * nx, hx * ty + hy * by + hz * ny, hx * tz + hy * bz + hz * nz
                    cosine = mx * vx + my * vy + mz * vz
                    lx, ly, lz = 2 * cosine * mx - vx, 2 * cosine * my - vy, 2 * cosine * mz - vz
                else:
                    ring, phi = math.sqrt(r1), 2 * math.pi * r2
                    x, y, z = ring * math.cos(phi), ring * math.sin(phi), math.sqrt(max(1 - r1, 0.0))
                    lx, ly, lz = x * tx + y * bx + z * nx, x * ty + y * by + z * ny, x * tz + y * bz + z * nz
                ex = rotation[0, 0] * lx + rotation[0, 1] * ly + rotation[0, 2] * lz
                ey = rotation[1, 0] * lx + rotation[1, 1] * ly + rotation[1, 2] * lz
                ez = rotation[2, 0] * lx + rotation[2, 1] * ly + rotation[2, 2] * lz
                column, texel_row = light_position(ex, ey, ez, height, width)
                brightness = density[min(max(int(texel_row), 0), height - 1), min(max(int(column), 0), width - 1)]
            nl = nx * lx + ny * ly + nz * lz
            below = geometric[i, 0] * lx + geometric[i, 1] * ly + geometric[i, 2] * lz
            if nl <= 0 or below <= -0.3:  # far below the triangle's plane the surface itself is in the way
                continue
            mx, my, mz = vx + lx, vy + ly, vz + lz
            length = math.sqrt(mx * mx + my * my + mz * mz) + 1e-12
            nh = min(max((nx * mx + ny * my + nz * mz) / length, 0.0), 1.0)
            vh = (vx * mx + vy * my + vz * mz) / length
            lobe = share * specular_terms(nv, max(nl, 1e-4), nh, vh, alpha)[1] + (1 - share) * nl / math.pi
            total = brightness + lobe
            if strategy == 1:
                total = brightness
            elif strategy == 2:
                total = lobe
            if total <= 0:
                continue
            evaluate_into(out, nv, nl, nh, vh, base[i], roughness[i], metallic[i], table, average)
            radiance_into(light, padded, column, texel_row)
            for c in range(3):
                weight[i, j, c] = out[c] * light[c] / (total * count)
            direction[i, j, 0], direction[i, j, 1], direction[i, j, 2] = lx, ly, lz


@parallel_kernel
def cosine_directions(normal, seed, first, out):
    """Directions [P,R,3] about the unit normals [P,3] with density cosine / pi; point i counts as pixel `first` + i."""
    for row in prange(len(normal)):
        i = np.int64(row)
        nx, ny, nz = np.float64(normal[i, 0]), np.float64(normal[i, 1]), np.float64(normal[i, 2])
        sign = 1.0 if nz >= 0 else -1.0
        a = -1.0 / (sign + nz)
        b = nx * ny * a
        s1, s2 = uniform(seed, first + i, 1), uniform(seed, first + i, 2)
        rays = out.shape[1]
        for j in range(rays):
            r1 = (j + s1) / rays
            r2 = (s2 + j * 0.6180339887498949) % 1.0  # golden section: even over the disc
            ring, phi, up = math.sqrt(r1), 2 * math.pi * r2, math.sqrt(max(1 - r1, 0.0))
            x, y = ring * math.cos(phi), ring * math.sin(phi)
            out[i, j, 0] = x * (1 + sign * nx * nx * a) + y * b + up * nx
            out[i, j, 1] = x * sign * b + y * (sign + ny * ny * a) + up * ny
            out[i, j, 2] = -x * sign * nx - y * ny + up * nz
