"""The stochastic loop on a subdivided cage: control vertices and a displacement map move a surface of many triangles.

The surface is evaluated anew on the device in every step, on both sides of the perturbation. A pixel is credited to all
control vertices in the stencils of its triangle's corners and of their one-rings, each once, and to all texels that
lift those corners (Deliot, Heitz and Belcour 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import GeometryError
from engine.geometry.displacement import DisplacementTaps
from engine.geometry.subdivision import LoopSurface, read_controls, read_rows
from engine.kernels.webgpu import Gpu
from engine.kernels.wgsl import compose
from engine.optimize.stochastic import topology
from engine.optimize.stochastic.loop import StochasticLoop
from engine.optimize.stochastic.memory import GROUP, LoopMemory, padded
from engine.optimize.stochastic.options import GROUPS
from engine.optimize.stochastic.rendering import Rendering
from engine.optimize.stochastic.scene import LOOP, LoopScene
from engine.optimize.stochastic.solver import LargeStepsSolver

STENCIL = np.dtype([("control", "u4"), ("weights", "f4", 3)])
TAPS = np.dtype([("texels", "u4", 4), ("weights", "f4", 4)])


@dataclass(frozen=True)
class CageScene(LoopScene):
    """`vertices` and `triangles` are the cage's; texture coordinates and tangents are of the surface's triangles."""

    surface: LoopSurface | None = None  # needed
    taps: DisplacementTaps | None = None  # needed
    displacement: np.ndarray | None = None  # [H W] float32 along the limit normal, capture units; None: 0

    def __post_init__(self) -> None:
        if self.surface is None or self.taps is None:
            raise GeometryError(
                "the stochastic loop was given a cage without its stencils; make them with loop_surface"
            )
        super().__post_init__()
        if self.surface.control_count != len(self.vertices):
            raise GeometryError("the stencils given to the stochastic loop belong to another cage; make them anew")
        if self.displacement is not None:
            if self.displacement.size != self.texels:
                raise GeometryError(
                    f"{LOOP} a displacement of {self.displacement.size} texels for a map of {self.texels}; resize it"
                )
            if not np.isfinite(self.displacement).all():
                raise GeometryError(f"{LOOP} a displacement that is not finite; start from zeros")

    @property
    def point_count(self) -> int:
        """The vertices that are drawn, of the surface."""
        return self.surface.vertex_count

    @property
    def face_count(self) -> int:
        """The triangles that are drawn, of the surface."""
        return len(self.surface.triangles)

    @property
    def texels(self) -> int:
        """Texels of the displacement map."""
        return self.taps.size[0] * self.taps.size[1]

    def points(self, cage: np.ndarray, heights: np.ndarray) -> np.ndarray:
        """[N,3] float32: the surface of `cage` [V,3], displaced by the map `heights` [H W]."""
        cage = np.asarray(cage, np.float64)
        lifted = self.taps.heights(heights)[:, None] * self.surface.normals(cage)
        return (self.surface.positions(cage) + lifted).astype(np.float32)


class CageMemory(LoopMemory):
    """A loop's memory whose `vertex_count` and `positions` are the cage's, its triangles the surface's."""

    scene: CageScene

    def _mesh(self, vertices: np.ndarray, triangles: np.ndarray) -> None:
        gpu, scene, surface = self.gpu, self.scene, self.scene.surface
        count = self.surface_count = surface.vertex_count
        self.triangle_count, self.stride = len(surface.triangles), -(-count // 16) * 16
        self.positions = gpu.buffer(padded(vertices), label="control vertices")
        adjacency = topology.neighbours(triangles, self.vertex_count)
        self.largest_degree = int(topology.degrees(adjacency, self.vertex_count).max())
        self.neighbours = gpu.buffer(adjacency, label="neighbours")
        self.rings = gpu.buffer(topology.rings(surface.triangles, count), label="rings of vertices")
        corners = topology.corner_table(surface.triangles, scene.uvs, scene.uv_triangles, scene.tangent_triangles)
        self.tables, self.readers = self._credit(corners, *read_controls(surface), self.vertex_count)
        lifted = read_rows(surface.triangles, *scene.taps.rows(), scene.texels, smooth=True)
        self.lift_tables, self.lift_readers = self._credit(corners, *lifted, scene.texels)
        self.triangles = gpu.buffer(np.ascontiguousarray(surface.triangles, np.uint32), label="triangles")
        tangents = np.zeros((1, 4), np.float32) if scene.tangents is None else scene.tangents
        self.moved = gpu.buffer(16 * (6 * self.stride + len(tangents)), label="perturbed vertices")
        self.write_tangents(tangents)
        self.clip = [(self.moved, 16 * side * self.stride, 16 * count) for side in (0, 1)]
        self._surface()

    def _credit(self, corners: np.ndarray, start: np.ndarray, row: np.ndarray, rows: int) -> tuple[Any, Any]:
        """(table of the triangles with the rows that move each, table of the triangles that each row moves)."""
        forward = np.concatenate([corners.reshape(-1), start.astype(np.uint32), row.astype(np.uint32)])
        triangle = np.repeat(np.arange(len(start) - 1), np.diff(start))
        backward = topology.compressed(row.astype(np.int64), triangle, rows)
        return self.gpu.buffer(forward, label="triangle tables"), self.gpu.buffer(backward, label="readers")

    def _surface(self) -> None:
        gpu, surface, taps = self.gpu, self.scene.surface, self.scene.taps
        stencils = np.zeros(len(surface.control), STENCIL)
        stencils["control"], stencils["weights"] = surface.control, surface.weights
        lifts = np.zeros(surface.vertex_count, TAPS)
        lifts["texels"], lifts["weights"] = taps.texels, taps.weights
        self.stencil_starts = gpu.buffer(surface.start.astype(np.uint32), label="starts of stencils")
        self.stencils, self.taps = gpu.buffer(stencils, label="stencils"), gpu.buffer(lifts, label="taps")
        self.displacement = gpu.buffer(16 * self.scene.texels, label="displacement")
        self.write_displacement(
            np.zeros(self.scene.texels) if self.scene.displacement is None else self.scene.displacement
        )

    def write_displacement(self, heights: np.ndarray) -> None:
        """Replace the displacement map [H W]."""
        rows = np.zeros((self.scene.texels, 4), np.float32)
        rows[:, 0] = np.asarray(heights).reshape(-1)
        self.gpu.write(self.displacement, rows)


class CageRendering(Rendering):
    """Encodes the subdivision in place of moved vertices."""

    memory: CageMemory

    def _perturb(self, group: str) -> Any:
        key = ("perturb", group)
        if key not in self._pipelines:
            source = compose("subdivision", constants={"GROUP": GROUPS[group]})
            self._pipelines[key] = [self.gpu.compute(source, name) for name in ("surface_points", "surface_normals")]
        return self._pipelines[key]

    def _encode_moved(self, encoder: Any, group: str, step: Any, view: Any, number: int | None = None) -> None:
        memory, (points, normals) = self.memory, self._perturb(group)
        shared = {0: step, 1: view, 4: memory.moved, 7: memory.taps}
        surface = {
            2: memory.positions,
            5: memory.stencil_starts,
            6: memory.stencils,
            9: memory.displacement,
        }
        groups = -(-memory.surface_count // GROUP)
        bound = self._kept(("points", group, number), points, shared | surface)
        self.gpu.dispatch(encoder, points, [bound], groups)
        bound = self._kept(("normals", group, number), normals, shared | {3: memory.rings})
        self.gpu.dispatch(encoder, normals, [bound], groups)

    def _credit_resources(self, group: Any) -> dict[int, Any]:
        return {3: self.memory.lift_tables} if group.name == "displacement" else super()._credit_resources(group)


class DisplacementGroup:
    """The displacement map's texels, smoothed by large steps on the surface that they lift, moved by uniform Adam."""

    name = "displacement"
    credit = "credit_vertices"
    moves_geometry = True

    def __init__(self, memory: CageMemory) -> None:
        self.memory, gpu, scene = memory, memory.gpu, memory.scene
        self.count, options = scene.texels, memory.options
        self._gradient, self._first, self._second, self._mean, self._square = (
            gpu.buffer(16 * self.count, label=f"displacement {what}")
            for what in ("gradient", "solution", "solution", "mean", "square")
        )
        self._largest = gpu.buffer(16, label="largest moment")
        edges = scene.taps.edges(scene.surface.triangles)
        both = np.concatenate([edges, edges[:, ::-1]])
        table = topology.compressed(both[:, 0], both[:, 1], self.count)
        degree = int(topology.degrees(table, self.count).max())
        neighbours = gpu.buffer(table, label="neighbouring texels")
        smoothness = options.smoothness
        self._solver = LargeStepsSolver(gpu, neighbours, self.count, degree, smoothness, options.iterations)
        source = memory.composed("displacement_gradient", GROUP=GROUPS[self.name])
        self._gather = gpu.compute(source, "displacement_gradient")
        source = compose("uniform_adam")
        self._moments, self._move = gpu.compute(source, "moments"), gpu.compute(source, "move_vertices")
        points = scene.points(scene.vertices, np.zeros(self.count))
        ends = points[scene.surface.triangles]
        self._edge_length = float(np.linalg.norm(ends - np.roll(ends, 1, 1), axis=-1).mean())
        self._bound: dict[Any, Any] = {}

    def clear(self, encoder: Any) -> None:
        """Encode what has to be zero before the step."""
        encoder.clear_buffer(self._largest, 0, 16)

    def encode(self, compute_pass: Any, view: int) -> None:
        """Encode the step from the credited sums to the new map."""
        memory, gpu, groups = self.memory, self.memory.gpu, -(-self.count // GROUP)
        self.encode_gradient(compute_pass, view)
        smooth = self._solver.encode(compute_pass, self._gradient, self._first, self._second)
        rest = self._second if smooth is self._first else self._first
        smooth = self._solver.encode(compute_pass, smooth, self._gradient, rest)
        if "moments" not in self._bound:
            moments = {0: memory.step, 2: smooth, 3: self._mean, 4: self._square, 5: self._largest}
            moves = {0: memory.step, 3: self._mean, 5: self._largest, 6: memory.displacement}
            self._bound["moments"] = gpu.bind(self._moments, moments)
            self._bound["move"] = gpu.bind(self._move, moves)
        gpu.dispatch(compute_pass, self._moments, [self._bound["moments"]], groups)
        gpu.dispatch(compute_pass, self._move, [self._bound["move"]], groups)

    def encode_gradient(self, compute_pass: Any, view: int) -> Any:
        """Encode the gradient of the step's loss; returns its buffer, vec4f [H W], x."""
        memory = self.memory
        if view not in self._bound:
            resources = {0: memory.step, 1: memory.view_uniform(view), 3: memory.lift_readers, 4: self._gradient}
            self._bound[view] = memory.gpu.bind(self._gather, resources | {8: memory.sums})
        memory.gpu.dispatch(compute_pass, self._gather, [self._bound[view]], -(-self.count // GROUP))
        return self._gradient

    def rate(self, rate: float) -> float:
        """The largest move in world units for `rate` in mean edge lengths of the surface."""
        return rate * self._edge_length

    def state(self) -> dict[str, np.ndarray]:
        """Host copies of the map and Adam's moments."""
        read = self.memory.gpu.read
        buffers = {"heights": self.memory.displacement, "mean": self._mean, "square": self._square}
        return {name: read(buffer, np.float32, (self.count, 4))[:, 0].copy() for name, buffer in buffers.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go back to what `state` returned."""
        self.memory.write_displacement(state["heights"])
        for name, buffer in (("mean", self._mean), ("square", self._square)):
            rows = np.zeros((self.count, 4), np.float32)
            rows[:, 0] = state[name]
            self.memory.gpu.write(buffer, rows)


class CageLoop(StochasticLoop):
    """A stochastic loop whose group "vertices" are control vertices; it also knows the group "displacement"."""

    scene: CageScene
    memory: CageMemory

    def _memory(self, gpu: Gpu, sums: int) -> CageMemory:
        rows = max(len(self.scene.vertices), self.scene.texels)
        most = max(sums, len(self.scene.surface.triangles) + rows)
        return CageMemory(gpu, self.scene, self.views, self.options, most)

    def _rendering(self) -> CageRendering:
        return CageRendering(self.memory, self.shading, self.light)

    def _group(self, name: str) -> Any:
        return DisplacementGroup(self.memory) if name == "displacement" else super()._group(name)

    def _record(self, name: str | None) -> np.ndarray:
        record = super()._record(name)
        if name == "displacement":
            record["vertices"] = self.scene.texels
        return record

    def displacement(self) -> np.ndarray:
        """[H,W] float32, capture units; waits for the device."""
        count = self.scene.texels
        rows = self._recovering(lambda: self.gpu.read(self.memory.displacement, np.float32, (count, 4)))
        return rows[:, 0].reshape(self.scene.taps.size)

    def points(self) -> np.ndarray:
        """[N,3] float32 vertices of the surface as it is now; waits for the device."""
        return self.scene.points(self.vertices(), self.displacement())
