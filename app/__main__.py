"""The entry point of the command line: parse, run one command, turn errors into one sentence and an exit code."""

from __future__ import annotations

import os
import sys
import time

STARTED = time.time()


OUT_OF_MEMORY = "out of memory; lower --size, capture.max_size, shape.resolution or mesh.texture_size"


def _out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether memory ran out; torch, which is not imported for this, says so as a RuntimeError with these words."""
    words = isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in str(error) or "out of memory" in str(error))
    return words or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 on success, 1 on an error of the input or the machine, 2 on wrong usage, 130 on Ctrl-C."""
    from app.command_line import parse
    from engine.errors import RecipeError, UnrenderError

    command = parse(arguments)
    try:
        return command.execute() or 0
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except UnrenderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        print(f"error: {OUT_OF_MEMORY}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(
            f"error: {where}{error.strerror}; check that the folder exists, is writable and has space", file=sys.stderr
        )
        return 1


def entry() -> None:
    """What the `unrender` script calls; a device that does not answer, to a shader without an end, keeps nobody."""
    code = main()
    readback = sys.modules.get("engine.kernels.readback")
    if readback is not None and readback.Waiter.unanswered:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    entry()
