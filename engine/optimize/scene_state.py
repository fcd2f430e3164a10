"""Everything that passes from one stage to the next, as tensors and JSON values, so that a checkpoint can hold it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.scene import Backdrop, Environment, Gaussians, Material, Mesh

_MESH = ("vertices", "triangles", "uvs", "uv_triangles")
_MATERIAL = ("base_color", "occlusion_roughness_metallic", "normal")


@dataclass
class SceneState:
    """What earlier stages left; a stage reads it in `begin` and writes it in `finish`."""

    box: np.ndarray | None = None  # [2,3] where the object is, capture units
    field: np.ndarray | None = None  # [R+1,R+1,R+1] float32 signed distance at grid corners, negative inside
    mesh: Mesh | None = None
    material: Material | None = None
    environment: Environment | None = None
    hull: Mesh | None = None  # the carved visual hull, the baseline
    hull_colors: np.ndarray | None = None  # [V,3] float32 linear mean colours of the hull's vertices
    gaussians: Gaussians | None = None
    backdrop: Backdrop | None = None  # what was learned behind the Gaussians
    tensors: dict[str, Tensor] = dataclasses.field(default_factory=dict)  # anything else
    values: dict[str, Any] = dataclasses.field(default_factory=dict)  # JSON-able

    def copy(self) -> SceneState:
        """Another state with the same contents, which both share."""
        return dataclasses.replace(self, tensors=dict(self.tensors), values=dict(self.values))

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors by name, JSON-able values) that `from_tensors` turns back into an equal state."""
        arrays: dict[str, np.ndarray | None] = {
            "box": self.box,
            "field": self.field,
            "hull_colors": self.hull_colors,
        }
        for prefix, mesh in (("mesh", self.mesh), ("hull", self.hull)):
            if mesh is not None:
                arrays |= {f"{prefix}.{name}": getattr(mesh, name) for name in _MESH}
        if self.material is not None:
            arrays |= {f"material.{name}": getattr(self.material, name) for name in _MATERIAL}
        values: dict[str, Any] = {"values": self.values}
        if self.environment is not None:
            arrays["environment.radiance"] = self.environment.radiance
            arrays["environment.rotation"] = np.asarray(self.environment.world_from_environment)
            values["environment.frame"] = self.environment.frame
        if self.backdrop is not None:
            arrays["backdrop.colors"] = self.backdrop.colors
            arrays["backdrop.rotation"] = np.asarray(self.backdrop.world_from_environment)
        if self.gaussians is not None:
            arrays |= {f"gaussians.{name}": array for name, array in self.gaussians.arrays().items()}
            values["gaussians.kind"] = self.gaussians.kind
            values["gaussians.antialiased"] = self.gaussians.antialiased
        tensors = {
            name: torch.from_numpy(np.array(array, order="C")) for name, array in arrays.items() if array is not None
        }
        tensors |= {f"tensors.{name}": tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        return tensors, json.loads(json.dumps(values))

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], values: dict[str, Any]) -> SceneState:
        """The inverse of `to_tensors`."""

        def array(name: str) -> np.ndarray | None:
            return tensors[name].cpu().numpy() if name in tensors else None

        def mesh(prefix: str) -> Mesh | None:
            if f"{prefix}.vertices" not in tensors:
                return None
            return Mesh(**{name: array(f"{prefix}.{name}") for name in _MESH})

        state = cls(box=array("box"), field=array("field"), mesh=mesh("mesh"), hull=mesh("hull"))
        state.hull_colors = array("hull_colors")
        if "material.base_color" in tensors:
            state.material = Material(**{name: array(f"material.{name}") for name in _MATERIAL})
        if "environment.radiance" in tensors:
            state.environment = Environment(
                array("environment.radiance"), array("environment.rotation"), values["environment.frame"]
            )
        if "backdrop.colors" in tensors:
            state.backdrop = Backdrop(array("backdrop.colors"), array("backdrop.rotation"))
        if "gaussians.kind" in values:
            prefix = "gaussians."
            splats = {name[len(prefix) :]: tensors[name].cpu().numpy() for name in tensors if name.startswith(prefix)}
            antialiased = values.get("gaussians.antialiased", False)
            state.gaussians = Gaussians(kind=values["gaussians.kind"], antialiased=antialiased, **splats)
        prefix = "tensors."
        state.tensors = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
        state.values = dict(values.get("values", {}))
        return state
