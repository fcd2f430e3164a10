"""The nouns every room speaks: Camera, Frame, Mesh, Material, Environment, Backdrop, Gaussians. No torch."""

from engine.scene.backdrop import Backdrop
from engine.scene.camera import Camera
from engine.scene.environment import Environment
from engine.scene.frame import Frame
from engine.scene.gaussians import Gaussians
from engine.scene.mesh import Material, Mesh

__all__ = ["Backdrop", "Camera", "Environment", "Frame", "Gaussians", "Material", "Mesh"]
