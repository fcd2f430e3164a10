"""Moves the training photos' cameras along with the scene: SE(3) increments, and intrinsics that all share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from engine.optimize.refined_cameras import PREFIX, with_lens, with_pose
from engine.optimize.splat_start import scene_radius
from engine.scene import Camera

if TYPE_CHECKING:
    from engine.optimize.stage import StageContext
    from engine.optimize.views import View

MOTION, LENS = 6, 4  # rotation about the camera's centre and translation, both in world axes; fx, fy, cx, cy
BETAS, EPS = (0.9, 0.999), 1e-15


def tell_unmoved(context: StageContext, stage: str) -> None:
    """Say where cameras are to be moved that `stage` does not."""
    if context.recipe.optimize.cameras:
        context.notice(f"optimize.cameras has no effect on stage {stage}: only shape, refine and splats move cameras")


class CameraRefinement:
    """What cameras have been moved by, and an Adam for each; idle unless `optimize.cameras` is on.

    A step draws with `moved` and gives its splatter, or `see` (stages/view_pass.py), the leaf of `motion`, whose
    gradient `take` turns into the next increment. Only the cameras of training photos move.
    """

    def __init__(self, context: StageContext) -> None:
        self._context = context
        frames = context.capture.frames
        cameras = [frames[index].camera for index in context.capture.train]
        self._radius = scene_radius(cameras)
        count = len(frames)
        self._tensors = {
            "rotations": torch.eye(3, dtype=torch.float64).repeat(count, 1, 1),
            "offsets": torch.zeros(count, 3, dtype=torch.float64),
            "lens": torch.zeros(LENS, dtype=torch.float64),  # log fx, log fy, centre in focal lengths
            "first": torch.zeros(count + 1, MOTION, dtype=torch.float64),  # the last row is the lens's
            "second": torch.zeros(count + 1, MOTION, dtype=torch.float64),
            "steps": torch.zeros(count + 1, dtype=torch.int64),
        }
        self.restore_named(context.scene.tensors)

    @property
    def active(self) -> bool:
        """Whether cameras move in this step."""
        return self._context.recipe.optimize.cameras

    def camera(self, frame: int, camera: Camera) -> Camera:
        """The camera of a frame, of any size, where it is by now."""
        moved = with_pose(camera, *(self._tensors[name][frame].numpy() for name in ("rotations", "offsets")))
        return with_lens(moved, self._tensors["lens"].tolist())

    def moved(self, view: View) -> View:
        """The view with its camera where it is by now."""
        if not self.active and not self.state():
            return view
        moved = replace(view, camera=self.camera(view.frame, view.camera))
        if view.part is not None:  # the photo loss asks for them, and computes them once for each view
            moved.__dict__["statistics"] = view.statistics
        return moved

    def motion(self) -> Tensor | None:
        """[10] zeros that get the gradient, in radians, capture units and pixels; None when idle."""
        return torch.zeros(MOTION + LENS, requires_grad=True) if self.active else None

    @torch.no_grad()
    def take(self, view: View, motion: Tensor | None, share: float, scale: float) -> None:
        """One Adam step of a view's camera; its rate falls with the `share` of the steps that is done."""
        if motion is None or motion.grad is None or not torch.isfinite(motion.grad).all():
            return
        options, slope = self._context.recipe.optimize, motion.grad.double()
        rate = options.learning_rate_cameras * 0.1**share * scale
        units = torch.tensor([1.0] * 3 + [self._radius] * 3, dtype=torch.float64)
        step = rate * units * self._adam(view.frame, slope[:MOTION] * units)
        turn = Rotation.from_rotvec(-step[:3].numpy()).as_matrix()
        self._tensors["rotations"][view.frame] = torch.from_numpy(turn) @ self._tensors["rotations"][view.frame]
        self._tensors["offsets"][view.frame] -= step[3:]
        if options.intrinsics:
            scales = torch.tensor([*view.camera.focal, *view.camera.focal], dtype=torch.float64)
            whole = torch.nn.functional.pad(slope[MOTION:] * scales, (0, MOTION - LENS))
            self._tensors["lens"] -= rate * self._adam(-1, whole)[:LENS]

    def _adam(self, row: int, slope: Tensor) -> Tensor:
        first, second, steps = (self._tensors[name] for name in ("first", "second", "steps"))
        steps[row] += 1
        first[row] = BETAS[0] * first[row] + (1 - BETAS[0]) * slope
        second[row] = BETAS[1] * second[row] + (1 - BETAS[1]) * slope**2
        count = int(steps[row])
        mean, square = first[row] / (1 - BETAS[0] ** count), second[row] / (1 - BETAS[1] ** count)
        return mean / (square.sqrt() + EPS)

    def state(self) -> dict[str, Tensor]:
        """All tensors, by name; nothing while no camera has moved."""
        return dict(self._tensors) if bool(self._tensors["steps"].any()) else {}

    def named_state(self) -> dict[str, Tensor]:
        """`state` under the names that a stage keeps it by."""
        return {f"{PREFIX}{name}": tensor for name, tensor in self.state().items()}

    def restore_named(self, tensors: dict[str, Tensor]) -> None:
        """Go on from `named_state` among a stage's other tensors."""
        self.restore({name[len(PREFIX) :]: t for name, t in tensors.items() if name.startswith(PREFIX)})

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        for name, tensor in tensors.items():
            self._tensors[name] = tensor.detach().clone()

    def finish(self) -> None:
        """Leave the cameras to the next stages."""
        self._context.scene.tensors |= {name: tensor.clone() for name, tensor in self.named_state().items()}

    def report(self) -> dict[str, Any]:
        """How far cameras have moved: greatest turn in degrees and greatest way in scene radii."""
        turns = Rotation.from_matrix(self._tensors["rotations"].numpy()).magnitude()
        ways = self._tensors["offsets"].norm(dim=1).max() / self._radius
        return {"degrees": float(np.degrees(turns.max())), "radii": float(ways)}
