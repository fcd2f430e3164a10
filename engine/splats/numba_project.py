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
# columns of `ellipses`: centre; a, b, c with q = (a dx + b dy)^2 + (c dy)^2, which of a long and thin ellipse keeps the
# digits that the inverse covariance loses; opacity; reach (q at which alpha is least); half height
X, Y, A, B, C, OPACITY, REACH, HEIGHT = range(8)
# columns of the gradient that compositing returns for each ellipse: sums over pixels of d q (q: squared Mahalanobis
# distance) times u = a dx + b dy, times v = c dy and times their products, of alpha d alpha, and of d shape
D_U, D_V, D_UU, D_UV, D_VV, D_ALPHA, D_SHAPE, FEATURES = range(8)


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
def minors(plane):
    """The cross product of the rows of `plane`; its square is the covariance's determinant, without cancellation."""
    return (
        plane[0, 1] * plane[1, 2] - plane[0, 2] * plane[1, 1],
        plane[0, 2] * plane[1, 0] - plane[0, 0] * plane[1, 2],
        plane[0, 0] * plane[1, 1] - plane[0, 1] * plane[1, 0],
    )


@kernel
def compensation(xx, yy, plane, antialiased):
    """(opacity's factor for the low pass, determinants before and after it)."""
    mx, my, mz = minors(plane)
    before = mx * mx + my * my + mz * mz
    after = before + LOW_PASS * (xx + yy + LOW_PASS)
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
            factor, _, after = compensation(xx, yy, plane, antialiased)
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
            root = np.float32(math.sqrt(yy))
            inverse = ONE / (root * np.float32(math.sqrt(after)))
            ellipses[i, A], ellipses[i, B], ellipses[i, C] = yy * inverse, -xy * inverse, ONE / root
            ellipses[i, OPACITY], ellipses[i, REACH], ellipses[i, HEIGHT] = opacity, reach, half_y
            colored(means[i], position, harmonics[i], degree, values, features[i])


@kernel
def plane_backward(plane, ellipse, sums, d_before, d_low, d_plane):
    """Fill `d_plane` [3,3]: the gradient of `plane` in two rows, and in the third each column's product with it.

    `d_before` is the gradient of the covariance's determinant and `d_low` that of its trace. The rest comes from `sums`
    of compositing: with W = (a b; 0 c) and E their sums over u, v, it is -2 W^T E W `plane`.
    """
    a, b, c = ellipse[A], ellipse[B], ellipse[C]
    mx, my, mz = minors(plane)
    for k in range(3):
        x, y = plane[0, k], plane[1, k]
        u, v = a * x + b * y, c * y
        d_u = -TWO * (sums[D_UU] * u + sums[D_UV] * v)
        d_v = -TWO * (sums[D_UV] * u + sums[D_VV] * v)
        after, before = (k + 1) % 3, (k + 2) % 3
        m_after = my if k == 0 else (mz if k == 1 else mx)
        m_before = mz if k == 0 else (mx if k == 1 else my)
        d_x = TWO * (d_before * (plane[1, after] * m_before - plane[1, before] * m_after) + d_low * x)
        d_y = TWO * (d_before * (m_after * plane[0, before] - m_before * plane[0, after]) + d_low * y)
        d_plane[0, k], d_plane[1, k] = a * d_u + d_x, b * d_u + c * d_v + d_y
        d_plane[2, k] = u * d_u + v * d_v + x * d_x + y * d_y


@kernel
def footprint_backward(view, lens, x, y, z, log_scales, axes, d_plane, d_matrix, d_log_scales):
    """Gradients (x, y, z) of the mean in camera axes from `d_plane` [3,3] of `plane_backward`.

    Fills `d_matrix` [3,3], of the splat's rotation, and `d_log_scales` [3].
    """
    inverse = ONE / z
    ratio_x, ratio_y = x * inverse, y * inverse
    along_x, along_y = min(max(ratio_x, -lens[2]), lens[2]), min(max(ratio_y, -lens[3]), lens[3])
    d_along_x, d_along_y, d_inverse = ZERO, ZERO, ZERO
    for column in range(3):
        d_u, d_v = d_plane[0, column] * lens[0] * inverse, d_plane[1, column] * lens[1] * inverse
        d_inverse += d_plane[2, column] * z
        d_along_x -= d_u * axes[2, column]
        d_along_y -= d_v * axes[2, column]
        d_depth = -(d_u * along_x + d_v * along_y)
        scale = np.float32(math.exp(log_scales[column]))
        for row in range(3):
            d_matrix[row, column] = (view[0, row] * d_u + view[1, row] * d_v + view[2, row] * d_depth) * scale
        d_log_scales[column] = d_plane[2, column]
    d_x, d_y, d_z = ZERO, ZERO, -d_inverse * inverse * inverse
    if ratio_x == along_x:
        d_x = d_along_x * inverse
        d_z -= d_along_x * ratio_x * inverse
    if ratio_y == along_y:
        d_y = d_along_y * inverse
        d_z -= d_along_y * ratio_y * inverse
    return d_x, d_y, d_z


@kernel
def turn_share(mean, position, quaternion, d_mean, d_quaternion, d_camera):
    """Fill the first three of `d_camera`: turning the camera about its centre turns splats the other way around it."""
    x, y, z = mean[0] - position[0], mean[1] - position[1], mean[2] - position[2]
    dx, dy, dz = d_mean[0], d_mean[1], d_mean[2]
    w, i, j, k = quaternion[0], quaternion[1], quaternion[2], quaternion[3]
    dw, di, dj, dk = d_quaternion[0], d_quaternion[1], d_quaternion[2], d_quaternion[3]
    d_camera[0] = -(y * dz - z * dy) - HALF * (w * di - dw * i + j * dk - k * dj)
    d_camera[1] = -(z * dx - x * dz) - HALF * (w * dj - dw * j + k * di - i * dk)
    d_camera[2] = -(x * dy - y * dx) - HALF * (w * dk - dw * k + i * dj - j * di)


@parallel_kernel
def project_backward(
    means, rotations, log_scales, logits, harmonics, shapes, view, position, lens, degree, antialiased,
    ellipses, radii, sums, d_means, d_rotations, d_log_scales, d_logits, d_harmonics, d_shapes, d_screen, d_camera,
):  # fmt: skip
    """Fill the gradients of the parameters, zero where a splat is not seen, from `sums` [N,7+F] of compositing.

    `d_screen` [N,2] is the gradient of the projected means in pixels. `d_camera` [N,10], empty where it is not asked
    for, becomes each splat's share in that of the camera (`SplatOptions.motion`).
    """
    count = len(means)
    step = (count + CHUNKS - 1) // CHUNKS
    for index in numba.prange(CHUNKS):
        chunk = np.int64(index)
        matrix, axes, d_plane = np.empty((3, 3), np.float32), np.empty((3, 3), np.float32), np.empty((3, 3), np.float32)
        plane, values, weights = np.empty((2, 3), np.float32), np.empty(16, np.float32), np.empty(16, np.float32)
        for i in range(chunk * step, min((chunk + 1) * step, count)):
            d_harmonics[i] = ZERO
            if radii[i] == 0:
                d_means[i], d_rotations[i], d_log_scales[i], d_logits[i], d_screen[i] = ZERO, ZERO, ZERO, ZERO, ZERO
                if len(d_camera):
                    d_camera[i] = ZERO
                if shapes is not None:
                    d_shapes[i] = ZERO
                continue
            x, y, z = camera_point(view, means, i)
            xx, xy, yy, inverse_length = footprint(
                view, lens, x, y, z, rotations[i], log_scales[i], matrix, axes, plane
            )
            factor, before, after = compensation(xx, yy, plane, antialiased)
            a, b, c, opacity = ellipses[i, A], ellipses[i, B], ellipses[i, C], ellipses[i, OPACITY]
            d_before, d_low = ZERO, ZERO
            if antialiased and before > ZERO:  # factor^2 = before / after
                d_low = -HALF * sums[i, D_ALPHA] * LOW_PASS / after
                d_before = -d_low * (xx + yy + LOW_PASS) / before
            plane_backward(plane, ellipses[i], sums[i], d_before, d_low, d_plane)
            d_x, d_y, d_z = footprint_backward(
                view, lens, x, y, z, log_scales[i], axes, d_plane, matrix, d_log_scales[i]
            )
            rotation_backward(rotations[i], inverse_length, matrix, d_rotations[i])
            d_u, d_v = -TWO * a * sums[i, D_U], -TWO * (b * sums[i, D_U] + c * sums[i, D_V])
            d_screen[i, 0], d_screen[i, 1] = d_u, d_v
            inverse = ONE / z
            d_x += d_u * lens[0] * inverse
            d_y += d_v * lens[1] * inverse
            d_z -= (d_u * lens[0] * x + d_v * lens[1] * y) * inverse * inverse
            for k in range(3):
                d_means[i, k] = view[0, k] * d_x + view[1, k] * d_y + view[2, k] * d_z
            if len(d_camera):
                turn_share(means[i], position, rotations[i], d_means[i], d_rotations[i], d_camera[i])
                along_u, along_v = d_u * x * inverse, d_v * y * inverse
                for k in range(3):
                    along_u += plane[0, k] * d_plane[0, k] / lens[0]
                    along_v += plane[1, k] * d_plane[1, k] / lens[1]
                d_camera[i, 6], d_camera[i, 7], d_camera[i, 8], d_camera[i, 9] = along_u, along_v, d_u, d_v
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
            if len(d_camera):
                for k in range(3):
                    d_camera[i, 3 + k] = -d_means[i, k]
