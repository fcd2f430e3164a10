"""How much a GGX lobe reflects in all: the table of the split sum, integrated by the project when first asked for.

NumPy only. `specular_albedo()` is Karis' (2013) second sum; the diffuse lobe is weighted by what it leaves over.
"""

from __future__ import annotations

import functools

import numpy as np

TABLE_SIZE = 64


def _integrate(cosine: np.ndarray, roughness: np.ndarray, strata: tuple[int, int]) -> np.ndarray:
    """[..., 2] the scale and bias of F0 for broadcastable view cosines and roughnesses, over a fixed grid of samples.

    Samples visible normals through spherical caps (Dupuy and Benyoub 2023), whose weight F G2/G1 is smooth, so that a
    regular grid of midpoints does well.
    """
    turns, heights = strata
    phi = ((np.arange(turns) + 0.5) / turns * np.pi).astype(np.float32)  # half the circle: the other mirrors it
    height = ((np.arange(heights) + 0.5) / heights).astype(np.float32)
    phi, height = (a.ravel() for a in np.meshgrid(phi, height, indexing="ij"))
    cosine = np.maximum(cosine, 1e-4).astype(np.float32)[..., None]
    alpha = np.maximum(roughness * roughness, 1e-5).astype(np.float32)[..., None]
    sine = np.sqrt(np.maximum(1 - cosine * cosine, 0))
    stretch = np.sqrt((alpha * sine) ** 2 + cosine**2)
    vx, vz = alpha * sine / stretch, cosine / stretch
    cap_z = (1 - height) * (1 + vz) - vz
    ring = np.sqrt(np.maximum(1 - cap_z * cap_z, 0))
    hx, hy, hz = alpha * (ring * np.cos(phi) + vx), alpha * (ring * np.sin(phi)), np.maximum(cap_z + vz, 0)
    length = np.sqrt(hx * hx + hy * hy + hz * hz)
    view_half = np.clip((hx * sine + hz * cosine) / length, 0, 1)
    light = 2 * view_half * hz / length - cosine
    safe = np.maximum(light, 1e-6)
    square = alpha * alpha

    def smith(c):  # Lambda of height-correlated Smith
        return 0.5 * (np.sqrt(1 + square * (1 - c * c) / (c * c)) - 1)

    view_lambda = smith(cosine)
    weight = np.where(light > 0, (1 + view_lambda) / (1 + view_lambda + smith(safe)), 0)
    fresnel = (1 - view_half) ** 5
    return np.stack([(weight * (1 - fresnel)).mean(-1), (weight * fresnel).mean(-1)], -1)


@functools.cache
def specular_albedo() -> np.ndarray:
    """[R,C,2] float32 (scale, bias): a GGX lobe reflects scale * F0 + bias of a uniform light.

    Node i of each axis stands for i / (size - 1); axis 0 is roughness, axis 1 the cosine of the viewing angle.
    """
    grid = np.linspace(0, 1, TABLE_SIZE)
    table = np.empty((TABLE_SIZE, TABLE_SIZE, 2), np.float32)
    for row, roughness in enumerate(grid):  # row by row: the samples of one stay in the cache
        table[row] = _integrate(grid, np.array(roughness), (16, 32))
    grazing = (1 - grid) ** 5
    table[0, :, 0], table[0, :, 1] = 1 - grazing, grazing  # a mirror, exactly
    table.setflags(write=False)
    return table


@functools.cache
def average_albedo() -> np.ndarray:
    """[R,2] float32: `specular_albedo` averaged over directions with the cosine as weight, per roughness node."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    cosine = (nodes + 1) / 2
    position = cosine * (TABLE_SIZE - 1)
    low = np.minimum(position.astype(int), TABLE_SIZE - 2)
    part = (position - low)[:, None]
    table = specular_albedo().astype(np.float64)
    values = table[:, low] * (1 - part) + table[:, low + 1] * part
    average = (values * (weights * cosine)[:, None]).sum(1).astype(np.float32)
    average.setflags(write=False)
    return average
