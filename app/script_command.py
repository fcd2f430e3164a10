"""`unrender script`: run a Python file with the names of the window's console, without a window."""

from __future__ import annotations

import sys
from pathlib import Path

from app.poses import posed
from app.scripting.script_file import run_script, script_text
from engine.errors import ProjectError
from engine.optimize import messages
from engine.optimize.recipe import load_recipe

STOPPED = 130  # exit code, as shells give it to what Ctrl-C ended


def script(
    file: Path,
    project: Path | None,
    capture: Path | None,
    out: Path | None,
    recipe: str,
    overrides: list[str],
    device: str,
    overwrite: bool,
) -> int:
    """Run `file`; 0 where it ended well, 1 where it raised. Raises UnrenderError for wrong arguments."""
    if project is not None and capture is not None:
        raise ProjectError("--project and --capture exclude each other: go on with a project, or start from photos")
    if project is not None and overrides:
        raise ProjectError("--set is for new runs; a script can change a project's options with set_option")
    text = script_text(file)
    loaded = load_recipe(recipe, overrides)
    out = Path(file.stem) if out is None else out
    if capture is not None:
        from engine.optimize.session_start import check_start

        check_start(capture, loaded, out / "run", device, overwrite)  # finding poses may take an hour
        capture = posed(capture, bool(loaded.capture.masks))

    from app.scripting.headless import HeadlessDriver
    from app.scripting.namespace import namespace

    driver = HeadlessDriver(loaded, capture, out / "run", project, device, overwrite, _say)
    try:
        failure = run_script(text, str(file.resolve()), namespace(driver, out))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED
    finally:
        driver.close()
    if failure is None:
        return 0
    print(failure.details.rstrip(), file=sys.stderr)
    print(f"error: {failure}", file=sys.stderr)
    return 1


def _say(message: messages.Message) -> None:
    """What a person wants to know of a run that a script drives; the script itself prints the rest."""
    if isinstance(message, messages.Notice):
        print(f"note: {message.text}", file=sys.stderr, flush=True)
    elif isinstance(message, messages.StageChanged) and message.state == "begin":
        print(f"stage {message.stage}", file=sys.stderr, flush=True)
