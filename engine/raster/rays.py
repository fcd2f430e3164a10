"""Rays against triangles through embree: closest hits and shadows. NumPy in and out, no gradients.

The reference for visibility in tests, and what Monte Carlo shading and ambient occlusion trace. Rays run in single
precision on the calling thread (embreex holds the interpreter), 3-5 million a second on one core.
"""

from __future__ import annotations

import numpy as np

from engine.errors import DeviceError, GeometryError


class RayCaster:
    """An acceleration structure over one triangle mesh.

    Raises DeviceError where embreex is not installed and GeometryError for a mesh that has no triangles or a triangle
    that names a missing vertex.
    """

    def __init__(
        self,
        vertices: np.ndarray,  # [V,3] float
        triangles: np.ndarray,  # [F,3] int
    ) -> None:
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError as error:
            raise DeviceError(f"tracing rays needs embreex ({error}); install it with: pip install embreex") from error
        self.vertices = np.ascontiguousarray(vertices, np.float32)
        self.triangles = np.ascontiguousarray(triangles, np.int32)
        if len(self.triangles) == 0:
            raise GeometryError("the mesh has no triangles, so no ray can hit it; give a mesh with a surface")
        if self.triangles.min() < 0 or self.triangles.max() >= len(self.vertices):
            raise GeometryError("a triangle names a vertex that is not there; repair the mesh first")
        if not np.isfinite(self.vertices).all():
            raise GeometryError("the mesh has a vertex that is not finite; repair the mesh first")
        self._scene = EmbreeScene(robust=True)
        self._mesh = TriangleMesh(self._scene, self.vertices, self.triangles)  # the scene reads its memory: keep it
        self.scale = float(np.abs(self.vertices).max())  # largest coordinate; rounding errors are in proportion to it

    def first_hit(
        self,
        origins: np.ndarray,  # [N,3]
        directions: np.ndarray,  # [N,3], of any length
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(triangle [N] int64, -1 for a miss; distance [N] float32 in lengths of `directions`, inf for a miss;
        barycentrics [N,2] float32, the weights of vertex 0 and 1, zero for a miss)."""
        hit = self._scene.run(_rays(origins), _rays(directions), output=1)
        triangle = hit["primID"].astype(np.int64)
        missed = triangle < 0
        # embree's u and v weigh vertex 1 and 2
        barycentrics = np.stack([1 - hit["u"] - hit["v"], hit["u"]], -1).astype(np.float32)
        barycentrics[missed] = 0
        return triangle, np.where(missed, np.float32(np.inf), hit["tfar"]), barycentrics

    def occluded(
        self,
        origins: np.ndarray,  # [N,3]
        directions: np.ndarray,  # [N,3], of any length
    ) -> np.ndarray:
        """[N] bool: whether anything lies along each ray, however far."""
        return self._scene.run(_rays(origins), _rays(directions), query="OCCLUDED") >= 0


def _rays(vectors: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vectors, np.float32).reshape(-1, 3)
