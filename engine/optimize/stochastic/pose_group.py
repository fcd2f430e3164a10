"""The cameras' poses as a group of parameters: every pixel of a view is credited to its six numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.optimize.stochastic.memory import ALIGNED, VIEW, LoopMemory
from engine.optimize.stochastic.options import GROUPS

MOMENTS = 64  # bytes per view


class PoseGroup:
    """Moves the pose of the view that a step sees, by small turns and shifts along the camera's axes.

    eps and rate are pixels at the scene's centre. Mesh and cameras can move together without any photo noticing: hold
    one of them, or take what they agree on as it comes.
    """

    name = "camera_pose"
    credit = "credit_pose"
    moves_geometry = True

    def __init__(self, memory: LoopMemory) -> None:
        self.memory = memory
        self.count = len(memory.sizes)
        self._moments = memory.gpu.buffer(ALIGNED * self.count, label="moments of poses")
        source = memory.composed("pose_adam", GROUP=GROUPS[self.name])
        self._adam = memory.gpu.compute(source, "pose_adam")
        self._bound: dict[int, Any] = {}

    def clear(self, encoder: Any) -> None:
        """Encode what has to be zero before the step."""

    def encode(self, compute_pass: Any, view: int) -> None:
        """Encode the step from the credited sums to the moved camera."""
        memory = self.memory
        if view not in self._bound:
            resources = {
                0: memory.step,
                2: memory.view_uniform(view),
                3: (self._moments, view * ALIGNED, MOMENTS),
                8: memory.sums,
            }
            self._bound[view] = memory.gpu.bind(self._adam, resources)
        memory.gpu.dispatch(compute_pass, self._adam, [self._bound[view]], 1)

    def rate(self, rate: float) -> float:
        """Rates are in pixels."""
        return rate

    def camera_from_world(self) -> np.ndarray:
        """[N,4,4] float64 of all views; waits for the device."""
        records = self.memory.gpu.read(self.memory.views, np.uint8, (self.count, ALIGNED))
        matrices = np.tile(np.eye(4), (self.count, 1, 1))
        matrices[:, :3] = np.ascontiguousarray(records[:, : VIEW.itemsize]).view(VIEW)["camera_from_world"][:, 0]
        return matrices

    def state(self) -> dict[str, np.ndarray]:
        """Host copies of the views and Adam's moments."""
        read, shape = self.memory.gpu.read, (self.count, ALIGNED)
        return {"views": read(self.memory.views, np.uint8, shape), "moments": read(self._moments, np.uint8, shape)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go back to what `state` returned."""
        self.memory.gpu.write(self.memory.views, state["views"])
        self.memory.gpu.write(self._moments, state["moments"])
