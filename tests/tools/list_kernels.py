"""Write a list of kernels to compile ahead from what runs asked for, in the order in which they asked.

    UNRENDER_RECORD_KERNELS=object.jsonl python -m app demo --out demo
    python tests/tools/list_kernels.py object.jsonl --out engine/kernels/ahead_object.json
    UNRENDER_RECORD_KERNELS=scene.jsonl python -m app run PHOTOS --recipe scene --set splats.steps=300 --out scene
    python tests/tools/list_kernels.py scene.jsonl --out engine/kernels/ahead_scene.json

and, for the tests, which conftest.py has compiled ahead:

    UNRENDER_RECORD_KERNELS=suite.jsonl python -m pytest
    python tests/tools/list_kernels.py suite.jsonl --out tests/ahead.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recorded", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    asked = (tuple(json.loads(line)) for path in arguments.recorded for line in path.read_text().splitlines())
    entries = [entry for entry in dict.fromkeys(asked) if entry[0].startswith("engine.")]
    arguments.out.write_text("[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n")
    print(f"{arguments.out}: {len(entries)} kernels")


if __name__ == "__main__":
    main()
