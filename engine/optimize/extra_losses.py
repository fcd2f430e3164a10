"""Loss terms that scripts add to the images of a running stage; a run's history names them, it cannot hold them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.errors import RecipeError

if TYPE_CHECKING:
    from engine.optimize.session import Session
    from engine.optimize.views import View

LossFunction = Callable[[Tensor, Tensor], Tensor]
TAKEN = (
    *("loss", "psnr", "faces", "color", "mask", "ssim", "light"),
    *("smoothness", "material_smoothness", "l_dev", "entropy"),
)  # names that steps already report


@dataclass(frozen=True)
class ExtraLoss:
    """`function(image, photo)` of two [H,W,4] tensors, premultiplied linear colour and alpha, gives one number, which
    counts times `weight`."""

    function: LossFunction
    weight: float


class ExtraLosses:
    """Terms by name. One that raises, or is not finite, is dropped with a notice: the run goes on without it."""

    def __init__(self, notice: Callable[[str], None] = print) -> None:
        self._notice = notice
        self._terms: dict[str, ExtraLoss] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The terms that count now."""
        return tuple(self._terms)

    def add(self, name: str, function: LossFunction, weight: float) -> None:
        """Let `function` count from the next step on, in place of a term of the same name. Raises RecipeError."""
        if not name or name in TAKEN:
            raise RecipeError(f"a loss cannot be named {name!r}, which the stages use; choose another name")
        if not callable(function):
            raise RecipeError(f"loss {name}: give a function of (image, photo), not {function!r}")
        self._terms[name] = ExtraLoss(function, float(weight))

    def remove(self, name: str) -> None:
        """Let a term no longer count. Raises RecipeError naming the known ones."""
        if name not in self._terms:
            raise RecipeError(f"there is no added loss {name!r}; there are: {', '.join(self._terms) or 'none'}")
        del self._terms[name]

    def of(self, images: Sequence[Tensor], views: Sequence[View]) -> tuple[Tensor, dict[str, float]]:
        """(the weighted sum, differentiable in `images` [H,W,4], and its terms), each the mean over the views.

        A view that is a part of a photo counts by its share of it. Images of alpha alone, [H,W,1], have no such terms.
        """
        total, terms = torch.zeros(()), {}
        if any(image.shape[2] != 4 for image in images):
            return total, terms
        for name, term in list(self._terms.items()):
            try:
                values = [_weighed(term, image, view) / len(views) for image, view in zip(images, views, strict=True)]
                terms[name] = float(sum(value.detach() for value in values))
                total = total + sum(values)
            except Exception as error:  # a script's mistake must not end the run
                terms.pop(name, None)
                del self._terms[name]
                self._notice(f"loss {name} no longer counts: {type(error).__name__}: {error}")
        return total, terms


def _weighed(term: ExtraLoss, image: Tensor, view: View) -> Tensor:
    """The term with its gradient computed at once, so that a mistake in it shows here and not in the stage."""
    leaf = image.detach().requires_grad_()
    photo = torch.cat([view.premultiplied, view.alpha[..., None]], 2)
    with torch.enable_grad():
        value = term.function(leaf, photo)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise TypeError(f"it must give one number as a tensor, such as a mean, not {type(value).__name__}")
        gradient = torch.autograd.grad(value.sum(), leaf)[0] if value.requires_grad else torch.zeros_like(leaf)
    if not torch.isfinite(value).all() or not torch.isfinite(gradient).all():
        raise ValueError("its value or gradient is not finite")
    scale = term.weight * view.share
    return scale * (value.detach().sum() + ((image - leaf.detach()) * gradient).sum())


def add_loss(session: Session, name: str, function: LossFunction, weight: float) -> None:
    """Add a term to a session, between steps, and note its name and weight in the history. Raises RecipeError."""
    session.context.extra_losses.add(name, function, weight)
    session.record("loss", name, float(weight))


def remove_loss(session: Session, name: str) -> None:
    """Remove a term from a session, between steps, and note it in the history. Raises RecipeError."""
    session.context.extra_losses.remove(name)
    session.record("loss", name, 0.0)
