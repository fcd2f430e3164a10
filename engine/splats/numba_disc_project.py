"""Discs to what rays meet of them, and the gradients back (Huang et al. 2024, arXiv 2403.17888).

A ray that passes a disc's mean at (dx, dy) pixels meets the disc's plane at (u, v) = (U, V) / D scales from the mean,
where U and V are multiples of dx and dy, and D, the ray's product with the normal, is linear in them.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from engine.kernels.settings import kernel, parallel_kernel
from engine.splats import constants
from engine.splats.numba_harmonics import colored, colored_backward
from engine.splats.numba_project import REACH as TILE_REACH
from engine.splats.numba_project import A as TILE_A
from engine.splats.numba_project import B as TILE_B
from engine.splats.numba_project import C as TILE_C
from engine.splats.numba_project import X as TILE_X
from engine.splats.numba_project import Y as TILE_Y
from engine.splats.numba_project import camera_point, rotation, rotation_backward, turn_share

CHUNKS = 64
ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)
NEAR, ALPHA_MIN = np.float32(constants.NEAR), np.float32(constants.ALPHA_MIN)
LEAST_SCALE = np.float32(1e-15)
SLACK = np.float32(0.0625)  # px^2 by which tiles take a disc's ellipse larger, so that one seen edge-on has an area
# columns of `discs`: centre; U = UX dx + UY dy, V = VX dx + VY dy, D = D0 + DX dx + DY dy; depth at the plane
# Z + ZU u + ZV v; opacity; first and last row of pixels
X, Y, UX, UY, VX, VY, D0, DX, DY, Z, ZU, ZV, OPACITY, TOP, BOTTOM = range(15)
COLUMNS = 15
# columns of the gradient that compositing returns for each disc: sums over pixels of d U, d V, d D and, where the
# screen filter counts, of d filter (S), alone or times dx or dy; of d z, alone or times u or v; of alpha d alpha
(
    SUM_U, SUM_UX, SUM_UY, SUM_V, SUM_VX, SUM_VY, SUM_D, SUM_DX, SUM_DY, SUM_SX, SUM_SY, SUM_Z, SUM_ZU, SUM_ZV,
    SUM_ALPHA, FEATURES,
) = range(16)  # fmt: skip


@kernel
def unit_axes(view, quaternion, matrix, axes):
    """Fill `matrix` [3,3], the rotation, and the rows of `axes` [3,3]: tangents and normal seen from the camera.

    Returns 1 / |quaternion|.
    """
    inverse_length = rotation(quaternion, matrix)
    for column in range(2):
        for row in range(3):
            axes[column, row] = (
                view[row, 0] * matrix[0, column] + view[row, 1] * matrix[1, column] + view[row, 2] * matrix[2, column]
            )
    for row in range(3):
        after, before = (row + 1) % 3, (row + 2) % 3
        axes[2, row] = axes[0, after] * axes[1, before] - axes[0, before] * axes[1, after]
    return inverse_length


@kernel
def scale_of(log_scale):
    """The scale, at least LEAST_SCALE."""
    return max(np.float32(math.exp(log_scale)), LEAST_SCALE)


@kernel
def rim(lens, x, y, z, axes, su, sv, reach, ellipse):
    """Fill `ellipse` [8] with the image of u^2 + v^2 = `reach` for the tiles, its centre as an offset from the mean.

    Returns half the sides of its bounding box, negative where the disc reaches the camera's plane.
    """
    lean_u, lean_v = su * axes[0, 2], sv * axes[1, 2]
    square = z * z - reach * (lean_u * lean_u + lean_v * lean_v)
    if not square > ZERO:
        return -ONE, -ONE
    ratio_x, ratio_y = x / z, y / z
    ux, uy = lens[0] * (su * axes[0, 0] - ratio_x * lean_u), lens[1] * (su * axes[0, 1] - ratio_y * lean_u)
    vx, vy = lens[0] * (sv * axes[1, 0] - ratio_x * lean_v), lens[1] * (sv * axes[1, 1] - ratio_y * lean_v)
    share = reach / square
    centre_x, centre_y = -share * (ux * lean_u + vx * lean_v), -share * (uy * lean_u + vy * lean_v)
    xx, yy = share * (ux * ux + vx * vx) + centre_x * centre_x, share * (uy * uy + vy * vy) + centre_y * centre_y
    half_x, half_y = np.float32(math.sqrt(xx)), np.float32(math.sqrt(yy))
    xy = share * (ux * uy + vx * vy) + centre_x * centre_y
    turn_u, turn_v = ux * centre_y - uy * centre_x, vx * centre_y - vy * centre_x
    area = share * (ux * vy - vx * uy)
    determinant = area * area + share * (turn_u * turn_u + turn_v * turn_v) + SLACK * (xx + yy + SLACK)
    xx, yy = xx + SLACK, yy + SLACK
    root, scale = np.float32(math.sqrt(yy)), np.float32(math.sqrt(reach))
    inverse = scale / (root * np.float32(math.sqrt(determinant)))
    ellipse[TILE_X], ellipse[TILE_Y] = centre_x, centre_y
    ellipse[TILE_A], ellipse[TILE_B], ellipse[TILE_C] = yy * inverse, -xy * inverse, scale / root
    return half_x, half_y


@parallel_kernel
def project_discs(
    means, rotations, log_scales, logits, harmonics, view, position, lens, size, degree,
    discs, ellipses, depths, tiles, radii, features,
):  # fmt: skip
    """Fill what compositing needs of each disc; `radii` is 0 and the rest undefined where one is not seen.

    `view` to `degree` as in `project` (numba_project.py). Fills `discs` [N,15]; `ellipses` [N,8], their images for
    `find_discs` (numba_disc_tiles.py), all zero but the reach where a disc comes as near as the camera's plane;
    `depths` [N], `tiles` [N,4], `radii` [N] and the first three of `features` [N,F], the colour.
    """
    count = len(means)
    step = (count + CHUNKS - 1) // CHUNKS
    for index in numba.prange(CHUNKS):
        chunk = np.int64(index)
        matrix, axes, values = np.empty((3, 3), np.float32), np.empty((3, 3), np.float32), np.empty(16, np.float32)
        for i in range(chunk * step, min((chunk + 1) * step, count)):
            radii[i] = 0
            x, y, z = camera_point(view, means, i)
            opacity = ONE / (ONE + np.float32(math.exp(-logits[i])))
            if not (z > NEAR and opacity > ALPHA_MIN):
                continue
            unit_axes(view, rotations[i], matrix, axes)
            su, sv = scale_of(log_scales[i, 0]), scale_of(log_scales[i, 1])
            ratio_x, ratio_y = x / z, y / z
            centre_x, centre_y = lens[0] * ratio_x + lens[4], lens[1] * ratio_y + lens[5]
            if not abs(centre_x) + abs(centre_y) + su + sv + abs(axes[2, 0]) < np.float32(1e9):
                continue  # what is not a number is not seen
            reach = TWO * np.float32(math.log(opacity / ALPHA_MIN))  # q at which alpha falls to its least
            filtered = np.float32(math.sqrt(reach / TWO))
            half_x, half_y = rim(lens, x, y, z, axes, su, sv, reach, ellipses[i])
            if half_x < ZERO:
                left, right, top, bottom = ZERO, np.float32(size[0]), ZERO, np.float32(size[1])
                ellipses[i] = ZERO
            else:
                left = centre_x + min(ellipses[i, TILE_X] - half_x, -filtered)
                right = centre_x + max(ellipses[i, TILE_X] + half_x, filtered)
                top = centre_y + min(ellipses[i, TILE_Y] - half_y, -filtered)
                bottom = centre_y + max(ellipses[i, TILE_Y] + half_y, filtered)
                ellipses[i, TILE_X] += centre_x
                ellipses[i, TILE_Y] += centre_y
            extent = np.float32(math.ceil(max(right - left, bottom - top) / TWO))
            left, right = max(left, ZERO), min(right, np.float32(size[0]))
            top, bottom = max(top, ZERO), min(bottom, np.float32(size[1]))
            if not (left < right and top < bottom):
                continue
            ellipses[i, TILE_REACH] = reach
            side = np.float32(constants.TILE)
            tiles[i, 0], tiles[i, 1] = np.int32(left / side), np.int32(math.ceil(right / side))
            tiles[i, 2], tiles[i, 3] = np.int32(top / side), np.int32(math.ceil(bottom / side))
            radii[i], depths[i] = np.int32(min(extent, np.float32(1 << 30))), z
            discs[i, X], discs[i, Y], discs[i, Z], discs[i, OPACITY] = centre_x, centre_y, z, opacity
            along_u, along_v = z / su, z / sv
            discs[i, UX] = along_u * (axes[1, 1] - ratio_y * axes[1, 2]) / lens[0]
            discs[i, UY] = -along_u * (axes[1, 0] - ratio_x * axes[1, 2]) / lens[1]
            discs[i, VX] = -along_v * (axes[0, 1] - ratio_y * axes[0, 2]) / lens[0]
            discs[i, VY] = along_v * (axes[0, 0] - ratio_x * axes[0, 2]) / lens[1]
            discs[i, D0] = axes[2, 0] * ratio_x + axes[2, 1] * ratio_y + axes[2, 2]
            discs[i, DX], discs[i, DY] = axes[2, 0] / lens[0], axes[2, 1] / lens[1]
            discs[i, ZU], discs[i, ZV] = su * axes[0, 2], sv * axes[1, 2]
            discs[i, TOP], discs[i, BOTTOM] = top, bottom
            colored(means[i], position, harmonics[i], degree, values, features[i])


@kernel
def disc_backward(lens, x, y, z, disc, su, sv, axes, sums, d_axes):
    """(d x, d y, d z of the mean in camera axes, d log su, d log sv, d centre x, d centre y) from `sums` [15+F].

    Fills the first two rows of `d_axes` [3,3].
    """
    ratio_x, ratio_y = x / z, y / z
    # of the coefficients times what they share
    ux, uy = sums[SUM_UX] / lens[0], sums[SUM_UY] / lens[1]
    vx, vy = sums[SUM_VX] / lens[0], sums[SUM_VY] / lens[1]
    along_u, along_v = z / su, z / sv
    d_across = along_u * ux, -along_u * uy, -along_v * vx, along_v * vy  # of axes seen across the ray: 11, 10, 01, 00
    d_n0 = sums[SUM_D] * ratio_x + sums[SUM_DX] / lens[0]
    d_n1 = sums[SUM_D] * ratio_y + sums[SUM_DY] / lens[1]
    d_n2 = sums[SUM_D]
    d_axes[0, 0] = d_across[3] + axes[1, 1] * d_n2 - axes[1, 2] * d_n1
    d_axes[0, 1] = d_across[2] + axes[1, 2] * d_n0 - axes[1, 0] * d_n2
    d_axes[0, 2] = axes[1, 0] * d_n1 - axes[1, 1] * d_n0
    d_axes[0, 2] += su * sums[SUM_ZU] - ratio_x * d_across[3] - ratio_y * d_across[2]
    d_axes[1, 0] = d_across[1] + axes[0, 2] * d_n1 - axes[0, 1] * d_n2
    d_axes[1, 1] = d_across[0] + axes[0, 0] * d_n2 - axes[0, 2] * d_n0
    d_axes[1, 2] = axes[0, 1] * d_n0 - axes[0, 0] * d_n1
    d_axes[1, 2] += sv * sums[SUM_ZV] - ratio_y * d_across[0] - ratio_x * d_across[1]
    d_ratio_x = sums[SUM_D] * axes[2, 0] - axes[1, 2] * d_across[1] - axes[0, 2] * d_across[3]
    d_ratio_y = sums[SUM_D] * axes[2, 1] - axes[1, 2] * d_across[0] - axes[0, 2] * d_across[2]
    d_u = sums[SUM_UX] * disc[UX] + sums[SUM_UY] * disc[UY]
    d_v = sums[SUM_VX] * disc[VX] + sums[SUM_VY] * disc[VY]
    d_x = -(sums[SUM_U] * disc[UX] + sums[SUM_V] * disc[VX] + sums[SUM_D] * disc[DX] + sums[SUM_SX])
    d_y = -(sums[SUM_U] * disc[UY] + sums[SUM_V] * disc[VY] + sums[SUM_D] * disc[DY] + sums[SUM_SY])
    d_ratio_x += lens[0] * d_x
    d_ratio_y += lens[1] * d_y
    d_z = sums[SUM_Z] + (d_u + d_v - d_ratio_x * ratio_x - d_ratio_y * ratio_y) / z
    d_log_u, d_log_v = sums[SUM_ZU] * disc[ZU] - d_u, sums[SUM_ZV] * disc[ZV] - d_v
    return d_ratio_x / z, d_ratio_y / z, d_z, d_log_u, d_log_v, d_x, d_y


@parallel_kernel
def project_discs_backward(
    means, rotations, log_scales, logits, harmonics, view, position, lens, degree,
    discs, radii, sums, d_means, d_rotations, d_log_scales, d_logits, d_harmonics, d_screen, d_camera,
):  # fmt: skip
    """Fill the gradients of the parameters, zero where a disc is not seen, from `sums` [N,15+F] of compositing.

    `d_screen` and `d_camera` as in `project_backward` (numba_project.py).
    """
    count = len(means)
    step = (count + CHUNKS - 1) // CHUNKS
    for index in numba.prange(CHUNKS):
        chunk = np.int64(index)
        matrix, axes, d_axes = np.empty((3, 3), np.float32), np.empty((3, 3), np.float32), np.empty((3, 3), np.float32)
        values, weights = np.empty(16, np.float32), np.empty(16, np.float32)
        for i in range(chunk * step, min((chunk + 1) * step, count)):
            d_harmonics[i] = ZERO
            if radii[i] == 0:
                d_means[i], d_rotations[i], d_log_scales[i], d_logits[i], d_screen[i] = ZERO, ZERO, ZERO, ZERO, ZERO
                if len(d_camera):
                    d_camera[i] = ZERO
                continue
            x, y, z = camera_point(view, means, i)
            inverse_length = unit_axes(view, rotations[i], matrix, axes)
            su, sv = scale_of(log_scales[i, 0]), scale_of(log_scales[i, 1])
            d_x, d_y, d_z, d_u, d_v, d_screen[i, 0], d_screen[i, 1] = disc_backward(
                lens, x, y, z, discs[i], su, sv, axes, sums[i], d_axes
            )
            d_log_scales[i, 0], d_log_scales[i, 1], d_log_scales[i, 2] = d_u, d_v, ZERO
            for row in range(3):
                for column in range(2):
                    matrix[row, column] = (
                        view[0, row] * d_axes[column, 0]
                        + view[1, row] * d_axes[column, 1]
                        + view[2, row] * d_axes[column, 2]
                    )
                matrix[row, 2] = ZERO
            rotation_backward(rotations[i], inverse_length, matrix, d_rotations[i])
            for k in range(3):
                d_means[i, k] = view[0, k] * d_x + view[1, k] * d_y + view[2, k] * d_z
            if len(d_camera):
                turn_share(means[i], position, rotations[i], d_means[i], d_rotations[i], d_camera[i])
                along_x = (
                    sums[i, SUM_UX] * discs[i, UX] + sums[i, SUM_VX] * discs[i, VX] + sums[i, SUM_DX] * discs[i, DX]
                )
                along_y = (
                    sums[i, SUM_UY] * discs[i, UY] + sums[i, SUM_VY] * discs[i, VY] + sums[i, SUM_DY] * discs[i, DY]
                )
                d_camera[i, 6] = d_screen[i, 0] * x / z - along_x / lens[0]
                d_camera[i, 7] = d_screen[i, 1] * y / z - along_y / lens[1]
                d_camera[i, 8], d_camera[i, 9] = d_screen[i, 0], d_screen[i, 1]
            d_logits[i] = sums[i, SUM_ALPHA] * (ONE - discs[i, OPACITY])
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
