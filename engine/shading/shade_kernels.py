"""Kernels of the split sum: one pass forward, one backward that recomputes it; the mathematics is in split_sum.py.

Everything is float32: a stray Python float would silently widen the arithmetic, hence the constants.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from engine.kernels.settings import kernel, parallel_kernel

ZERO, HALF, ONE, TWO = (np.float32(x) for x in (0, 0.5, 1, 2))
TINY = np.float32(1e-20)
POLE = np.float32(1e-12)
PI = np.float32(math.pi)
HALF_PI = np.float32(math.pi / 2)
INVERSE_PI = np.float32(1 / math.pi)
INVERSE_TWO_PI = np.float32(1 / (2 * math.pi))
LN_2 = np.float32(math.log(2))
SIXTEEN = np.float32(16)
DIELECTRIC = np.float32(0.04)
MIN_FACING = np.float32(0.01)
CHUNKS = 8  # of points; each has its own gradient of the light, summed in order

# atan(x) / x in powers of x^2, a Chebyshev fit on [0,1]: within 5e-7 radian
A0, A1, A2, A3, A4, A5, A6 = (
    np.float32(x) for x in (0.99999933, -0.33326377, 0.19879890, -0.13480456, 0.08374224, -0.03689905, 0.00782557)
)


@kernel
def angle(y, x):
    """atan2(y, x) by polynomial, without branches."""
    wide, tall = abs(x), abs(y)
    ratio = min(wide, tall) / max(max(wide, tall), TINY)
    square = ratio * ratio
    value = A5 + square * A6
    value = A3 + square * (A4 + square * value)
    value = ratio * (A0 + square * (A1 + square * (A2 + square * value)))
    value = HALF_PI - value if tall > wide else value
    value = PI - value if x < ZERO else value
    return -value if y < ZERO else value


@kernel
def map_position(x, y, z, height, width):
    """(column, row) in a padded map of direction (x, y, z)."""
    around = x * x + z * z
    pole = around < POLE
    x = ZERO if pole else x
    z = -ONE if pole else z
    ring = math.sqrt(max(around, POLE))
    column = (angle(x, -z) * INVERSE_TWO_PI + HALF) * width + HALF
    row = angle(ring, y) * INVERSE_PI * height + HALF
    return column, row


@kernel
def direction_gradient(x, y, z, height, width, d_column, d_row):
    """Gradient of the direction from that of its (column, row)."""
    around = x * x + z * z
    if around < POLE:
        return ZERO, ZERO, ZERO
    ring = math.sqrt(around)
    d_phi = d_column * width * INVERSE_TWO_PI / around
    d_theta = d_row * height * INVERSE_PI / (around + y * y)
    slope = d_theta * y / ring
    return slope * x - d_phi * z, -d_theta * ring, slope * z + d_phi * x


@kernel
def table_row(position, size):
    low = min(np.int64(position), size - 2)
    return low, position - np.float32(low)


@kernel
def surface(rotation, normal, view, i):
    """Facing normal n, view v and n.v in the environment's frame, with what the gradient needs: lengths and bend."""
    nx, ny, nz = normal[i, 0], normal[i, 1], normal[i, 2]
    vx, vy, vz = view[i, 0], view[i, 1], view[i, 2]
    shrink = ONE / math.sqrt(max(nx * nx + ny * ny + nz * nz, TINY))
    nx, ny, nz = nx * shrink, ny * shrink, nz * shrink
    raw = nx * vx + ny * vy + nz * vz
    lacking = max(MIN_FACING - raw, ZERO)
    bx, by, bz = nx + lacking * vx, ny + lacking * vy, nz + lacking * vz
    straighten = ONE / math.sqrt(max(bx * bx + by * by + bz * bz, TINY))
    bx, by, bz = bx * straighten, by * straighten, bz * straighten
    ex = rotation[0, 0] * bx + rotation[0, 1] * by + rotation[0, 2] * bz
    ey = rotation[1, 0] * bx + rotation[1, 1] * by + rotation[1, 2] * bz
    ez = rotation[2, 0] * bx + rotation[2, 1] * by + rotation[2, 2] * bz
    wx = rotation[0, 0] * vx + rotation[0, 1] * vy + rotation[0, 2] * vz
    wy = rotation[1, 0] * vx + rotation[1, 1] * vy + rotation[1, 2] * vz
    wz = rotation[2, 0] * vx + rotation[2, 1] * vy + rotation[2, 2] * vz
    cosine = bx * vx + by * vy + bz * vz
    return ex, ey, ez, wx, wy, wz, cosine, shrink, straighten, lacking


@kernel
def toward_mirror(rough):
    """(share of the way from normal to mirror where the lobe is strongest, its derivative by roughness)."""
    alpha = rough * rough
    smooth = ONE - alpha
    root = math.sqrt(smooth)
    return smooth * (root + alpha), (ONE - TWO * alpha - np.float32(1.5) * root) * TWO * rough


@kernel
def occluded_lobe(cosine, occlusion, roughness):
    """(specular occlusion, d/d cosine, d/d occlusion, d/d roughness)."""
    power = math.exp(-(SIXTEEN * roughness + ONE) * LN_2)
    base = max(cosine + occlusion, TINY)
    logarithm = math.log(base)
    raised = math.exp(power * logarithm)
    value = raised - ONE + occlusion
    if value <= ZERO:
        return ZERO, ZERO, ZERO, ZERO
    if value >= ONE:
        return ONE, ZERO, ZERO, ZERO
    slope = power * raised / base
    return value, slope, slope + ONE, -raised * logarithm * power * SIXTEEN * LN_2


@kernel
def forward_chunk(
    maps, table, rotation, normal, view, base, roughness, metallic, occlusion, diffuse, specular, begin, end
):  # fmt: skip
    levels = len(maps) - 1
    height, width = np.float32(maps.shape[1] - 2), np.float32(maps.shape[2] - 2)
    irradiance_map = maps[levels]
    for i in range(begin, end):
        nx, ny, nz, vx, vy, vz, cosine, _, _, _ = surface(rotation, normal, view, i)
        rough = min(max(roughness[i], ZERO), ONE)
        mirror, _ = toward_mirror(rough)
        stay = ONE + mirror * (TWO * cosine - ONE)
        column, row = map_position(nx, ny, nz, height, width)
        x, y = np.int64(column), np.int64(row)
        fx, fy = column - np.float32(x), row - np.float32(y)
        w00, w01, w10, w11 = (ONE - fx) * (ONE - fy), fx * (ONE - fy), (ONE - fx) * fy, fx * fy
        column, row = map_position(
            stay * nx - mirror * vx, stay * ny - mirror * vy, stay * nz - mirror * vz, height, width
        )
        s, t = np.int64(column), np.int64(row)
        fs, ft = column - np.float32(s), row - np.float32(t)
        q00, q01, q10, q11 = (ONE - fs) * (ONE - ft), fs * (ONE - ft), (ONE - fs) * ft, fs * ft
        level, blend = table_row(rough * np.float32(levels - 1), levels)
        keep = ONE - blend
        sharp, blurred = maps[level], maps[level + 1]
        a, fa = table_row(rough * np.float32(table.shape[0] - 1), table.shape[0])
        c, fc = table_row(min(cosine, ONE) * np.float32(table.shape[1] - 1), table.shape[1])
        t00, t01, t10, t11 = (ONE - fa) * (ONE - fc), (ONE - fa) * fc, fa * (ONE - fc), fa * fc
        less, more = table[a], table[a + 1]
        scale = t00 * less[c, 0] + t01 * less[c + 1, 0] + t10 * more[c, 0] + t11 * more[c + 1, 0]
        bias = t00 * less[c, 1] + t01 * less[c + 1, 1] + t10 * more[c, 1] + t11 * more[c + 1, 1]
        metal = metallic[i]
        open_diffuse, open_specular = ONE, ONE
        if len(occlusion) > 0:
            open_diffuse = occlusion[i]
            open_specular = occluded_lobe(cosine, open_diffuse, roughness[i])[0]
        for k in range(3):
            irradiance = (
                w00 * irradiance_map[y, x, k]
                + w01 * irradiance_map[y, x + 1, k]
                + w10 * irradiance_map[y + 1, x, k]
                + w11 * irradiance_map[y + 1, x + 1, k]
            )
            first = (
                q00 * sharp[t, s, k]
                + q01 * sharp[t, s + 1, k]
                + q10 * sharp[t + 1, s, k]
                + q11 * sharp[t + 1, s + 1, k]
            )
            second = (
                q00 * blurred[t, s, k]
                + q01 * blurred[t, s + 1, k]
                + q10 * blurred[t + 1, s, k]
                + q11 * blurred[t + 1, s + 1, k]
            )
            albedo = (DIELECTRIC + metal * (base[i, k] - DIELECTRIC)) * scale + bias
            diffuse[i, k] = (ONE - metal) * base[i, k] * (ONE - albedo) * irradiance * open_diffuse
            specular[i, k] = albedo * (keep * first + blend * second) * open_specular


@parallel_kernel
def shade_forward(maps, table, rotation, normal, view, base, roughness, metallic, occlusion, diffuse, specular):
    """Fill `diffuse` and `specular` [P,3]; maps [L+1,H+2,W+2,4], table [R,C,2], occlusion [P] or [0]."""
    count = len(roughness)
    step = max((count + 63) // 64, 1)
    for index in numba.prange(64):
        begin = np.int64(index) * step
        forward_chunk(
            maps, table, rotation, normal, view, base, roughness, metallic, occlusion, diffuse, specular,
            begin, min(begin + step, count),
        )  # fmt: skip


@kernel
def backward_chunk(
    maps, table, rotation, normal, view, base, roughness, metallic, occlusion, g_diffuse, g_specular,
    d_map, d_normal, d_base, d_roughness, d_metallic, d_occlusion, begin, end,
):  # fmt: skip
    levels = len(maps) - 1
    height, width = np.float32(maps.shape[1] - 2), np.float32(maps.shape[2] - 2)
    with_light, with_normal, with_occlusion = len(d_map) > 0, len(d_normal) > 0, len(occlusion) > 0
    irradiance_map = maps[levels]
    rough_scale, rough_nodes = np.float32(levels - 1), np.float32(table.shape[0] - 1)
    cosine_nodes = np.float32(table.shape[1] - 1)
    for i in range(begin, end):
        nx, ny, nz, vx, vy, vz, cosine, shrink, straighten, lacking = surface(rotation, normal, view, i)
        rough = min(max(roughness[i], ZERO), ONE)
        mirror, mirror_slope = toward_mirror(rough)
        stay = ONE + mirror * (TWO * cosine - ONE)
        rx, ry, rz = stay * nx - mirror * vx, stay * ny - mirror * vy, stay * nz - mirror * vz
        column, row = map_position(nx, ny, nz, height, width)
        x, y = np.int64(column), np.int64(row)
        fx, fy = column - np.float32(x), row - np.float32(y)
        gx, gy = ONE - fx, ONE - fy
        column, row = map_position(rx, ry, rz, height, width)
        s, t = np.int64(column), np.int64(row)
        fs, ft = column - np.float32(s), row - np.float32(t)
        gs, gt = ONE - fs, ONE - ft
        level, blend = table_row(rough * rough_scale, levels)
        keep = ONE - blend
        sharp, blurred = maps[level], maps[level + 1]
        a, fa = table_row(rough * rough_nodes, table.shape[0])
        c, fc = table_row(min(cosine, ONE) * cosine_nodes, table.shape[1])
        s00, s01, s10, s11 = table[a, c, 0], table[a, c + 1, 0], table[a + 1, c, 0], table[a + 1, c + 1, 0]
        b00, b01, b10, b11 = table[a, c, 1], table[a, c + 1, 1], table[a + 1, c, 1], table[a + 1, c + 1, 1]
        scale = (ONE - fa) * ((ONE - fc) * s00 + fc * s01) + fa * ((ONE - fc) * s10 + fc * s11)
        bias = (ONE - fa) * ((ONE - fc) * b00 + fc * b01) + fa * ((ONE - fc) * b10 + fc * b11)
        metal = metallic[i]
        matt = ONE - metal
        open_diffuse, open_specular, by_cosine, by_occlusion, by_roughness = ONE, ONE, ZERO, ZERO, ZERO
        if with_occlusion:
            open_diffuse = occlusion[i]
            open_specular, by_cosine, by_occlusion, by_roughness = occluded_lobe(cosine, open_diffuse, roughness[i])

        d_metal, d_scale, d_bias, d_open_diffuse, d_open_specular, d_blend = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
        d_x, d_y, d_s, d_t = ZERO, ZERO, ZERO, ZERO
        for k in range(3):
            i00, i01 = irradiance_map[y, x, k], irradiance_map[y, x + 1, k]
            i10, i11 = irradiance_map[y + 1, x, k], irradiance_map[y + 1, x + 1, k]
            upper, lower = gx * i00 + fx * i01, gx * i10 + fx * i11
            irradiance = gy * upper + fy * lower
            f00, f01, f10, f11 = sharp[t, s, k], sharp[t, s + 1, k], sharp[t + 1, s, k], sharp[t + 1, s + 1, k]
            l00, l01, l10, l11 = blurred[t, s, k], blurred[t, s + 1, k], blurred[t + 1, s, k], blurred[t + 1, s + 1, k]
            r00, r01 = keep * f00 + blend * l00, keep * f01 + blend * l01
            r10, r11 = keep * f10 + blend * l10, keep * f11 + blend * l11
            high, deep = gs * r00 + fs * r01, gs * r10 + fs * r11
            radiance = gt * high + ft * deep
            slope = gt * (gs * (l00 - f00) + fs * (l01 - f01)) + ft * (gs * (l10 - f10) + fs * (l11 - f11))

            color = base[i, k]
            reflectance = DIELECTRIC + metal * (color - DIELECTRIC)
            albedo = reflectance * scale + bias
            g_matt, g_shine = g_diffuse[i, k], g_specular[i, k]
            lit = g_matt * irradiance
            lit_open = lit * open_diffuse
            d_albedo = g_shine * radiance * open_specular - lit_open * matt * color
            d_reflectance = d_albedo * scale
            d_base[i, k] = lit_open * matt * (ONE - albedo) + d_reflectance * metal
            d_metal += d_reflectance * (color - DIELECTRIC) - lit_open * color * (ONE - albedo)
            d_scale += d_albedo * reflectance
            d_bias += d_albedo
            d_open_diffuse += lit * matt * color * (ONE - albedo)
            d_open_specular += g_shine * albedo * radiance
            d_irradiance = g_matt * matt * color * (ONE - albedo) * open_diffuse
            d_radiance = g_shine * albedo * open_specular
            d_blend += d_radiance * slope
            d_x += d_irradiance * (gy * (i01 - i00) + fy * (i11 - i10))
            d_y += d_irradiance * (lower - upper)
            d_s += d_radiance * (gt * (r01 - r00) + ft * (r11 - r10))
            d_t += d_radiance * (deep - high)
            if with_light:
                d_map[levels, y, x, k] += d_irradiance * gx * gy
                d_map[levels, y, x + 1, k] += d_irradiance * fx * gy
                d_map[levels, y + 1, x, k] += d_irradiance * gx * fy
                d_map[levels, y + 1, x + 1, k] += d_irradiance * fx * fy
                d_sharp, d_blurred = d_radiance * keep, d_radiance * blend
                d_map[level, t, s, k] += d_sharp * gs * gt
                d_map[level, t, s + 1, k] += d_sharp * fs * gt
                d_map[level, t + 1, s, k] += d_sharp * gs * ft
                d_map[level, t + 1, s + 1, k] += d_sharp * fs * ft
                d_map[level + 1, t, s, k] += d_blurred * gs * gt
                d_map[level + 1, t, s + 1, k] += d_blurred * fs * gt
                d_map[level + 1, t + 1, s, k] += d_blurred * gs * ft
                d_map[level + 1, t + 1, s + 1, k] += d_blurred * fs * ft

        d_metallic[i] = d_metal
        scale_slope = (ONE - fc) * (s10 - s00) + fc * (s11 - s01)
        bias_slope = (ONE - fc) * (b10 - b00) + fc * (b11 - b01)
        d_rough = d_blend * rough_scale + (d_scale * scale_slope + d_bias * bias_slope) * rough_nodes
        hx, hy, hz = direction_gradient(rx, ry, rz, height, width, d_s, d_t)
        on_normal = hx * nx + hy * ny + hz * nz
        d_rough += mirror_slope * ((TWO * cosine - ONE) * on_normal - (hx * vx + hy * vy + hz * vz))
        d_rough = d_rough if rough == roughness[i] else ZERO  # clamped
        if with_occlusion:
            d_rough += d_open_specular * by_roughness
            d_occlusion[i] = d_open_diffuse + d_open_specular * by_occlusion
        d_roughness[i] = d_rough
        scale_slope = (ONE - fa) * (s01 - s00) + fa * (s11 - s10)
        bias_slope = (ONE - fa) * (b01 - b00) + fa * (b11 - b10)
        d_cosine = (d_scale * scale_slope + d_bias * bias_slope) * cosine_nodes + d_open_specular * by_cosine

        if not with_normal:
            continue
        # back through the two directions, the mirror, the bend and the length
        ox, oy, oz = direction_gradient(nx, ny, nz, height, width, d_x, d_y)
        d_cosine += TWO * mirror * on_normal
        ox += stay * hx + d_cosine * vx
        oy += stay * hy + d_cosine * vy
        oz += stay * hz + d_cosine * vz
        along = ox * nx + oy * ny + oz * nz
        ox, oy, oz = (ox - along * nx) * straighten, (oy - along * ny) * straighten, (oz - along * nz) * straighten
        ux, uy, uz = nx / straighten - lacking * vx, ny / straighten - lacking * vy, nz / straighten - lacking * vz
        if lacking > ZERO:
            along = ox * vx + oy * vy + oz * vz
            ox, oy, oz = ox - along * vx, oy - along * vy, oz - along * vz
        along = ox * ux + oy * uy + oz * uz
        ox, oy, oz = (ox - along * ux) * shrink, (oy - along * uy) * shrink, (oz - along * uz) * shrink
        for k in range(3):  # the rotation's transpose
            d_normal[i, k] = rotation[0, k] * ox + rotation[1, k] * oy + rotation[2, k] * oz


@parallel_kernel
def shade_backward(
    maps, table, rotation, normal, view, base, roughness, metallic, occlusion, g_diffuse, g_specular,
    d_maps, d_normal, d_base, d_roughness, d_metallic, d_occlusion,
):  # fmt: skip
    """Gradients of `shade_forward`; d_maps [CHUNKS,*maps.shape] comes zeroed and is still to be summed.

    An empty d_maps [CHUNKS,0,...] or d_normal [0,3] is not filled.
    """
    count = len(roughness)
    step = max((count + CHUNKS - 1) // CHUNKS, 1)
    for index in numba.prange(CHUNKS):
        chunk = np.int64(index)
        backward_chunk(
            maps, table, rotation, normal, view, base, roughness, metallic, occlusion, g_diffuse, g_specular,
            d_maps[chunk], d_normal, d_base, d_roughness, d_metallic, d_occlusion,
            chunk * step, min((chunk + 1) * step, count),
        )  # fmt: skip


@parallel_kernel
def sum_chunks(chunks, total):
    """Sum `chunks` [N,M] into `total` [M] in their order, so that threads do not matter."""
    blocks = 16
    step = (len(total) + blocks - 1) // blocks
    for index in numba.prange(blocks):
        block = np.int64(index)
        begin, end = block * step, min((block + 1) * step, len(total))
        total[begin:end] = chunks[0, begin:end]
        for chunk in range(1, len(chunks)):
            for j in range(begin, end):
                total[j] += chunks[chunk, j]
