"""What a stranger relies on: which way imports point, and quick help."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import ROOT, environment

ALLOWED = {
    "models": {"models"},
    "sweeps": {"sweeps", "bench.config", "bench.errors"},
    "reports": {
        "reports",
        "sweeps",
        "bench.errors",
        "bench.metrics",
        "bench.labels.storage",
    },
}


def imported_modules(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return {
        name for name in modules if name.split(".")[0] in ("bench", "models", "sweeps", "reports")
    }


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for module in imported_modules(path):
            allowed = any(
                module == name or module.startswith(f"{name}.") for name in ALLOWED[package]
            )
            assert allowed, f"{path.relative_to(ROOT)} imports {module}"


COMMANDS = (
    "bench.autolabel",
    "bench.data",
    "bench.evaluate",
    "bench.export",
    "bench.models",
    "bench.predict",
    "bench.sweep",
    "reports",
)


@pytest.mark.parametrize("module", COMMANDS)
def test_help_loads_nothing_heavy(module: str) -> None:
    script = (
        "import sys, runpy\n"
        f"sys.argv = ['x', '--help']\n"
        "try:\n"
        f"    runpy.run_module('{module}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as stop:\n"
        "    assert stop.code in (0, None), stop.code\n"
        "heavy = {'torch', 'ray', 'mlflow', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "examples" in done.stdout


def test_contributing_names_every_file_of_bench() -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text().split("Inside `bench/`:")[1].split("## ")[0]
    named = set(re.findall(r"`(\w+)/?`", section))
    found = {path.stem for path in (ROOT / "bench").iterdir() if not path.name.startswith("_")}
    assert named == found


def test_every_file_stays_readable() -> None:
    for package in ("bench", "models", "sweeps", "reports"):
        for path in (ROOT / package).rglob("*.py"):
            lines = path.read_text().count("\n")
            assert lines <= 400, f"{path.relative_to(ROOT)} has {lines} lines"
