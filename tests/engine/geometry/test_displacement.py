"""Displacement taps: bilinear look-ups at the vertices, their transpose, and neighbours across seams."""

from __future__ import annotations

import numpy as np

from engine.geometry.displacement import DisplacementTaps

TRIANGLES = np.array([[0, 1, 2], [2, 1, 3]])
UVS = np.array([[0.1, 0.1], [0.9, 0.2], [0.3, 0.8], [0.3, 0.9], [0.7, 0.9], [0.8, 0.5]])
UV_TRIANGLES = np.array([[0, 1, 2], [3, 4, 5]])  # the edge between vertices 1 and 2 is a seam


def taps(size=(8, 16)) -> DisplacementTaps:
    return DisplacementTaps.of(TRIANGLES, 4, UVS, UV_TRIANGLES, size)


def test_a_linear_map_is_read_exactly_at_the_first_corner_of_each_vertex():
    y, x = np.mgrid[:8, :16]
    heights = taps().heights(3.0 * (x + 0.5) / 16 - 2.0 * (y + 0.5) / 8)
    place = UVS[[0, 1, 2, 5]]  # vertex 1 and 2 take their first triangle's
    np.testing.assert_allclose(heights, 3 * place[:, 0] - 2 * place[:, 1], atol=1e-12)


def test_the_gradient_is_the_transpose_of_the_look_up():
    random = np.random.default_rng(0)
    texture, slopes = random.normal(size=8 * 16), random.normal(size=4)
    found = taps()
    np.testing.assert_allclose(found.gradient(slopes) @ texture, slopes @ found.heights(texture), rtol=1e-12)


def test_rows_name_every_texel_that_counts_and_no_other():
    found = taps()
    start, texel = found.rows()
    texture = np.random.default_rng(1).normal(size=8 * 16)
    for changed in range(8 * 16):
        moved = texture.copy()
        moved[changed] += 1
        different = np.flatnonzero(found.heights(moved) != found.heights(texture))
        listed = [vertex for vertex in range(4) if changed in texel[start[vertex] : start[vertex + 1]]]
        assert different.tolist() == listed


def test_neighbours_join_charts_across_a_seam():
    edges = taps().edges(TRIANGLES)
    assert (edges[:, 0] < edges[:, 1]).all()
    parent = list(range(8 * 16))

    def root(texel):
        while parent[texel] != texel:
            texel = parent[texel]
        return texel

    for a, b in edges.tolist():
        parent[root(a)] = root(b)
    used = taps().texels[taps().weights > 0]
    assert len({root(texel) for texel in used.tolist()}) == 1
