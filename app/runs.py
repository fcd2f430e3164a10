"""`unrender run`, `resume` and `demo`: one session, driven from the command line's main thread."""

from __future__ import annotations

import shlex
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

from app.poses import posed
from app.progress import progress
from engine.errors import DiskFull
from engine.optimize.recipe import load_recipe

STOPPED = 130  # exit code, as shells give it to what Ctrl-C ended
VOLUME_STEPS = 100  # fewer are left out of a short demo
DEMO_OPTIONS = ("mesh.texture_size=512",)  # the sample's photos have 256 px


def run(capture: Path, recipe: str, out: Path, overrides: list[str], device: str, overwrite: bool) -> int:
    """Start a run in a new project folder and drive it to its end."""
    loaded = load_recipe(recipe, overrides)
    for section, key in ((loaded.capture, "masks"), (loaded.refine, "mesh"), (loaded.shading, "file")):
        if getattr(section, key):  # a later resume may start from another folder
            setattr(section, key, str(Path(getattr(section, key)).absolute()))
    from engine.optimize.session import Session
    from engine.optimize.session_start import check_start

    check_start(capture, loaded, out, device, overwrite)  # finding poses may take an hour
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        capture = posed(capture, bool(loaded.capture.masks))
        print(f"reading {capture}", flush=True)
        with progress() as show:
            session = Session.create(capture, loaded, out, device, overwrite, progress=show.reading)
    except KeyboardInterrupt:
        print(f"stopped before anything was written to {out}; to start over, give the same command again")
        return STOPPED
    finally:
        signal.signal(signal.SIGTERM, before)
    return _drive(session)


def resume(project: Path, overrides: list[str], device: str, capture: Path | None = None) -> int:
    """Go on from a project's newest whole checkpoint."""
    from engine.optimize.session import Session

    with progress() as show:
        chosen = None if device == "auto" else device
        session = Session.open(project, overrides=overrides, device=chosen, capture=capture, progress=show.reading)
    print(f"resuming {project} at step {session.total_step}", flush=True)
    return _drive(session)


def demo(out: Path, steps: int | None, overrides: list[str], device: str, overwrite: bool) -> int:
    """Run recipe `object` on the sample capture."""
    import assets

    listed = list(DEMO_OPTIONS)
    if steps is not None:
        listed += [f"shape.steps={steps}", f"shape.mask_steps={steps // 4}", f"refine.steps={steps}"]
        # a volume that has hardly begun to dig is worse than the hull
        listed += [f"volume.steps={steps if steps >= VOLUME_STEPS else 0}"]
    return run(assets.sample_capture(), "object", out, listed + overrides, device, overwrite)


@contextmanager
def _stopping(session):
    """Ctrl-C, or a polite kill, asks the session to stop after the current step; a second one stops at once."""

    def stop(number: int, _frame) -> None:
        print("\nstopping after this step; press Ctrl-C again to stop at once", file=sys.stderr, flush=True)
        session.request_stop()
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _drive(session) -> int:
    folder = session.project.folder
    try:
        with session:
            return _driven(session)
    except DiskFull as error:
        if not (folder / "project.toml").exists():  # a run that failed early leaves nothing
            raise
        raise DiskFull(error.said, f"go on with: {_resuming(folder)}") from error


def _resuming(folder: Path) -> str:
    return f"unrender resume {shlex.quote(str(folder))}"


def _driven(session) -> int:
    from engine.optimize.evaluate import evaluate_session

    folder, exports, metrics = session.project.folder, session.project.exports, None
    try:
        with progress() as show:
            with _stopping(session):
                finished = session.run(show)
            if finished and session.recipe.run.evaluate:
                metrics = evaluate_session(session)
    except KeyboardInterrupt:
        finished = False
    if not finished:
        print(f"stopped at step {session.total_step}; go on with: {_resuming(folder)}")
        return STOPPED
    print(f"wrote {exports if any(exports.iterdir()) else folder}")
    if metrics is not None:
        print(f"wrote {folder / 'metrics.json'}")
        print(summary(metrics))
    return 0


def summary(metrics: dict) -> str:
    """The metrics a person looks at first, in one line."""
    parts = [f"{metrics['psnr']:.2f} dB"] if metrics.get("psnr") is not None else ["no test views"]
    if metrics.get("hull_psnr") is not None:
        parts.append(f"hull {metrics['hull_psnr']:.2f} dB")
    if metrics.get("chamfer_percent") is not None:
        parts.append(f"chamfer {metrics['chamfer_percent']:.3f} %")
    parts.append(f"{metrics['faces']:,} faces" if "faces" in metrics else f"{metrics['primitives']:,} splats")
    parts.append(f"{metrics['seconds']:.0f} s")
    return ", ".join(parts)
