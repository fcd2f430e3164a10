"""The rules of the house: formatting, layers, file sizes, light imports, and no absolute paths of one machine."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("app", "engine", "assets", "shaders")
OPTIONAL = {"gsplat", "nvdiffrast"}  # used where it is installed
FOLDERS = ("app", "engine", "shaders", "tests")
SOURCES = [p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".wgsl")]
LIGHT = ("engine", "engine.optimize.recipe", "engine.capture", "app.command_line", "engine.capture.doctor")


def run(*command):
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)


def test_ruff_finds_nothing():
    result = run("-m", "ruff", "check", ".")
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_the_rooms_import_only_what_the_design_allows():
    result = subprocess.run([Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_no_file_holds_two_ideas():
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text().splitlines())) > 400}
    assert not long, long


def test_no_pickle_and_no_network_in_the_product():
    banned = re.compile(r"^\s*(import|from) (pickle|urllib\.request|requests|socket|http)\b|torch\.load\(", re.M)
    found = [str(p) for p in SOURCES if "tests" not in p.parts and banned.search(p.read_text())]
    assert not found


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_import_neither_torch_nor_qt_nor_numba(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'numba', 'PySide6') if m in sys.modules])"
    assert run("-c", code).stdout.strip() == "[]"


def imported() -> dict[str, str]:
    """Top-level module -> a file of the product that imports it, for everything from outside it."""
    found = {}
    for path in [p for folder in PRODUCT for p in (ROOT / folder).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            found |= {name.split(".")[0]: str(path.relative_to(ROOT)) for name in names}
    return {name: file for name, file in found.items() if name not in {*sys.stdlib_module_names, *PRODUCT}}


def test_every_imported_package_is_a_dependency():
    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {plain(re.match(r"[\w.-]+", line)[0]) for line in project["dependencies"]}
    distributions = importlib.metadata.packages_distributions()
    missing = {
        module: file
        for module, file in imported().items()
        if module not in OPTIONAL and not declared & {plain(name) for name in distributions.get(module, [module])}
    }
    assert not missing, missing


def test_what_the_readme_shows_and_links_to_is_there():
    text = re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(), flags=re.S)
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing, missing


def test_the_readme_has_no_placeholders():
    text = (ROOT / "README.md").read_text()
    assert not re.findall(r"^[ \t]*[A-Z][A-Z _-]+[A-Z][ \t]*$", text, re.M)


def test_the_readme_holds_the_command_that_ci_runs():
    text = (ROOT / "README.md").read_text()
    command = text.split("<!-- tests -->\n```bash\n")[1].split("```")[0]
    assert "-m pytest" in command and "constraints.txt" in command
    command = text.split("<!-- demo -->\n```bash\n")[1].split("```")[0]
    assert "unrender demo" in command and "constraints.txt" in command
