"""The edge table: boundary, manifold and non-manifold edges, and both implementations alike."""

import numpy as np
import torch

from engine.raster.bench import displaced_icosphere
from engine.raster.contract import EdgeTable
from engine.raster.edges import edge_table_reference


def test_two_triangles_share_one_edge_and_have_four_boundary_edges():
    table = EdgeTable.from_triangles(torch.tensor([[0, 1, 2], [2, 1, 3]], dtype=torch.int32), 4)
    assert table.edges.tolist() == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]
    assert table.wings.tolist() == [[0, -1], [0, -1], [0, 1], [1, -1], [1, -1]]
    assert table.opposite.tolist() == [[2, -1], [1, -1], [0, 3], [2, -1], [1, -1]]


def test_three_triangles_at_one_edge_give_two_pairs():
    table = EdgeTable.from_triangles(torch.tensor([[0, 1, 2], [0, 1, 3], [1, 0, 4]], dtype=torch.int32), 5)
    shared = (table.edges == torch.tensor([0, 1])).all(1)
    assert table.wings[shared].tolist() == [[0, 1], [1, 2]]


def test_a_closed_mesh_has_two_wings_everywhere():
    _, triangles = displaced_icosphere(1000)
    table = EdgeTable.from_triangles(torch.from_numpy(triangles), int(triangles.max()) + 1)
    assert len(table.edges) == len(triangles) * 3 // 2 and int(table.wings.min()) >= 0


def test_numba_and_reference_tables_are_equal():
    rng = np.random.default_rng(0)
    triangles = torch.from_numpy(rng.integers(0, 60, (400, 3)).astype(np.int32))  # non-manifold, with zero-length edges
    table = EdgeTable.from_triangles(triangles, 60)
    expected = edge_table_reference(triangles, 60)
    for ours, theirs in zip((table.edges, table.wings, table.opposite), expected, strict=True):
        assert torch.equal(ours, theirs)


def test_no_triangles_have_no_edges():
    table = EdgeTable.from_triangles(torch.zeros((0, 3), dtype=torch.int32), 3)
    assert table.edges.shape == (0, 2)
