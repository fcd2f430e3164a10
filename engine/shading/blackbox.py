"""Shadings that nobody can differentiate: one that ships, a user's WGSL function, or a user's Python function.

WGSL provides `fn shade(surface: Surface) -> vec3f` (shaders/surface.wgsl says what it is told), Python provides
`def shade(surface)`, which is given `SurfacePoints` and returns linear radiance [P,3]. A shading may branch, round,
look up and read tables: stochastic gradients need its values only. A Python file is a program: it runs only after
`allow_scripts`, which no recipe or project can call.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import DeviceError, RecipeError, ShaderError
from engine.kernels.wgsl import ShaderSource, compose
from engine.shading.points import SurfacePoints
from engine.shading.wgsl_signature import SIGNATURE, check_text, declarations, nearest_declaration

SHIPPED = ("flat_color", "lamp", "normal_color", "palette", "pbr", "toon")
PLAIN = ("surface", "shade_points")  # what names every field whatever the shading
OWN_NAME = "shading"  # the include by which a user's text gets in
IN_PYTHON = ", or write the shading as a Python file, which runs on the CPU"

CREDITS = ("credit_vertices", "credit_pose", "credit_texels")  # rules of the loop for any shading

_scripts_allowed = False


def allow_scripts(allowed: bool = True) -> None:
    """Let Python files that recipes name run in this process; only for what the user asked for in so many words."""
    global _scripts_allowed
    _scripts_allowed = allowed


def shader_alias(name: str) -> str:
    """A source that stands for the shader `name`."""
    return f"// Provides: {name}.\n#include {name}\n"


def loop_sources(reads_light: bool, textured: bool = True, credit: str | None = None) -> dict[str, str]:
    """What a per-pixel shader of the stochastic loop includes for a shading and, where it credits, for its rule."""
    chosen = {"light_use": "light_bound"} if reads_light else {}
    chosen |= {} if textured else {"loop_material": "loop_material_plain"}
    chosen |= {} if credit is None else {"loop_credit": credit}
    if reads_light and credit == "credit_light":
        chosen["light_texel"] = "light_texel_perturbed"
    return {name: shader_alias(shader) for name, shader in chosen.items()}


@dataclass(frozen=True)
class WgslShading:
    """A shading in WGSL; `text` is None for one that ships."""

    name: str  # of the shader, or the user's file
    text: str | None = None

    @property
    def source(self) -> str:
        """What stands for it where a shader's name or WGSL is asked for."""
        return self.name if self.text is None else self.text

    @property
    def sources(self) -> dict[str, str]:
        """The include `shading` of `compose`."""
        return {OWN_NAME: shader_alias(self.name) if self.text is None else self.text}

    def composed(self, shader: str, sources: Mapping[str, str] | None = None) -> ShaderSource:
        """The shader with this shading in it, whose errors name the user's file. Raises ShaderError."""
        try:
            source = compose(shader, sources={**self.sources, **(sources or {})})
        except ShaderError as error:
            raise ShaderError(self.titled(str(error))) from None
        return source if self.text is None else source.titled(OWN_NAME, self.name)

    def titled(self, message: str) -> str:
        """`message` with the user's file in place of the include's name."""
        return message if self.text is None else message.replace(f"shader {OWN_NAME},", f"shader {self.name},")

    @property
    def reads_light(self) -> bool:
        """Whether it looks the environment up, in bind group 1."""
        return any(origin == "environment" for origin, _ in self.composed("shade_points").origins)

    def reads(self, *fields: str) -> bool:
        """Whether it, or what it includes, names one of the fields of `Surface`."""
        lines = self.composed("shade_points")
        own = [
            line for line, (name, _) in zip(lines.text.splitlines(), lines.origins, strict=True) if name not in PLAIN
        ]
        return any(f".{field}" in line for line in own for field in fields)

    def check(self) -> None:
        """Compile it in all shaders of the stochastic loop, whose names it must not take, and of a list of points.

        Raises ShaderError with the user's file and line, DeviceError where there is no adapter.
        """
        from engine.kernels.webgpu import Gpu, only_here, recovering

        light = self.reads_light
        sources = [
            self.composed("loop_pixels", loop_sources(light, True, credit))
            for credit in (*CREDITS, *(["credit_light"] if light else []))
        ]

        def compile_all(device: Gpu) -> None:
            for source in (*sources, self.composed("loop_image", loop_sources(light))):
                device.module(source)
            device.compute(self.composed("shade_points"), "shade_points")

        with only_here(self.way()):
            recovering(compile_all)

    def shade(self, points: SurfacePoints, light: Any = None) -> np.ndarray:
        """[P,3] float32 linear radiance of points; `light` is the GpuLight of a shading that reads it.

        Raises DeviceError when the device does not answer in time, as it cannot where the shading loops for ever.
        """
        from engine.kernels.webgpu import Gpu, gpu, only_here, recovering
        from engine.shading.webgpu.points import shade_points

        def work(device: Gpu) -> np.ndarray:
            if self.text is None:
                return shade_points(device, points, light, self.name)
            return shade_points(device, points, light, sources=self.sources)

        with only_here(self.way()):
            return work(gpu()) if light is not None else recovering(work)  # a light belongs to its device

    def way(self, in_python: bool = True) -> str:
        """The way out that errors of the device end in; in_python: whether the shading may be a Python file instead."""
        endless = "" if self.text is None else f", see that no loop in {self.name} is without an end"
        python = IN_PYTHON if in_python else ""
        return f"{endless}, choose another adapter with UNRENDER_GPU (unrender devices lists them){python}"


@dataclass(frozen=True)
class PythonShading:
    """A shading in Python, of NumPy arrays on the CPU."""

    name: str
    function: Callable[[SurfacePoints], np.ndarray]
    reads_light = False

    def check(self) -> None:
        """Try it on one point. Raises RecipeError naming the line that failed."""
        row, one = np.array([[0.0, 0.0, 1.0]], np.float32), np.full(1, 0.5, np.float32)
        self.shade(SurfacePoints(row, row, np.full((1, 3), 0.5, np.float32), one, one).filled())

    def shade(self, points: SurfacePoints, light: Any = None) -> np.ndarray:
        """[P,3] float32 linear radiance. Raises RecipeError for what the function raises, and for another shape."""
        try:
            value = np.asarray(self.function(points.filled()), np.float32)
        except Exception as error:
            frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == self.name]
            where = f", line {frames[-1].lineno}" if frames else ""
            raise RecipeError(f"{self.name}{where}: {type(error).__name__}: {error}") from error
        if value.shape != (len(points.normal), 3):
            raise RecipeError(
                f"{self.name}: shade returned an array of shape {list(value.shape)} for {len(points.normal)} points; "
                "return one linear colour for each, [P,3]"
            )
        return value


Shading = WgslShading | PythonShading


def open_shading(name: str, file: str | Path = "") -> Shading:
    """The shading in `file` (.wgsl or .py), else the one that ships under `name`.

    Raises RecipeError for an unknown name or file, for a Python file where `allow_scripts` has not been called, and for
    what the file raises; ShaderError for WGSL whose `shade` has another signature or that no shader here can take.
    """
    if not str(file):
        if name not in SHIPPED:
            hint = f"; your own goes into shading.file = {name}" if Path(name).suffix in (".wgsl", ".py") else ""
            raise RecipeError(f"no shading is called {name!r}; there are {', '.join(SHIPPED)}{hint}")
        return WgslShading(name)
    path = Path(file)
    if path.suffix not in (".wgsl", ".py"):
        raise RecipeError(f"{path}: a shading is a WGSL file (.wgsl) or a Python file (.py); give one of these")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: the shading cannot be read ({error}); let shading.file name a text file") from error
    if path.suffix == ".py":
        return _python_shading(path, text)
    return _wgsl_shading(path, text)


def _wgsl_shading(path: Path, text: str) -> WgslShading:
    check_text(text, str(path))
    shading = WgslShading(str(path), text.rstrip("\n") + "\n#include surface\n")  # once, however often it is named
    source = shading.composed(OWN_NAME)
    declared = [source.origin(line) for line in declarations(source.text)]
    if not declared:
        raise RecipeError(f"{path}: there is no '{SIGNATURE}' in it{nearest_declaration(text)}; add the function")
    own = [line for name, line in declared if name == str(path)]
    theirs = [name for name, _ in declared if name != str(path)]
    if own and theirs:
        raise ShaderError(
            f"shader {path}, line {own[0]}: {theirs[0]}, which it includes, provides a shade already; do without that "
            "include or without your own"
        )
    return shading


def _python_shading(path: Path, text: str) -> PythonShading:
    if not _scripts_allowed:
        raise RecipeError(
            f"{path} is a Python program, and a recipe may not run one by itself; read it, and add --allow-scripts if "
            "you trust it"
        )
    names: dict[str, Any] = {"np": np, "__name__": "shading", "__file__": str(path)}
    try:
        exec(compile(text, str(path), "exec"), names)
    except Exception as error:
        line = error.lineno if isinstance(error, SyntaxError) else None
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        line = line or (frames[-1].lineno if frames else 0)
        raise RecipeError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    function = names.get("shade")
    if not callable(function):
        raise RecipeError(f"{path}: there is no function 'shade(surface)' in it; add it")
    return PythonShading(str(path), function)


def needs_adapter(shading: Shading, in_python: bool = True) -> None:
    """Raise DeviceError with the way out where a WGSL shading meets a machine without an adapter.

    in_python: whether the shading may be a Python file instead.
    """
    from engine.kernels.adapters import NONE_FOUND, adapters

    if isinstance(shading, WgslShading) and not adapters():
        raise DeviceError(
            f"{shading.name}: WGSL needs a GPU or a software driver such as lavapipe, and {NONE_FOUND}",
            IN_PYTHON if in_python else "",
        )
