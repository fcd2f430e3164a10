"""The last good state of a running stage, kept in memory, and what counts as good."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.optimize.checkpoint import flatten, unflatten
from engine.optimize.stage import Stage, StageContext


@dataclass(frozen=True)
class Snapshot:
    """Everything a stage and its random draws need to go on from a moment; tensors are copies."""

    index: int  # iterations done
    tensors: dict[str, Tensor]
    values: dict[str, Any]


def take_snapshot(stage: Stage, context: StageContext, index: int, over: Snapshot | None = None) -> Snapshot:
    """The state of `stage`, its optimizers, the generators and the order of views.

    Its copies take the place of those `over`, which must not be used again, where these are as large.
    """
    before = {} if over is None else over.tensors
    tensors, values = stage.state()
    own = {name: _copied(tensor, before.get(name)) for name, tensor in _prefixed(tensors).items()}
    optimizers, layout = flatten([optimizer.state_dict() for optimizer in stage.optimizers], "optimizers")
    own |= {name: _copied(tensor, before.get(name)) for name, tensor in optimizers.items()}
    draws, draw_values = generator_state(context)
    return Snapshot(
        index,
        own | draws,
        {
            "stage": values,
            "optimizers": layout,
            "learning_rate_scale": stage.learning_rate_scale,
            **draw_values,
        },
    )


def _prefixed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"stage/{name}": tensor.detach() for name, tensor in tensors.items()}


def _copied(tensor: Tensor, place: Tensor | None) -> Tensor:
    """A copy of `tensor`, in `place` where that is of its kind and size."""
    fits = place is not None and place.shape == tensor.shape and place.stride() == tensor.stride()
    if not fits or (place.dtype, place.device) != (tensor.dtype, tensor.device):
        return tensor.clone()
    return place.copy_(tensor)


def restore_snapshot(snapshot: Snapshot, stage: Stage, context: StageContext) -> None:
    """Put a fresh or running stage back to a snapshot, bit for bit."""
    prefix = "stage/"
    own = {name[len(prefix) :]: tensor for name, tensor in snapshot.tensors.items() if name.startswith(prefix)}
    stage.restore(context, own, snapshot.values["stage"])
    states = unflatten(snapshot.tensors, snapshot.values["optimizers"])
    for optimizer, state in zip(stage.optimizers, states, strict=True):
        optimizer.load_state_dict(state)
    stage.learning_rate_scale = snapshot.values["learning_rate_scale"]
    restore_generators(context, snapshot.tensors, snapshot.values)


def generator_state(context: StageContext) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, JSON-able values) of every source of random numbers and of the order of views."""
    tensors = {"random/torch": torch.get_rng_state(), "random/generator": context.generator.get_state()}
    if context.device.torch_device == "cuda":
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    return tensors, {"random": context.random.bit_generator.state, "views": context.views.state()}


def restore_generators(context: StageContext, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Go on drawing from `generator_state`."""
    torch.set_rng_state(tensors["random/torch"])
    context.generator.set_state(tensors["random/generator"])
    if "random/cuda" in tensors and context.device.torch_device == "cuda":
        torch.cuda.set_rng_state(tensors["random/cuda"])
    context.random.bit_generator.state = values["random"]
    context.views.restore(values["views"])


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no tensor holds NaN or infinity; a sum finds both and reads each value once."""
    for tensor in tensors:
        if tensor.is_floating_point() and not math.isfinite(float(tensor.detach().sum(dtype=torch.float64))):
            return False
    return True


def stage_is_finite(stage: Stage) -> bool:
    """Whether parameters, their last gradients and the optimizers' moments are finite."""
    if not all_finite(stage.parameters()):
        return False
    if not all_finite(p.grad for p in stage.parameters() if p.grad is not None and not p.grad.is_sparse):
        return False
    moments = (
        value
        for optimizer in stage.optimizers
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    )
    return all_finite(moments)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch's CPU allocator says so only in the text of a RuntimeError."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
