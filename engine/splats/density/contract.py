"""What every strategy of density control takes, does and keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from engine.errors import ProjectError, RecipeError
from engine.scene.camera import Camera
from engine.scene.gaussians import Kind
from engine.splats.contract import SplatImage
from engine.splats.editing import edited
from engine.splats.parameters import SplatTensors


@dataclass(frozen=True)
class DensityOptions:
    """When and how splats grow and go; the defaults are after the papers, for 30,000 steps.

    Raises RecipeError where no strategy could keep to them.
    """

    budget: int  # splats, never exceeded
    extent: float = 1.0  # radius of the scene, capture units
    start: int = 500  # steps before the first round
    stop: int = 15_000  # no round from this step on; 27,000 for error, 25,000 for relocation in their papers
    interval: int = 100  # steps from round to round
    prune_opacity: float = 0.005  # splats below it go, or move
    split_scale: float = 0.01  # splats of a larger scale are split, others cloned; share of the extent
    grow_share: float = 0.05  # error, relocation: most new splats in a round, share of those there are
    grow_gradient: float = 2e-4  # classic: least mean gradient, per half an image
    prune_scale: float = 0.1  # classic: greatest scale, share of the extent; from the first reset on
    prune_screen: float = 0.15  # classic: greatest radius, share of the image's larger side; from the first reset on
    reset_interval: int = 3000  # classic: steps from reset to reset of all opacities
    reset_opacity: float = 0.01  # classic: they are lowered to it
    grow_error: float = 0.1  # error: least sum of error times weight over a view's pixels
    decay: float = 0.001  # error: what all opacities lose in a round
    noise: float = 5e5  # relocation: of the means, times learning rate and covariance in squares of the extent
    opacity_penalty: float = 0.01  # relocation: weight of the mean opacity
    scale_penalty: float = 0.01  # relocation: weight of the mean scale, in extents

    def __post_init__(self) -> None:
        for name in ("budget", "interval", "reset_interval"):
            if getattr(self, name) < 1:
                raise RecipeError(f"density control's {name} is {getattr(self, name)}; give 1 or more")
        if not 0 < self.extent < float("inf"):
            raise RecipeError(f"density control's extent is {self.extent}; give the scene's radius in capture units")


def primitives_in(megabytes: float, kind: Kind, degree: int) -> int:
    """How many float32 splats of a kind and a degree of harmonics fit into `megabytes` of 10^6 bytes, at least 1."""
    floats = 3 + 4 + 3 + 1 + 3 * (degree + 1) ** 2 + (kind == "exponential")
    return max(int(megabytes * 1e6 / (4 * floats)), 1)


class DensityControl(ABC):
    """Watches views while splats are optimized, and every so many steps adds, removes or moves splats.

    A step is: `extra`, rendered as further channels; the loss plus `weighed` plus `penalty`; backward; `observe` of
    each view; the optimizer's step; `adapt`. All randomness comes from the generator given to `adapt`.
    """

    name: ClassVar[str]

    def __init__(self, options: DensityOptions) -> None:
        self.options = options
        self._seen: dict[str, Tensor] = {}  # statistics since the last round, [N] each; empty before the first view

    def extra(self, splats: SplatTensors) -> Tensor | None:
        """[N,1] zeros, new for each view, to be rendered as its further channel; None where none is needed."""
        return None

    def weighed(self, image: SplatImage, error: Tensor) -> Tensor:
        """A term of the loss whose value is 0, and whose gradient gives splats their share of `error` [H,W] >= 0."""
        return error.new_zeros(())

    def penalty(self, splats: SplatTensors) -> Tensor:
        """A term of the loss, weights included; 0 where there is none."""
        return splats.means.new_zeros(())

    def scores(self) -> Tensor | None:
        """[N] how much each splat asks to grow, as far as seen since the last round; None if not known."""
        return None

    def observe(self, image: SplatImage, camera: Camera) -> None:  # noqa: B027 (a strategy may look at nothing)
        """Take in a view whose loss has gone through `backward`."""

    def adapt(
        self, step: int, splats: SplatTensors, optimizer: torch.optim.Optimizer, generator: torch.Generator
    ) -> dict[str, int]:
        """Add, remove and change splats as is due after `step` optimizer steps; what was done, by name, where not 0.

        Edits splats and optimizer in place (engine/splats/editing.py). Afterwards there are no more splats than the
        budget: should there have been more before, the least opaque go.
        """
        with torch.no_grad():
            counts = self._adapt(step, splats, optimizer, generator)
            over = len(splats) - self.options.budget
            if over > 0:
                kept = largest(splats.logits.detach(), self.options.budget)
                edited(splats, optimizer, kept)
                self.follow(kept)
                counts["pruned"] = counts.get("pruned", 0) + over
        return {name: count for name, count in counts.items() if count}

    @abstractmethod
    def _adapt(
        self, step: int, splats: SplatTensors, optimizer: torch.optim.Optimizer, generator: torch.Generator
    ) -> dict[str, int]:
        """`adapt`, but for the budget of what was there before."""

    def follow(self, kept: Tensor, added: int = 0) -> None:
        """Keep what was seen of the splats at `kept` [K] and add `added` unseen ones, as another edited the splats."""
        self._seen = {name: torch.cat([values[kept], values.new_zeros(added)]) for name, values in self._seen.items()}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Copies of the tensors by name, and values for JSON: all that `restore` needs."""
        return {name: values.clone() for name, values in self._seen.items()}, {"strategy": self.name}

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Go on as if `state` had just been called; ProjectError for the state of another strategy."""
        if values.get("strategy") != self.name:
            raise ProjectError(
                f"the checkpoint's density control is {values.get('strategy')!r} and the recipe's {self.name!r}; "
                "set the recipe's to the checkpoint's, or start anew"
            )
        self._seen = {name: value.clone() for name, value in tensors.items()}

    def _due(self, step: int) -> bool:
        options = self.options
        return options.start <= step < options.stop and step % options.interval == 0

    def _statistics(self, like: Tensor, count: int, *names: str) -> list[Tensor]:
        """What was seen, by name; begun with zeros, also where the splats became another number unknown to `follow`."""
        if any(len(self._seen.get(name, ())) != count for name in names):
            self._seen = {name: like.new_zeros(count) for name in names}
        return [self._seen[name] for name in names]


def largest(values: Tensor, count: int) -> Tensor:
    """The indices, ascending, of the `count` largest of `values` [N]; the first of equal ones."""
    order = torch.sort(values, descending=True, stable=True).indices
    return order[:count].sort().values
