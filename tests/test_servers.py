"""A real MLflow server and a real Ray cluster on loopback."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny import command, environment

from bench.errors import BenchError
from bench.schedule import ray_session
from bench.tracking import Store


@pytest.fixture
def mlflow_server(tmp_path: Path, empty_store: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(empty_store, folder)
    arguments = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    server = subprocess.Popen(
        [*arguments, "--port", str(port), "--workers", "1"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    uri = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=5)
                break
            except OSError:
                assert server.poll() is None, "the MLflow server ended"
                time.sleep(0.5)
        yield uri
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def test_a_sweep_and_its_report_through_a_server(
    tmp_path: Path, write_sweep: Callable[..., Path], mlflow_server: str
) -> None:
    env = {**environment(), "MLFLOW_TRACKING_URI": mlflow_server}
    sweep = command(write_sweep(steps=4), "--rows", "single,avgpool")
    for arguments in (sweep, command("tiny", "--out", tmp_path / "redrawn", module="reports")):
        done = subprocess.run(
            arguments, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "mlflow.db").exists(), "everything is on the server"
    first, second = (
        folder.joinpath("table.csv").read_text()
        for folder in (tmp_path / "results" / "tiny" / "quick", tmp_path / "redrawn")
    )
    assert first == second


def test_an_unreachable_server_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(BenchError, match=r"http://127.0.0.1:9 can't be used.*start the server"):
        Store("x")


def test_an_unreachable_cluster_gets_one_line() -> None:
    with pytest.raises(BenchError, match="no Ray cluster answers"), ray_session("127.0.0.1:9"):
        pass


@pytest.mark.slow
def test_a_sweep_joins_a_running_cluster(tmp_path: Path, write_sweep: Callable[..., Path]) -> None:
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    start = [*ray, "start", "--head", "--num-cpus", "2", "--port", "0", "--include-dashboard=false"]
    subprocess.run(start, check=True, capture_output=True, cwd=tmp_path)
    try:
        done = subprocess.run(
            command(
                write_sweep(steps=4), "--rows", "single", "--address", "auto", "--device", "cpu"
            ),
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        subprocess.run([*ray, "stop", "--force"], capture_output=True)
