"""One run of a planned sweep: hears of its trials, keeps what they report, sums up."""

import hashlib
import json
import time
from pathlib import Path
from shutil import rmtree

from rich.console import Console

from bench.cost import measure
from bench.datasets import open_split
from bench.plan import Plan
from bench.schedule import run_alone, run_trainings
from bench.terminal import Display, duration
from bench.tracking import Store
from bench.train import Progress
from reports.build import build_report

CRASHED, MENDABLE, INTERRUPTED = 1, 2, 130


class Invocation:
    """Runs a plan on an open Ray session; it is the listener of the trials.

    Args:
        plan: what to run.
        store: where results are kept.
        console: where the user looks.
        out: folder for checkpoints and reports.
        fresh: measure costs again even if an earlier run has them.
    """

    def __init__(
        self, plan: Plan, store: Store, console: Console, out: Path, fresh: bool = False
    ) -> None:
        self.plan = plan
        self.store = store
        self.console = console
        self.out = out
        self.fresh = fresh
        self.trainings = {training.identity: training for training in plan.trainings}
        self.display = Display(console, plan.pending)
        self.failures: dict[str, str] = {}
        self.mendable = False
        self.busy: dict[str, float] = {}

    def run(self, started: float) -> int:
        """Trainings, costs, report.

        Returns:
            0 when every row has its numbers, 1 when a trial crashed, 2 when one met something
            that the user can mend, 130 after an interruption.
        """
        self.parent = self.store.begin_sweep(self.plan)
        storage = self.out / "trials"
        try:
            if self.plan.pending:
                with self.display:
                    run_trainings(
                        self.plan.pending, self.plan.runtime, storage, self.parent, self
                    )
            if len(self.plan.pending) > len(self.failures):
                return self._interrupted()
            self._measure_costs()
        except KeyboardInterrupt:
            return self._interrupted()
        except BaseException:
            self.store.end_sweep(self.parent, "FAILED", {})
            raise
        if not self.failures:
            rmtree(storage / self.parent, ignore_errors=True)
        self._report(started)
        if self.failures:
            return MENDABLE if self.mendable else CRASHED
        return 0

    def started(self, identity: str) -> None:
        """A trial starts, or starts again after a failure."""
        self.store.begin_training(self.parent, self.plan, self.trainings[identity])
        self.busy.setdefault(identity, time.monotonic())
        self.display.note(identity, "starting")

    def progressed(self, identity: str, progress: Progress) -> None:
        """Keep a point of the curves and show it."""
        self.store.log_progress(self._run_id(identity), progress)
        self.display.progressed(identity, progress)

    def checkpointed(self, identity: str, uri: str) -> None:
        """Remember the checkpoint for a later invocation."""
        self.store.note_checkpoint(self._run_id(identity), uri)

    def finished(self, identity: str, folder: Path) -> None:
        """Keep the results."""
        self.store.finish_training(self._run_id(identity), self.plan, folder)
        self.trainings[identity].state = "done"
        self.busy[identity] = time.monotonic() - self.busy[identity]
        self.display.note(identity, "done")

    def failed(self, identity: str, reason: str, mendable: bool) -> None:
        """Keep the reason; only this training's rows fail."""
        self.store.fail_training(self._run_id(identity), reason)
        self.failures[identity] = reason
        self.mendable |= mendable
        self.display.note(identity, "failed")

    def _run_id(self, identity: str) -> str:
        run_id = self.trainings[identity].run_id
        assert run_id is not None, f"training {identity} reports before it started"
        return run_id

    def _measure_costs(self) -> None:
        """Count and time all strategies in one process, alone on the device."""
        distinct = {
            row.training.replace(seed=0).model_dump_json(): row.training for row in self.plan.rows
        }
        keys = {content: hashlib.sha256(content.encode()).hexdigest()[:12] for content in distinct}
        rows = {
            row.name: (
                keys[row.training.replace(seed=0).model_dump_json()],
                self.plan.evaluation(row),
            )
            for row in self.plan.rows
        }
        content = json.dumps([sorted(keys.values()), sorted(rows), self.plan.profile.cost_rounds])
        identity = f"cost-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
        if self.store.find(identity) and not self.fresh:
            return
        base = self.plan.profile.base
        dataset = open_split(base.data, self.plan.profile.split, self.plan.runtime.data_root)
        with self.console.status("measuring costs: operations, minibatch time, memory"):
            report = run_alone(
                self.plan.runtime,
                measure,
                {keys[key]: config for key, config in distinct.items()},
                rows,
                len(dataset.classes),
                dataset[0].label.shape,
                self.plan.profile.cost_rounds,
            )
        self.store.log_cost(self.parent, identity, report)

    def _report(self, started: float) -> None:
        status = "FAILED" if self.failures else "FINISHED"
        self.store.end_sweep(self.parent, status, {"wall_seconds": f"{self._wall(started):.1f}"})
        folder = self.out / self.plan.sweep.name / self.plan.profile_name
        build_report(self.plan.sweep.name, self.parent, folder, self.console)
        self.store.log_report(self.parent, folder)
        for identity, reason in self.failures.items():
            self.console.print(f"[red]failed[/] {self.trainings[identity].label}: {reason}")
        self._closing_lines(folder, started)

    def _closing_lines(self, folder: Path, started: float) -> None:
        say = self.console.print
        busy = sum(self.busy.values())
        if busy:
            say(
                f"wall time {duration(self._wall(started))}; "
                f"trials were busy for {duration(busy)} in all"
            )
        say(f"report: {folder / 'index.html'}")
        say("browse: mlflow ui    redraw: " f"python -m reports {self.plan.sweep.name}")

    def _interrupted(self) -> int:
        self.store.end_sweep(self.parent, "KILLED", {})
        self.console.print(
            f"interrupted with {len(self.plan.pending)} of {len(self.plan.trainings)} trainings "
            "to go; run the same command to go on from the last checkpoints"
        )
        return INTERRUPTED

    @staticmethod
    def _wall(started: float) -> float:
        return time.monotonic() - started
