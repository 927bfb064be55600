"""Fixtures that several tests share: tiny sweeps in their own folders."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import TINY, command, environment


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runslow", action="store_true", help="run tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--runslow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with --runslow"))


@pytest.fixture
def write_sweep(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny variant of Table 3 as a sweep file of the user's own."""

    def write(steps: int = 12, checkpoint_seconds: float = 1, extra: str = "") -> Path:
        path = tmp_path / "tiny.py"
        text = TINY.format(steps=steps, checkpoint_seconds=checkpoint_seconds)
        path.write_text(text + extra)
        return path

    return write


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without runs, to be copied: making its tables takes seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def run_cli(tmp_path: Path, empty_store: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command of the product in the test's own folder, which has an empty store."""
    shutil.copy(empty_store, tmp_path)

    def run(*arguments: object, module: str = "bench.sweep") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments, module=module),
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run
