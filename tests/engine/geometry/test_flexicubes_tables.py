"""The generated tables: patches are closed curves, and no pair of cubes shares a mesh edge twice."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.geometry.flexicubes import tables as made


def test_every_crossed_edge_has_a_patch_and_no_other_edge_has():
    table = made.tables()
    for code in range(512):
        crossed = set(made.crossed_edges(code % 256))
        assert {e for e in range(12) if table.patch[code, e] >= 0} == crossed
        assert sorted(set(table.patch[code]) - {-1}) == list(range(table.patch_count[code]))


def test_every_patch_is_one_closed_curve():
    for code in range(256):
        joined = [frozenset()] + [frozenset([int(f)]) for f in made.tables().pinched[code : code + 1] if f >= 0]
        for faces in joined:
            segments = [s for f in range(6) for s in made.face_segments(code, f, f in faces)]
            degree = np.bincount(np.array(segments, int).reshape(-1), minlength=12)
            assert set(degree) <= {0, 2}
            patch = made.patches(code, faces)
            assert all(patch[a] == patch[b] for a, b in segments)
            assert all(patch.count(k) >= 3 for k in set(patch) - {-1})


def test_no_configuration_pinches_two_faces():
    for code in range(256):
        pinched = made.pinched_face(code)
        if pinched >= 0:
            assert made.ambiguous_faces(code) == [pinched]


def test_turning_inside_out_keeps_the_crossed_edges():
    for code in range(256):
        assert made.crossed_edges(code) == made.crossed_edges(255 - code)


@pytest.mark.parametrize("axis", range(3))
def test_every_pair_of_neighbours_shares_each_mesh_edge_once(axis):
    """Two cubes with a common face: every curve across it is one mesh edge, between a patch of one and of the other."""
    table = made.tables()
    high, low = 2 * axis + 1, 2 * axis
    pairs = 0
    for first, second in itertools.product(range(256), repeat=2):
        shared = [(first >> i & 1) == (second >> k & 1) for i, k in zip(made.FACES[high], made.FACES[low], strict=True)]
        if not all(shared):
            continue
        pairs += 1
        joined = table.pinched[first] == high and table.pinched[second] == low
        codes = first + 256 * joined, second + 256 * joined
        ends = []
        segments = [made.face_segments(c, f, bool(joined)) for c, f in ((first, high), (second, low))]
        shift = {e: _opposite(e, axis) for e in range(12) if e // 4 != axis}
        for a, b in segments[0]:
            patch = table.patch[codes[0], a], table.patch[codes[1], shift[a]]
            assert patch == (table.patch[codes[0], b], table.patch[codes[1], shift[b]])
            ends.append(patch)
        assert len(ends) == len(set(ends)), (first, second)
        assert {frozenset(shift[e] for e in s) for s in segments[0]} == {frozenset(s) for s in segments[1]}
    assert pairs == 4096


def _opposite(edge: int, axis: int) -> int:
    """The neighbour's name of an edge on the face at the axis' high end."""
    low, high = made.EDGES[edge]
    return made.EDGES.index((low & ~(1 << axis), high & ~(1 << axis))) if low >> axis & 1 else -1
