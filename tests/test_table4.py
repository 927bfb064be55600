"""Table 4: students wait for their teacher, whatever is killed, chosen or failed."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from tiny import TINY4, command, environment

from bench.config import TrainingConfig
from bench.invocation import CostTask, Invocation
from bench.plan import PlannedTraining, make_plan
from sweeps.table4 import SWEEP
from sweeps.thresholds import SWEEP as THRESHOLDS

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sweep_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny4.py"
    path.write_text(TINY4.format(steps=4))
    return path


def rows_of(store: Path, query: str) -> list[tuple[str, ...]]:
    with sqlite3.connect(store) as connection:
        return connection.execute(query).fetchall()


def label_times(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in out.glob("labels/*/coarse/*.png")}


def test_the_teacher_is_the_row_of_fine_images_with_the_same_seed() -> None:
    plan = make_plan(SWEEP, seeds=2)
    fine, coarse, auto = plan.rows
    assert len(plan.trainings) == 6
    for seed in (0, 1):
        student, teacher = plan.training_of(auto, seed), plan.training_of(fine, seed)
        assert student.teacher == teacher.identity
        assert student.config.teacher == teacher.config
        assert plan.training_of(coarse, seed).teacher is None
    assert plan.training_of(auto, 0).label_set != plan.training_of(auto, 1).label_set
    assert len({training.config.optim for training in plan.trainings}) == 1, "one schedule"


def test_a_teacher_that_is_no_row_is_trained_while_it_has_a_student() -> None:
    plan = make_plan(SWEEP, rows=["auto"])
    teacher, student = sorted(plan.trainings, key=lambda each: each.teacher or "")
    assert student.teacher == teacher.identity and teacher.label == "teacher s0"
    assert teacher.evaluations == [] and student.rows == ["auto"]
    assert plan.pending == plan.trainings
    student.state = "evaluate"
    assert plan.pending == [student]


def test_students_of_one_teacher_differ_in_their_labels() -> None:
    plan = make_plan(THRESHOLDS, seeds=1)
    students = [training for training in plan.trainings if training.teacher]
    assert len(students) == len({each.label_set for each in students}) == 6
    assert len({each.teacher for each in students}) == 1


def test_labels_do_not_change_what_a_network_costs() -> None:
    plan = make_plan(SWEEP)
    assert len(CostTask.of(plan, plan.rows).trainings) == 1


class FakeStore:
    def __init__(self) -> None:
        self.failed: dict[str, str] = {}

    def begin_training(self, parent: str, plan: object, training: PlannedTraining) -> None:
        training.run_id = training.identity

    def fail_training(self, run_id: str, reason: str) -> None:
        self.failed[run_id] = reason


def test_a_failed_teacher_fails_its_students_alone(tmp_path: Path) -> None:
    plan, store = make_plan(SWEEP), FakeStore()
    invocation = Invocation(plan, store, Console(file=StringIO()), tmp_path)  # type: ignore[arg-type]
    invocation.parent = "parent"
    fine, coarse, auto = (plan.training_of(row, 0) for row in plan.rows)
    assert {each.identity for each in invocation._ready()} == {fine.identity, coarse.identity}
    invocation.started(fine.identity)
    invocation.failed(fine.identity, "out of memory", mendable=False)
    assert invocation._ready() == [coarse]
    assert store.failed == {
        fine.identity: "out of memory",
        auto.identity: "its teacher failed: out of memory",
    }
    assert not invocation.mendable


def test_a_finished_student_is_evaluated_without_its_teacher(tmp_path: Path) -> None:
    plan = make_plan(SWEEP, rows=["auto"])
    invocation = Invocation(plan, FakeStore(), Console(file=StringIO()), tmp_path)  # type: ignore[arg-type]
    student = plan.training_of(plan.rows[0], 0)
    student.state = "evaluate"
    assert invocation._ready() == [student]


def test_all_rows_share_what_is_not_their_extra_images() -> None:
    def plain(config: TrainingConfig) -> TrainingConfig:
        return config.replace(data=config.data.replace(extra=None))

    for sweep in (SWEEP, THRESHOLDS):
        for profile in sweep.profiles.values():
            rows = sweep.rows(profile.base)
            assert len({plain(row.training) for row in rows}) == 1
            kinds = [row.training.data.extra for row in rows if row.training.data.extra]
            assert len({(each.images, each.probability, each.split) for each in kinds}) == 1


def test_table4_end_to_end_killed_while_labelling(
    sweep_file: Path, tmp_path: Path, run_cli: Run
) -> None:
    """``kill -9`` once a label is there; the same command labels the others and ends in a table."""
    out = tmp_path / "results"
    process = subprocess.Popen(
        command(sweep_file),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 280
    try:
        while not label_times(out):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    left = label_times(out)

    done = run_cli(sweep_file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done, reused" in done.stdout and "taught by" in done.stdout
    after = label_times(out)
    assert len(after) == 28 and left.items() <= after.items()
    report = out / "tiny4" / "quick"
    table = pd.read_csv(report / "table.csv")
    assert table["state"].tolist() == ["measured"] * 3
    for name in ("labels_examples", "labels_by_class"):
        assert (report / "figures" / f"{name}.png").stat().st_size > 0
    assert "ground-truth coarse" in (report / "table.md").read_text()
    kinds = rows_of(tmp_path / "mlflow.db", "select value from tags where key = 'kind'")
    assert [kind for (kind,) in kinds].count("labels") == 1
    assert [kind for (kind,) in kinds].count("training") == 3
