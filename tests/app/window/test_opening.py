"""Opening while the engine is being loaded."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys, threading
from pathlib import Path
from app.window.loading import load_engine
from app.window.opening import opened
from engine.errors import UnrenderError
first = threading.Thread(target=load_engine)
first.start()
try:
    opened(Path(sys.argv[1]), None)
except UnrenderError:
    print("refused")
first.join()
"""


def test_a_project_can_be_opened_while_torch_is_imported(tmp_path):
    (tmp_path / "project.toml").write_text("damaged")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.stdout.strip() == "refused", done.stderr
