"""Splats to ellipses on the image and the gradients back: EWA projection (Kerbl et al. 2023, eq. 5)."""

from __future__ import annotations

import math

import numba
import numpy as np

from engine.kernels.settings import kernel, parallel_kernel
from engine.splats import constants
from engine.splats.numba_harmonics import colored, colored_backward

CHUNKS = 64
ZERO, ONE, TWO, HALF = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)
LOW_PASS, NEAR = np.float32(constants.LOW_PASS), np.float32(constants.NEAR)
ALPHA_MIN, LIMIT = np.float32(constants.ALPHA_MIN), np.float32(constants.JACOBIAN_LIMIT)
# columns of `ellipses`: centre, inverse covariance xx, xy, yy, opacity, reach (q at which alpha is least), half height
X, Y, XX, XY, YY, OPACITY, REACH, HEIGHT = range(8)
# columns of the gradient that compositing returns for each ellipse: sums over pixels of d q (q: squared Mahalanobis
# distance), times the offset from the centre and its products, of alpha d alpha, and of d shape
D_X, D_Y, D_XX, D_XY, D_YY, D_ALPHA, D_SHAPE, FEATURES = range(8)


@kernel
def rotation(quaternion, matrix):
    """Fill `matrix` [3,3] with the rotation of a quaternion [4] w, x, y, z of any length; 1 / that length."""
    w, x, y, z = quaternion[0], quaternion[1], quaternion[2], quaternion[3]
    scale = ONE / max(math.sqrt(w * w + x * x + y * y + z * z), np.float32(1e-20))
    w, x, y, z = w * scale, x * scale, y * scale, z * scale
    matrix[0, 0], matrix[0, 1], matrix[0, 2] = ONE - TWO * (y * y + z * z), TWO * (x * y - w * z), TWO * (x * z + w * y)
    matrix[1, 0], matrix[1, 1], matrix[1, 2] = TWO * (x * y + w * z), ONE - TWO * (x * x + z * z), TWO * (y * z - w * x)
    matrix[2, 0], matrix[2, 1], matrix[2, 2] = TWO * (x * z - w * y), TWO * (y * z + w * x), ONE - TWO * (x * x + y * y)
    return scale


@kernel
def rotation_backward(quaternion, scale, d, d_quaternion):
    """Fill `d_quaternion` [4] from the gradient `d` [3,3] of the rotation and what `rotation` returned."""
    w, x, y, z = quaternion[0] * scale, quaternion[1] * scale, quaternion[2] * scale, quaternion[3] * scale
    dw = TWO * (x * (d[2, 1] - d[1, 2]) + y * (d[0, 2] - d[2, 0]) + z * (d[1, 0] - d[0, 1]))
    dx = TWO * (
        w * (d[2, 1] - d[1, 2]) + y * (d[1, 0] + d[0, 1]) + z * (d[2, 0] + d[0, 2]) - TWO * x * (d[1, 1] + d[2, 2])
    )
    dy = TWO * (
        w * (d[0, 2] - d[2, 0]) + x * (d[1, 0] + d[0, 1]) + z * (d[2, 1] + d[1, 2]) - TWO * y * (d[0, 0] + d[2, 2])
    )
    dz = TWO * (
        w * (d[1, 0] - d[0, 1]) + x * (d[2, 0] + d[0, 2]) + y * (d[2, 1] + d[1, 2]) - TWO * z * (d[0, 0] + d[1, 1])
    )
    along = w * dw + x * dx + y * dy + z * dz
    d_quaternion[0], d_quaternion[1] = (dw - along * w) * scale, (dx - along * x) * scale
    d_quaternion[2], d_quaternion[3] = (dy - along * y) * scale, (dz - along * z) * scale


@kernel
def camera_point(view, means, i):
    """The mean [3] in camera axes."""
    x, y, z = means[i, 0], means[i, 1], means[i, 2]
    return (
        view[0, 0] * x + view[0, 1] * y + view[0, 2] * z + view[0, 3],
        view[1, 0] * x + view[1, 1] * y + view[1, 2] * z + view[1, 3],
        view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3],
    )


@kernel
def footprint(view, lens, x, y, z, quaternion, log_scales, matrix, axes, plane):
    """The projected covariance (xx, xy, yy) without low pass, and 1 / |quaternion|.

    Fills `matrix` [3,3], the splat's rotation, `axes` [3,3], its scaled axes seen from the camera, and `plane` [2,3],
    those on the image plane. `lens` is fx, fy and the limits of x/z and y/z.
    """
    inverse_length = rotation(quaternion, matrix)
    for column in range(3):
        scale = np.float32(math.exp(log_scales[column]))
        for row in range(3):
            value = ZERO
            for k in range(3):
                value += view[row, k] * matrix[k, column]
            axes[row, column] = value * scale
    inverse = ONE / z
    along_x = min(max(x * inverse, -lens[2]), lens[2])
    along_y = min(max(y * inverse, -lens[3]), lens[3])
    for column in range(3):
        plane[0, column] = lens[0] * inverse * (axes[0, column] - along_x * axes[2, column])
        plane[1, column] = lens[1] * inverse * (axes[1, column] - along_y * axes[2, column])
    xx = plane[0, 0] * plane[0, 0] + plane[0, 1] * plane[0, 1] + plane[0, 2] * plane[0, 2]
    xy = plane[0, 0] * plane[1, 0] + plane[0, 1] * plane[1, 1] + plane[0, 2] * plane[1, 2]
    yy = plane[1, 0] * plane[1, 0] + plane[1, 1] * plane[1, 1] + plane[1, 2] * plane[1, 2]
    return xx, xy, yy, inverse_length


@kernel
def compensation(xx, xy, yy, antialiased):
    """(opacity's factor for the low pass, determinants before and after it)."""
    before = max(xx * yy - xy * xy, ZERO)
    after = (xx + LOW_PASS) * (yy + LOW_PASS) - xy * xy
    factor = ONE
    if antialiased:
        factor = math.sqrt(before / after)
    return factor, before, after


@parallel_kernel
def project(
    means, rotations, log_scales, logits, harmonics, shapes, view, position, lens, size, degree, antialiased,
    ellipses, depths, tiles, radii, features,
):  # fmt: skip
    """Fill what compositing needs of each splat; `radii` is 0 and the rest undefined where one is not seen.

    `view` [3,4] camera from world; `position` [3]; `lens` [6] fx, fy, limits of x/z and y/z, cx, cy; `size` (width,
    height); `shapes` [N] or None. Fills `ellipses` [N,8], `depths` [N], `tiles` [N,4] int32 first and past-last column
    and row of tiles, `radii` [N] int32, and the first three of `features` [N,F], the colour.
    """
    count = len(means)
    step = (count + CHUNKS - 1) // CHUNKS
    for index in numba.prange(CHUNKS):
        chunk = np.int64(index)
        matrix, axes = np.empty((3, 3), np.float32), np.empty((3, 3), np.float32)
        plane, values = np.empty((2, 3), np.float32), np.empty(16, np.float32)
        for i in range(chunk * step, min((chunk + 1) * step, count)):
            radii[i] = 0
            x, y, z = camera_point(view, means, i)
            if not z > NEAR:
                continue
            xx, xy, yy, _ = footprint(view, lens, x, y, z, rotations[i], log_scales[i], matrix, axes, plane)
            factor, _, after = compensation(xx, xy, yy, antialiased)
            opacity = factor / (ONE + np.float32(math.exp(-logits[i])))
            if not (opacity > ALPHA_MIN and after > ZERO):
                continue
            reach = TWO * np.float32(math.log(opacity / ALPHA_MIN))  # q at which alpha falls to its least
            if shapes is not None:
                reach = np.float32(reach ** (TWO / shapes[i]))
            xx, yy = xx + LOW_PASS, yy + LOW_PASS
            centre_x, centre_y = lens[0] * x / z + lens[4], lens[1] * y / z + lens[5]
            half_x, half_y = np.float32(math.sqrt(reach * xx)), np.float32(math.sqrt(reach * yy))
            if not (half_x < np.float32(1e9) and half_y < np.float32(1e9)):
                continue
            left, right = max(centre_x - half_x, ZERO), min(centre_x + half_x, np.float32(size[0]))
            top, bottom = max(centre_y - half_y, ZERO), min(centre_y + half_y, np.float32(size[1]))
            if not (left < right and top < bottom):
                continue
            side = np.float32(constants.TILE)
            tiles[i, 0], tiles[i, 1] = np.int32(left / side), np.int32(math.ceil(right / side))
            tiles[i, 2], tiles[i, 3] = np.int32(top / side), np.int32(math.ceil(bottom / side))
            radii[i] = np.int32(math.ceil(max(half_x, half_y)))
            depths[i] = z
            ellipses[i, X], ellipses[i, Y] = centre_x, centre_y
            ellipses[i, XX], ellipses[i, XY], ellipses[i, YY] = yy / after, -xy / after, xx / after
            ellipses[i, OPACITY], ellipses[i, REACH], ellipses[i, HEIGHT] = opacity, reach, half_y
            colored(means[i], position, harmonics[i], degree, values, features[i])


@kernel
def footprint_backward(view, lens, x, y, z, log_scales, axes, plane, d_xx, d_xy, d_yy, d_matrix, d_log_scales):
    """Gradients (x, y, z) of the mean in camera axes from those of the covariance (d_xy: of both entries together).

    Fills `d_matrix` [3,3], of the splat's rotation, and `d_log_scales` [3].
    """
    inverse = ONE / z
    ratio_x, ratio_y = x * inverse, y * inverse
    along_x, along_y = min(max(ratio_x, -lens[2]), lens[2]), min(max(ratio_y, -lens[3]), lens[3])
    d_along_x, d_along_y, d_inverse = ZERO, ZERO, ZERO
    for column in range(3):
        d_u = TWO * d_xx * plane[0, column] + d_xy * plane[1, column]
        d_v = TWO * d_yy * plane[1, column] + d_xy * plane[0, column]
        d_inverse += (d_u * plane[0, column] + d_v * plane[1, column]) * z
        d_u *= lens[0] * inverse
        d_v *= lens[1] * inverse
        d_along_x -= d_u * axes[2, column]
        d_along_y -= d_v * axes[2, column]
        d_depth = -(d_u * along_x + d_v * along_y)
        scale = np.float32(math.exp(log_scales[column]))
        for row in range(3):
            d_matrix[row, column] = (view[0, row] * d_u + view[1, row] * d_v + view[2, row] * d_depth) * scale
        d_log_scales[column] = d_u * axes[0, column] + d_v * axes[1, column] + d_depth * axes[2, column]
    d_x, d_y, d_z = ZERO, ZERO, -d_inverse * inverse * inverse
    if ratio_x == along_x:
        d_x = d_along_x * inverse
        d_z -= d_along_x * ratio_x * inverse
    if ratio_y == along_y:
        d_y = d_along_y * inverse
        d_z -= d_along_y * ratio_y * inverse
    return d_x, d_y, d_z


@parallel_kernel
def project_backward(
    means, rotations, log_scales, logits, harmonics, shapes, view, position, lens, degree, antialiased,
    ellipses, radii, sums, d_means, d_rotations, d_log_scales, d_logits, d_harmonics, d_shapes, d_screen,
):  # fmt: skip
    """Fill the gradients of the parameters, zero where a splat is not seen, from `sums` [N,7+F] of compositing.

    `d_screen` [N,2] is the gradient of the projected means in pixels.
    """
    count = len(means)
    step = (count + CHUNKS - 1) // CHUNKS
    for index in numba.prange(CHUNKS):
        chunk = np.int64(index)
        matrix, axes = np.empty((3, 3), np.float32), np.empty((3, 3), np.float32)
        plane, values, weights = np.empty((2, 3), np.float32), np.empty(16, np.float32), np.empty(16, np.float32)
        for i in range(chunk * step, min((chunk + 1) * step, count)):
            d_harmonics[i] = ZERO
            if radii[i] == 0:
                d_means[i], d_rotations[i], d_log_scales[i], d_logits[i], d_screen[i] = ZERO, ZERO, ZERO, ZERO, ZERO
                if shapes is not None:
                    d_shapes[i] = ZERO
                continue
            x, y, z = camera_point(view, means, i)
            xx, xy, yy, inverse_length = footprint(
                view, lens, x, y, z, rotations[i], log_scales[i], matrix, axes, plane
            )
            factor, before, after = compensation(xx, xy, yy, antialiased)
            a, b, c, opacity = ellipses[i, XX], ellipses[i, XY], ellipses[i, YY], ellipses[i, OPACITY]
            # conic to covariance: d S = -K d K K, with d K symmetric
            ka, kb, kc = sums[i, D_XX], sums[i, D_XY], sums[i, D_YY]
            d_xx = -(a * a * ka + TWO * a * b * kb + b * b * kc)
            d_yy = -(b * b * ka + TWO * b * c * kb + c * c * kc)
            d_xy = -TWO * (a * b * ka + (a * c + b * b) * kb + b * c * kc)
            if antialiased and before > ZERO:  # factor^2 = before / after
                d_log = HALF * sums[i, D_ALPHA]
                d_xx += d_log * (yy / before - (yy + LOW_PASS) / after)
                d_yy += d_log * (xx / before - (xx + LOW_PASS) / after)
                d_xy -= TWO * d_log * xy * (ONE / before - ONE / after)
            d_x, d_y, d_z = footprint_backward(
                view, lens, x, y, z, log_scales[i], axes, plane, d_xx, d_xy, d_yy, matrix, d_log_scales[i]
            )
            rotation_backward(rotations[i], inverse_length, matrix, d_rotations[i])
            d_u = -TWO * (a * sums[i, D_X] + b * sums[i, D_Y])
            d_v = -TWO * (b * sums[i, D_X] + c * sums[i, D_Y])
            d_screen[i, 0], d_screen[i, 1] = d_u, d_v
            inverse = ONE / z
            d_x += d_u * lens[0] * inverse
            d_y += d_v * lens[1] * inverse
            d_z -= (d_u * lens[0] * x + d_v * lens[1] * y) * inverse * inverse
            for k in range(3):
                d_means[i, k] = view[0, k] * d_x + view[1, k] * d_y + view[2, k] * d_z
            d_logits[i] = sums[i, D_ALPHA] * (ONE - opacity / max(factor, np.float32(1e-20)))
            if shapes is not None:
                d_shapes[i] = sums[i, D_SHAPE]
            colored_backward(
                means[i],
                position,
                harmonics[i],
                degree,
                sums[i, FEATURES:],
                values,
                weights,
                d_harmonics[i],
                d_means[i],
            )
