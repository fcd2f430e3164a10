"""What is wrong with a mesh, in numbers."""

from __future__ import annotations

import numpy as np

from engine.geometry.self_intersection import self_intersecting
from engine.geometry.topology import Topology, components
from engine.scene.mesh import Mesh

# A triangle is thin when its smallest height is less than this share of its longest side (about 3 degrees).
THIN = 0.05


def mesh_quality(mesh: Mesh, samples: int = 2000, seed: int = 0) -> dict[str, int]:
    """Counts that should mostly be zero for a good surface, ready for JSON.

    `faces`, `vertices`, `components` (joined through vertices), `boundary_edges`, `non_manifold_edges` (three or more
    faces), `flipped_edges` (two faces oriented against each other), `non_manifold_vertices` (several fans),
    `thin_triangles` (smallest height under a twentieth of the longest side, or no area), `self_intersections_sampled`:
    how many of `self_intersection_samples` faces, drawn by `seed`, pass through another one.
    """
    faces = len(mesh.triangles)
    topology = Topology.of(mesh.triangles)
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    longest = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2).max(1, initial=0)
    twice_area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    sample = np.arange(faces)
    if faces > samples:
        sample = np.sort(np.random.default_rng(seed).choice(faces, samples, replace=False))
    return {
        "faces": faces,
        "vertices": len(mesh.vertices),
        "components": int(components(mesh.triangles, len(mesh.vertices)).max(initial=-1)) + 1,
        "boundary_edges": topology.boundary_edges,
        "non_manifold_edges": topology.non_manifold_edges,
        "flipped_edges": topology.flipped_edges,
        "non_manifold_vertices": topology.non_manifold_vertices,
        "thin_triangles": int((twice_area <= THIN * longest**2).sum()),
        "self_intersections_sampled": int(self_intersecting(mesh.vertices, mesh.triangles, sample).sum()),
        "self_intersection_samples": len(sample),
    }
