"""The commands and their arguments; each imports what it needs when it runs, so that --help is quick."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, UseAppendAction, arg, subcommand

DeviceChoice = Literal["auto", "cpu", "cuda", "webgpu"]
MovedCapture = Annotated[Path | None, arg(metavar="DIR")]
Overrides = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="KEY=VALUE")]


@dataclass
class CaptureFlags:
    """What every command that opens a capture accepts."""

    masks: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of masks, one per photo with the same stem; white is the object."""
    skip_bad_frames: bool = False
    """Go on without the frames that cannot be read."""
    allow_outside: bool = False
    """Allow image paths that leave the capture's folder."""

    def overrides(self) -> list[str]:
        """These flags as recipe options."""
        listed = [f"capture.masks={self.masks.resolve()}"] if self.masks else []
        listed += ["capture.skip_bad_frames=true"] if self.skip_bad_frames else []
        return listed + (["capture.allow_outside=true"] if self.allow_outside else [])


@dataclass
class Gui:
    """Open the studio window; `unrender` alone does the same."""

    path: Positional[Path | None] = None
    """Project folder or capture to open in it."""

    def execute(self) -> int:
        from app.window.application import run_window

        return run_window(self.path)


@dataclass
class Run:
    """Turn photographs into an asset."""

    capture: Positional[Path]
    """Folder of a capture (transforms.json or COLMAP), the transforms.json itself, or photos or a video without poses,
    which are found and kept in a folder beside it with -posed in its name."""
    out: Path
    """Project folder to write."""
    recipe: str = "object"
    """Name of a recipe, or a TOML file."""
    set: Overrides = ()
    """Recipe option to change, such as refine.steps=200; `unrender options` lists them."""
    device: DeviceChoice = "auto"
    """Where to compute."""
    seed: Annotated[int | None, arg(metavar="INT")] = None
    """Seed of every random draw."""
    overwrite: bool = False
    """Replace what an earlier run wrote in the project folder."""
    allow_scripts: bool = False
    """Let the Python file that shading.file names run; it can do whatever you can."""
    flags: Annotated[CaptureFlags, arg(name="")] = field(default_factory=CaptureFlags)

    def execute(self) -> int:
        from app.runs import run

        _allow_scripts(self.allow_scripts)
        seed = [] if self.seed is None else [f"run.seed={self.seed}"]
        overrides = self.flags.overrides() + list(self.set) + seed
        return run(self.capture, self.recipe, self.out, overrides, self.device, self.overwrite)


@dataclass
class Resume:
    """Go on with a run that was stopped or killed."""

    project: Positional[Path]
    """Project folder of the run."""
    set: Overrides = ()
    """Recipe option to change from here on."""
    device: DeviceChoice = "auto"
    """Where to compute."""
    capture: MovedCapture = None
    """Where the photos are now, if they have moved."""
    allow_scripts: bool = False
    """Let the Python file that shading.file names run; it can do whatever you can."""

    def execute(self) -> int:
        from app.runs import resume

        _allow_scripts(self.allow_scripts)
        return resume(self.project, list(self.set), self.device, self.capture)


@dataclass
class Batch:
    """Run many captures and recipes, one after the other."""

    jobs: Positional[Path]
    """TOML file with one [[job]] table each: name, capture, recipe, set = ["key=value"]."""
    out: Path
    """Folder that gets one project folder per job, and results.json."""
    device: DeviceChoice = "auto"
    """Where to compute."""

    def execute(self) -> int:
        from app.batch import batch

        return batch(self.jobs, self.out, self.device)


@dataclass
class Demo:
    """Run the sample capture that comes with Unrender."""

    out: Path = Path("demo")
    """Project folder to write."""
    steps: Annotated[int | None, arg(metavar="INT")] = None
    """Steps of each optimizing stage; fewer is quicker and worse."""
    set: Overrides = ()
    """Recipe option to change."""
    device: DeviceChoice = "auto"
    """Where to compute."""
    overwrite: bool = False
    """Replace what an earlier demo wrote."""

    def execute(self) -> int:
        from app.runs import demo

        return demo(self.out, self.steps, list(self.set), self.device, self.overwrite)


@dataclass
class Doctor:
    """Say what a capture holds and what is wrong with it."""

    capture: Positional[Path]
    """Folder of a capture, a transforms.json, or photos or a video without poses, which are found and kept as `run`
    does."""
    set: Overrides = ()
    """Capture option to change, such as capture.up=+y."""
    no_poses: bool = False
    """Only look at photos or a video without poses, and find none."""
    flags: Annotated[CaptureFlags, arg(name="")] = field(default_factory=CaptureFlags)

    def execute(self) -> int:
        from app.inspect_capture import doctor

        return doctor(self.capture, self.flags.overrides() + list(self.set), not self.no_poses)


@dataclass
class Eval:
    """Measure an exported asset on the test views and update metrics.json."""

    project: Positional[Path]
    """Project folder of a finished run."""
    reference: Annotated[Path | None, arg(metavar="MESH")] = None
    """True mesh, in the capture's frame or a glTF with +Y up, to compare the shape with; of splats the surface that
    stage fuse wrote."""
    capture: MovedCapture = None
    """Where the photos are now, if they have moved."""
    allow_scripts: bool = False
    """Let the Python file that the project's shading.file names run; it can do whatever you can."""

    def execute(self) -> int:
        from app.assets import evaluate
        from engine.errors import RecipeError

        if self.reference is not None and not self.reference.is_file():
            raise RecipeError(f"--reference {self.reference}: there is no such file; name a mesh (GLB, OBJ or PLY)")
        _allow_scripts(self.allow_scripts)
        return evaluate(self.project, self.reference, self.capture)


@dataclass
class Export:
    """Write a project's current asset or splats again, or a file's splats in other formats."""

    project: Positional[Path]
    """Project folder; or splats as PLY or SPZ, which are written as SPZ or PLY and as a page."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder to write to; by default the project's exports/. A file needs it."""
    overwrite: bool = False
    """Write to --out even if it holds files; those of the same names are replaced."""
    capture: MovedCapture = None
    """Where the photos are now, if they have moved."""

    def execute(self) -> int:
        from app.assets import export

        return export(self.project, self.out, self.overwrite, self.capture)


@dataclass
class Render:
    """Draw an asset or splats as a picture or a turntable video."""

    source: Positional[Path]
    """Project folder, or a GLB, OBJ or PLY file, or splats as PLY or SPZ."""
    out: Path
    """File to write: .png for one picture, .mp4 for a turntable."""
    view: Annotated[str | None, arg(metavar="NAME")] = None
    """Photo of the project's capture to draw from, by name; by default the turntable's first view, and the first
    photo's of splats of a whole scene."""
    frames: int = 90
    """Pictures in a turntable."""
    size: int = 512
    """Side of a turntable's pictures in pixels."""
    environment: Annotated[Path | None, arg(metavar="HDR")] = None
    """HDR to light it with, by the engine's own shading; by default the project's own light and shading. Splats have
    theirs in their colours."""
    exposure: Annotated[float, arg(metavar="STOPS")] = 0.0
    """Brighten by so many stops, factors of two; below 0 it darkens."""
    tone_map: bool = False
    """Compress highlights (Khronos PBR Neutral) instead of clipping them."""
    capture: MovedCapture = None
    """Where the project's photos are now, if they have moved."""
    allow_scripts: bool = False
    """Let the Python file that the project's shading.file names run; it can do whatever you can."""

    def execute(self) -> int:
        from app.assets import render

        _allow_scripts(self.allow_scripts)
        return render(
            self.source,
            self.out,
            self.view,
            self.frames,
            self.size,
            self.environment,
            self.exposure,
            self.tone_map,
            self.capture,
        )


@dataclass
class Synthesize:
    """Make a capture with known truth from a mesh and an environment."""

    mesh: Positional[Path]
    """GLB, glTF, OBJ or PLY; its own frame and scale are kept."""
    out: Path
    """Folder to write."""
    environment: Annotated[Path | None, arg(metavar="HDR")] = None
    """Equirectangular HDR that lights it; only a shading that does not read the light can do without."""
    shading: Annotated[str | None, arg(metavar="NAME|FILE")] = None
    """Shade by this instead of ray tracing: toon, palette, ..., a WGSL file, or a Python file, which then runs."""
    views: int = 64
    """Number of pictures, on a spiral over the full sphere; every 8th is for testing."""
    size: int = 256
    """Side of the pictures in pixels."""
    samples: int = 64
    """Light paths per pixel."""
    seed: int = 0
    """Seed of every random draw."""

    def execute(self) -> int:
        from app.assets import synthesize_capture

        return synthesize_capture(self)


@dataclass
class Options:
    """Print every option of a recipe with meaning, unit, range and value, as a TOML file to start from."""

    recipe: Positional[str] = "object"
    """Name of a recipe, or a TOML file."""
    set: Overrides = ()
    """Recipe option to change."""

    def execute(self) -> int:
        from engine.optimize.options import to_toml
        from engine.optimize.recipe import load_recipe

        print(to_toml(load_recipe(self.recipe, list(self.set))), end="")
        return 0


@dataclass
class Script:
    """Run a Python script with the names of the window's console, without a window."""

    file: Positional[Path]
    """Python script; the window's script editor shows examples."""
    project: Annotated[Path | None, arg(metavar="DIR")] = None
    """Project folder of a run to go on with."""
    capture: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of a capture for new runs."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder that the script calls `out`, with the new run in `out`/run; by default one named after the script."""
    recipe: str = "object"
    """Name of a recipe for new runs, or a TOML file."""
    set: Overrides = ()
    """Recipe option of new runs to change."""
    device: DeviceChoice = "auto"
    """Where to compute."""
    overwrite: bool = False
    """Replace what an earlier run wrote in its project folder."""

    def execute(self) -> int:
        from app.script_command import script

        chosen = (self.project, self.capture, self.out, self.recipe, list(self.set), self.device, self.overwrite)
        return script(self.file, *chosen)


@dataclass
class Bench:
    """Measure the kernels and compare them with their limits."""

    json: bool = False
    """Print one flat JSON object: name -> {value, unit, limit}."""
    only: str = ""
    """Run only the benchmarks whose name contains this."""

    def execute(self) -> int:
        from app.benchmarks import bench

        return bench(self.json, self.only)


@dataclass
class Devices:
    """List the back ends of this machine."""

    def execute(self) -> int:
        from app.benchmarks import devices

        return devices()


def _allow_scripts(allowed: bool) -> None:
    """Python shadings run only where the person at the keyboard said so."""
    if allowed:
        from engine.shading.blackbox import allow_scripts

        allow_scripts()


Command = (
    Annotated[Gui, subcommand("gui")]
    | Annotated[Run, subcommand("run")]
    | Annotated[Resume, subcommand("resume")]
    | Annotated[Batch, subcommand("batch")]
    | Annotated[Demo, subcommand("demo")]
    | Annotated[Doctor, subcommand("doctor")]
    | Annotated[Eval, subcommand("eval")]
    | Annotated[Export, subcommand("export")]
    | Annotated[Render, subcommand("render")]
    | Annotated[Synthesize, subcommand("synthesize")]
    | Annotated[Options, subcommand("options")]
    | Annotated[Script, subcommand("script")]
    | Annotated[Bench, subcommand("bench")]
    | Annotated[Devices, subcommand("devices")]
)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("unrender")
    except PackageNotFoundError:
        return "of a source folder that is not installed"


def parse(arguments: list[str] | None = None) -> Command:
    """The command of `arguments` (by default the process's), the window where there are none; `--version` prints it
    and exits with 0, what does not fit prints usage and exits with 2."""
    listed = sys.argv[1:] if arguments is None else arguments
    if not listed:
        return Gui()
    if listed == ["--version"]:
        print(f"unrender {_version()}")
        sys.exit(0)
    return tyro.cli(
        Command,
        prog="unrender",
        description="Unrender turns photographs back into the scene that made them. `--version` tells which this is.",
        args=listed,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )
