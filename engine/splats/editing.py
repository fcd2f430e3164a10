"""Splats taken out and put in while they are optimized: parameters, and the optimizer's moments, move along."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.optim import Optimizer

from engine.splats.parameters import SplatTensors


def selected(splats: SplatTensors, index: Tensor) -> SplatTensors:
    """Copies of the splats at `index` [M], in that order and as often as they are named, without gradients."""
    return replace(splats, **{name: tensor.detach()[index] for name, tensor in splats.tensors().items()})


def joined(*several: SplatTensors) -> SplatTensors:
    """All splats of sets of one kind and degree, one set after the other, without gradients."""
    sets = [splats.tensors() for splats in several]
    return replace(several[0], **{name: torch.cat([one[name].detach() for one in sets]) for name in sets[0]})


@torch.no_grad()
def edited(splats: SplatTensors, optimizer: Optimizer | None, kept: Tensor, added: SplatTensors | None = None) -> None:
    """Replace the splats, in place, by those at `kept` [K] (indices), followed by `added`.

    The fields become new leaf tensors, and the optimizer's groups hold them instead of the old ones; moments (every
    state of a parameter's own shape) stay with the splats that are kept and are zero for those that are added.
    Gradients are dropped. Fields that the optimizer does not know are edited all the same.
    """
    more = {} if added is None else added.tensors()
    groups = [] if optimizer is None else optimizer.param_groups
    for name, old in splats.tensors().items():
        new = _moved(old, kept, len(added) if added is not None else 0)
        if added is not None:
            new[len(kept) :] = more[name]
        new.requires_grad_(old.requires_grad)
        setattr(splats, name, new)
        for group in groups:
            group["params"] = [new if parameter is old else parameter for parameter in group["params"]]
        if optimizer is not None and old in optimizer.state:
            state = optimizer.state.pop(old)
            for key, value in state.items():
                if isinstance(value, Tensor) and value.shape == old.shape:
                    state[key] = _moved(value, kept, len(new) - len(kept), zero=True)
            optimizer.state[new] = state


@torch.no_grad()
def forget(optimizer: Optimizer, tensor: Tensor, index: Tensor | None = None) -> None:
    """Zero the moments of the parameter `tensor`, of all splats or of those at `index`."""
    for value in optimizer.state.get(tensor, {}).values():
        if isinstance(value, Tensor) and value.shape == tensor.shape:
            if index is None:
                value.zero_()
            else:
                value[index] = 0


def _moved(old: Tensor, kept: Tensor, room: int, zero: bool = False) -> Tensor:
    """`old` at `kept`, with `room` more rows, unset or zero."""
    new = torch.empty((len(kept) + room, *old.shape[1:]), dtype=old.dtype, device=old.device)
    torch.index_select(old.detach(), 0, kept, out=new[: len(kept)])
    if zero:
        new[len(kept) :] = 0
    return new
