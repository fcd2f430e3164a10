"""The names that scripts see. They mean the same in the window's console and headless; only `window` is None there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from app.scripting.driver import Driver, require_session
from app.scripting.proxies import Recipe, SessionRemote, capture_remote, scene_remote
from engine.errors import ExchangeError, GeometryError

if TYPE_CHECKING:
    from engine.optimize.messages import StepReport
    from engine.optimize.session import Session

T = TypeVar("T")
BANNER = (
    "At hand: session, scene, capture, recipe, window; np is NumPy. What you read is a copy, made between steps.",
    "run(until) step(n) pause() set_option(key, value) add_loss(name, function, weight) call(function)",
    "metrics() evaluate() export(folder) turntable(file, frames, size) new_run(folder, options). Help: export?",
)


def namespace(driver: Driver, out: Path | None = None) -> dict[str, Any]:
    """What a script begins with; `out` is the folder that it is asked to write to (its `out`)."""
    import numpy

    commands = Commands(driver)
    names = ("run", "pause", "step", "call", "set_option", "add_loss", "remove_loss", "new_run")
    names += ("metrics", "evaluate", "export", "turntable", "lens", "compare_engines")
    return {
        "session": SessionRemote(driver),
        "scene": scene_remote(driver),
        "capture": capture_remote(driver),
        "recipe": Recipe(driver),
        "window": driver.window,
        "np": numpy,
        "out": Path.cwd() if out is None else Path(out),
    } | {name: getattr(commands, name) for name in names}


class Commands:
    """The functions of the namespace."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def run(self, until: int | None = None, wait: bool = True) -> bool:
        """Step until all is done (True), or until the step `until` of the run or a pause (False).

        With `wait=False` the window's run goes on while you type; without a window there is nothing else to do, and it
        waits all the same. Interrupting only ends the waiting: pause() holds the run.
        """
        return self._driver.run(until, wait)

    def step(self, n: int = 1) -> StepReport:
        """Do `n` steps; the report of the last one."""
        if n < 1:
            raise ValueError(f"step({n}): do at least one step")
        return self._driver.step(n)

    def pause(self) -> None:
        """Hold the run after the current step; run() goes on."""
        self._driver.pause()

    def call(self, function: Callable[[Session], T]) -> T:
        """`function(session)` between two steps, where nothing is in use; its result. Keep it short: the run waits."""
        return self._driver.call_script(function)

    def set_option(self, key: str, value: Any) -> None:
        """Change an option of the recipe from the next step on, such as set_option("refine.ssim", 0.3)."""
        self._driver.set_option(key, value)

    def add_loss(self, name: str, function: Callable, weight: float) -> None:
        """Add `weight * function(image, photo)` to the loss of the stages that compare colours.

        Both are [H,W,4] tensors, premultiplied linear colour and alpha; the function returns one number as a tensor.
        Before there is a run it counts from the run's beginning. The history keeps name and weight, not the function.
        """
        from engine.optimize.extra_losses import add_loss

        if callable(function):
            function = self._driver.ending(function)

        def add(session: Session) -> None:
            add_loss(session, name, function, weight)

        if self._driver.session is None:
            self._driver.on_begin(add)
        else:
            self._driver.call(add)

    def remove_loss(self, name: str) -> None:
        """Let a loss that was added no longer count."""
        from engine.optimize.extra_losses import remove_loss

        self._driver.call(lambda session: remove_loss(session, name))

    def new_run(self, folder: Path | str, options: dict[str, Any] | None = None) -> None:
        """Close this run, which stays on disk, and prepare another one with the same photos and recipe in `folder`.

        `options` ({"refine.ssim": 0.3}) change the recipe first; run() or step() begins.
        """
        self._driver.new_run(Path(folder), dict(options or {}))

    def metrics(self) -> dict[str, Any]:
        """The newest numbers: of the last step, and with what metrics.json has once the result has been evaluated."""
        result: dict[str, Any] = {}
        if self._driver.session is not None:
            folder = self._driver.call(lambda session: session.project.folder)
            path = Path(folder) / "metrics.json"
            if path.is_file():
                result |= json.loads(path.read_text(encoding="utf-8"))
        if (last := self._driver.last) is not None:
            result |= {"stage": last.stage, "step": last.step, "total_step": last.total_step, "loss": last.loss}
            result |= {"terms": dict(last.terms), "train_psnr": last.psnr}
        return result

    def evaluate(self) -> dict[str, Any]:
        """Measure what was exported on the test views, between two steps; metrics.json has it from then on."""
        return self._driver.call(lambda session: session.evaluate())

    def lens(
        self,
        frame: int,
        vertex: int | None = None,
        texel: tuple | None = None,
        light: tuple | None = None,
        direction: str = "normal",
        samples: int = 128,
        size: int = 256,
    ) -> Any:
        """Which pixels of photo `frame` move one parameter: `.maps` by analytic, stochastic and finite differences.

        Give one of vertex=1234 (moved along "normal", "x", "y" or "z"), texel=("base_color", column, row) or
        light=(column, row); a colour channel may follow row. `.sums` is the gradient, `.cosine(a, b)` compares.
        """
        from engine.optimize import gradient_lens as engine

        if (vertex is not None) + (texel is not None) + (light is not None) != 1:
            raise GeometryError("lens(frame, ...): give one of vertex=, texel= or light=")
        if vertex is not None:
            parameter: Any = engine.VertexParameter(vertex, direction)
        else:
            parameter = engine.TexelParameter(*texel) if texel is not None else engine.LightParameter(*light)
        snapshot, capture = self._driver.call(lambda session: (session.snapshot_now(), session.capture))
        return engine.gradient_lens(snapshot, capture, frame, parameter, samples=samples, image_size=size)

    def compare_engines(self, frame: int, samples: int = 32, size: int = 256) -> dict[str, dict[str, float]]:
        """How well the engines agree on the scene as photo `frame` sees it: cosines by group and pair of engines."""
        from engine.optimize import gradient_lens as engine

        snapshot, capture = self._driver.call(lambda session: (session.snapshot_now(), session.capture))
        report = engine.compare_engines(snapshot, capture, frame, samples=samples, image_size=size)
        return {part.group: {" - ".join(pair): value for pair, value in part.cosines.items()} for part in report}

    def export(self, folder: Path | str | None = None) -> Path:
        """Write the mesh (GLB, OBJ, PLY, HDR) or the splats (PLY, SPZ, HTML) as they are now.

        They go to a folder, by default the project's exports.
        """
        return self._driver.call(lambda session: _exported(session, folder))

    def turntable(self, path: Path | str, frames: int = 90, size: int = 512) -> Path:
        """Write a film (.mp4) of the newest state turning once; the run goes on between its pictures."""
        from engine.exchange import write_video

        path = Path(path)
        if path.suffix.lower() != ".mp4" or frames < 1 or not 16 <= size <= 4096:
            raise ExchangeError(
                f"turntable({path}, {frames}, {size}): give a file that ends in .mp4, at least one picture and a size "
                f"of 16 to 4096 pixels"
            )
        picture = self._driver.call(lambda session: _turning(session, frames, size))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, (self._driver.call(lambda _session, i=i: picture(i)) for i in range(frames)))
        return path


def _exported(session: Session, folder: Path | str | None) -> Path:
    """Export what the run has now."""
    from dataclasses import replace

    from engine.optimize.export_scene import export_scene
    from engine.optimize.scene_state import SceneState
    from engine.scene import Backdrop

    shot = require_session(session).snapshot_now()
    target = session.project.exports if folder is None else Path(folder)
    if shot.shows_splats:
        behind = shot.splat_look.background
        scene = SceneState(gaussians=shot.gaussians, backdrop=behind if isinstance(behind, Backdrop) else None)
    elif shot.mesh is None or shot.material is None or shot.environment is None:
        raise ExchangeError(
            "there is no textured mesh to export yet, and there are no splats: run() on until the stage mesh or splats"
        )
    else:
        scene = SceneState(box=shot.box, mesh=shot.mesh, material=shot.material, environment=shot.environment)
    export_scene(replace(session.context, scene=scene, exports=target))
    return target


def _turning(session: Session, frames: int, size: int) -> Callable[[int], Any]:
    """A function that draws the i-th of so many pictures [size,size,3] uint8 around the scene as it is now."""
    from engine.exchange import turntable
    from engine.optimize.preview import PreviewRenderer

    renderer = PreviewRenderer(session.snapshot_now())
    if renderer.empty:
        raise ExchangeError("there is nothing to film yet: run() or step() until there is a shape")
    cameras = turntable(renderer.box, session.capture.up, frames, (size, size))

    def picture(index: int) -> Any:
        return renderer.image(cameras[index]).over((255, 255, 255))

    return picture
