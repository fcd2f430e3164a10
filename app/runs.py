"""`unrender run`, `resume` and `demo`: one session, driven from the command line's main thread."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from pathlib import Path

from app.progress import progress
from engine.optimize.recipe import load_recipe

DEMO_OPTIONS = ("mesh.texture_size=512",)  # the sample's photos have 256 px


def run(capture: Path, recipe: str, out: Path, overrides: list[str], device: str, overwrite: bool) -> int:
    """Start a run in a new project folder and drive it to its end."""
    loaded = load_recipe(recipe, overrides)
    from engine.optimize.session import Session

    print(f"reading {capture}", flush=True)
    session = Session.create(capture, loaded, out, device, overwrite)
    return _drive(session)


def resume(project: Path, overrides: list[str], device: str) -> int:
    """Go on from a project's newest whole checkpoint."""
    from engine.optimize.session import Session

    session = Session.open(project, overrides=overrides, device=None if device == "auto" else device)
    print(f"resuming {project} at step {session.total_step}", flush=True)
    return _drive(session)


def demo(out: Path, steps: int | None, overrides: list[str], device: str, overwrite: bool) -> int:
    """Run recipe `object` on the sample capture."""
    import assets

    listed = list(DEMO_OPTIONS)
    if steps is not None:
        listed += [f"shape.steps={steps}", f"shape.mask_steps={steps // 4}", f"refine.steps={steps}"]
    return run(assets.sample_capture(), "object", out, listed + overrides, device, overwrite)


@contextmanager
def _stopping(session):
    """Ctrl-C asks the session to stop after the current step; a second one stops at once."""

    def stop(*_) -> None:
        print("\nstopping after this step; press Ctrl-C again to stop at once", file=sys.stderr, flush=True)
        session.request_stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _drive(session) -> int:
    from engine.optimize.evaluate import evaluate_session

    with session, _stopping(session):
        with progress() as show:
            finished = session.run(show)
        folder = session.project.folder
        if not finished:
            print(f"stopped at step {session.total_step}; go on with: unrender resume {folder}")
            return 130
        print(f"wrote {session.project.exports}")
        if session.recipe.run.evaluate:
            print("evaluating on the test views", flush=True)
            print(summary(evaluate_session(session)))
            print(f"wrote {folder / 'metrics.json'}")
    return 0


def summary(metrics: dict) -> str:
    """The metrics a person looks at first, in one line."""
    parts = [f"{metrics['psnr']:.2f} dB"] if metrics.get("psnr") is not None else ["no test views"]
    if metrics.get("hull_psnr") is not None:
        parts.append(f"hull {metrics['hull_psnr']:.2f} dB")
    if metrics.get("chamfer_percent") is not None:
        parts.append(f"chamfer {metrics['chamfer_percent']:.3f} %")
    parts.append(f"{metrics['faces']:,} faces")
    parts.append(f"{metrics['seconds']:.0f} s")
    return ", ".join(parts)
