"""Kills and interruptions: what was finished stays finished, what was begun goes on."""

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import command, environment

from bench.config import Evaluation, TrainingConfig
from bench.errors import BenchError
from bench.train import Progress
from bench.trial import run_trial
from sweeps.table3 import SWEEP

QUICK = SWEEP.profiles["quick"]
EXACT = ["row", "iou", "thin_iou", "difference_low", "article_gmacs", "eval_gmacs", "parameters"]
"""Columns of the table that do not depend on the clock."""


def rows_of(store: Path, query: str) -> list[tuple[str, ...]]:
    if not store.exists():
        return []
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, "the sweep ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.2)


def left_over_processes(folder: Path) -> list[int]:
    """Processes that still work in a folder."""
    left = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if entry.joinpath("cwd").resolve() == folder.resolve():
                left.append(int(entry.name))
        except OSError:
            continue
    return left


def test_a_killed_sweep_goes_on_and_ends_in_the_same_table(
    tmp_path: Path, write_sweep: Callable[..., Path], empty_store: Path
) -> None:
    """``kill -9`` of the process group once a training has left a checkpoint."""
    arguments = command(
        write_sweep(steps=60, checkpoint_seconds=0.1), "--rows", "single,hierarchical"
    )
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for folder in (killed, whole):
        folder.mkdir()
        shutil.copy(empty_store, folder)

    def start(folder: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            arguments,
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    process = start(killed)
    left = "select 1 from tags where key = 'checkpoint'"
    wait_for(lambda: rows_of(killed / "mlflow.db", left), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    shown = {}
    for folder, process in [(folder, start(folder)) for folder in (killed, whole)]:
        shown[folder], _ = process.communicate(timeout=400)
        assert process.returncode == 0, shown[folder]
    assert "goes on from its checkpoint" in shown[killed]
    assert not left_over_processes(killed)
    tables = [
        pd.read_csv(folder / "results" / "tiny" / "quick" / "table.csv")[EXACT]
        for folder in (killed, whole)
    ]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def tiny_training(steps: int) -> TrainingConfig:
    base = QUICK.base
    return base.replace(
        data=base.data.replace(train_images=6, scene_size=(64, 128)),
        augment=base.augment.replace(crop=(32, 64)),
        optim=base.optim.replace(steps=steps, batch_size=2),
        strategy="hierarchical",
        train_scales=(0.5, 1.0),
    )


def test_a_trial_continues_exactly(tmp_path: Path) -> None:
    """Stopping after any checkpoint leaves weights and counts that equal an unbroken run's."""
    config = tiny_training(steps=8)
    rules = [Evaluation(strategy="hierarchical", scales=(0.5, 1.0, 2.0), images=2)]
    runtime = QUICK.runtime.replace(checkpoint_seconds=0, val_images=1)

    class Stop(Exception):
        pass

    def stop_at(progress: Progress) -> None:
        if progress.step == 5:
            raise Stop

    with pytest.raises(Stop):
        run_trial(config, rules, runtime, tmp_path / "broken", report=stop_at)
    seen: list[int] = []
    run_trial(config, rules, runtime, tmp_path / "broken", report=lambda p: seen.append(p.step))
    run_trial(config, rules, runtime, tmp_path / "whole")
    assert seen[0] > 4, "steps before the checkpoint are not repeated"
    states = [
        torch.load(tmp_path / name / "model.pt", weights_only=True)["model"]
        for name in ("broken", "whole")
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[1])
    counts = [
        np.load(tmp_path / name / "evaluations" / f"{rules[0].name}.npz")["counts"]
        for name in ("broken", "whole")
    ]
    assert (counts[0] == counts[1]).all()


def test_a_damaged_checkpoint_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "training.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(BenchError, match=r"training.pt can't be continued.*--fresh"):
        run_trial(tiny_training(steps=2), [], QUICK.runtime, tmp_path)


def test_loader_workers_do_not_change_the_result(tmp_path: Path) -> None:
    config = tiny_training(steps=3)
    for workers in (0, 2):
        runtime = QUICK.runtime.replace(loader_workers=workers, val_images=1)
        run_trial(config, [], runtime, tmp_path / str(workers))
    states = [torch.load(tmp_path / name / "model.pt", weights_only=True)["model"] for name in "02"]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[1])
