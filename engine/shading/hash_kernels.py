"""Kernels of the multi-resolution hash grid: trilinear features of points, and the gradients of tables and points."""

from __future__ import annotations

import numba
import numpy as np

from engine.kernels.settings import kernel, parallel_kernel

ZERO, ONE = np.float32(0), np.float32(1)
PRIME_Y, PRIME_Z = np.uint32(2654435761), np.uint32(805459861)  # Mueller et al. 2022, eq. 4


@kernel
def axis_cell(coordinate, resolution):
    """(cell, part) of a coordinate in [0,1], clamped, on an axis of `resolution` cells."""
    position = min(max(coordinate, ZERO), ONE) * np.float32(resolution)
    cell = min(np.int64(position), np.int64(resolution) - 1)
    return cell, position - np.float32(cell)


@kernel
def entry(x, y, z, resolution, mask):
    """Where a grid corner's features lie in its level's table: dense where mask is 0, else hashed."""
    if mask == 0:
        return (z * (resolution + 1) + y) * (resolution + 1) + x
    hashed = np.uint32(x) ^ (np.uint32(y) * PRIME_Y) ^ (np.uint32(z) * PRIME_Z)
    return np.int64(hashed) & mask


@parallel_kernel
def encode_forward(table, offsets, resolutions, masks, points, features):
    """Fill `features` [P,2L] from `table` [E,2]; points [P,3] in [0,1]; [L] first entries, cells, hash masks."""
    count = len(points)
    step = max((count + 63) // 64, 1)
    for index in numba.prange(64):
        chunk = np.int64(index)
        for level in range(len(resolutions)):
            resolution, mask, offset = resolutions[level], masks[level], offsets[level]
            for i in range(chunk * step, min((chunk + 1) * step, count)):
                x, fx = axis_cell(points[i, 0], resolution)
                y, fy = axis_cell(points[i, 1], resolution)
                z, fz = axis_cell(points[i, 2], resolution)
                first, second = ZERO, ZERO
                for corner in range(8):
                    dx, dy, dz = corner & 1, (corner >> 1) & 1, corner >> 2
                    weight = (fx if dx else ONE - fx) * (fy if dy else ONE - fy) * (fz if dz else ONE - fz)
                    where = offset + entry(x + dx, y + dy, z + dz, resolution, mask)
                    first += weight * table[where, 0]
                    second += weight * table[where, 1]
                features[i, 2 * level] = first
                features[i, 2 * level + 1] = second


@parallel_kernel
def encode_backward(offsets, resolutions, masks, points, d_features, d_table):
    """Add to `d_table` [E,2], zeroed before; levels are independent, each takes its points in order: deterministic."""
    for index in numba.prange(len(resolutions)):
        level = np.int64(len(resolutions) - 1) - np.int64(index)  # the costly fine ones first
        resolution, mask, offset = resolutions[level], masks[level], offsets[level]
        for i in range(len(points)):
            x, fx = axis_cell(points[i, 0], resolution)
            y, fy = axis_cell(points[i, 1], resolution)
            z, fz = axis_cell(points[i, 2], resolution)
            first, second = d_features[i, 2 * level], d_features[i, 2 * level + 1]
            for corner in range(8):
                dx, dy, dz = corner & 1, (corner >> 1) & 1, corner >> 2
                weight = (fx if dx else ONE - fx) * (fy if dy else ONE - fy) * (fz if dz else ONE - fz)
                where = offset + entry(x + dx, y + dy, z + dz, resolution, mask)
                d_table[where, 0] += weight * first
                d_table[where, 1] += weight * second


@parallel_kernel
def encode_backward_points(table, offsets, resolutions, masks, points, d_features, d_points):
    """Fill `d_points` [P,3]: the gradient to points in the unit cube, zero along an axis where a point lies outside."""
    count = len(points)
    step = max((count + 63) // 64, 1)
    for index in numba.prange(64):
        chunk = np.int64(index)
        for i in range(chunk * step, min((chunk + 1) * step, count)):
            along_x, along_y, along_z = ZERO, ZERO, ZERO
            for level in range(len(resolutions)):
                resolution, mask, offset = resolutions[level], masks[level], offsets[level]
                x, fx = axis_cell(points[i, 0], resolution)
                y, fy = axis_cell(points[i, 1], resolution)
                z, fz = axis_cell(points[i, 2], resolution)
                first, second = d_features[i, 2 * level], d_features[i, 2 * level + 1]
                to_x, to_y, to_z = ZERO, ZERO, ZERO
                for corner in range(8):
                    dx, dy, dz = corner & 1, (corner >> 1) & 1, corner >> 2
                    wx, wy, wz = fx if dx else ONE - fx, fy if dy else ONE - fy, fz if dz else ONE - fz
                    where = offset + entry(x + dx, y + dy, z + dz, resolution, mask)
                    value = first * table[where, 0] + second * table[where, 1]
                    to_x += value * wy * wz if dx else -value * wy * wz
                    to_y += value * wx * wz if dy else -value * wx * wz
                    to_z += value * wx * wy if dz else -value * wx * wy
                along_x += to_x * np.float32(resolution)
                along_y += to_y * np.float32(resolution)
                along_z += to_z * np.float32(resolution)
            d_points[i, 0] = along_x if ZERO <= points[i, 0] <= ONE else ZERO
            d_points[i, 1] = along_y if ZERO <= points[i, 1] <= ONE else ZERO
            d_points[i, 2] = along_z if ZERO <= points[i, 2] <= ONE else ZERO
