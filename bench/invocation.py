"""One run of a planned sweep: hears of its trials, keeps what they report, sums up."""

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from shutil import rmtree

from rich.console import Console

from bench.config import Evaluation, TrainingConfig
from bench.cost import measure
from bench.datasets import open_split
from bench.errors import BenchError
from bench.labels.lessons import Lessons
from bench.plan import Plan, PlannedTraining
from bench.schedule import check_resources, ray_session, run_alone, run_trainings
from bench.terminal import Display, duration, show_plan
from bench.tracking import Store
from bench.train import Progress
from reports.build import build_report
from sweeps.spec import Row

CRASHED, MENDABLE, INTERRUPTED = 1, 2, 130


@dataclass(frozen=True)
class CostTask:
    """What is measured for a plan, under an identity of its own.

    Attributes:
        identity: hash of all that follows.
        trainings: key -> one configuration for all seeds.
        rows: row name -> (key of its training, evaluation rule).
    """

    identity: str
    trainings: dict[str, TrainingConfig]
    rows: dict[str, tuple[str, Evaluation]]

    @classmethod
    def of(cls, plan: Plan, chosen: Sequence[Row]) -> "CostTask":
        """The measurement that rows of a plan need."""
        trainings: dict[str, TrainingConfig] = {}
        rows: dict[str, tuple[str, Evaluation]] = {}
        for row in chosen:
            data = row.training.data.replace(extra=None)  # images cost the same whoever labels them
            config = row.training.replace(seed=0, data=data)
            key = config.identity("cost")
            trainings[key] = config
            rows[row.name] = (key, plan.evaluation(row))
        content = {name: [key, rule.name] for name, (key, rule) in rows.items()}
        text = json.dumps([plan.sweep.name, content, plan.profile.cost_rounds], sort_keys=True)
        identity = "cost-" + hashlib.sha256(text.encode()).hexdigest()[:12]
        return cls(identity, trainings, rows)


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
        self.compute_seconds: list[float] = []
        self.cost_seconds = 0.0
        self.label_seconds = 0.0
        self.at_once = 1

    def run(self, started: float, address: str | None) -> int:
        """Trainings, costs, report.

        Args:
            started: when the command began, by ``time.monotonic``.
            address: Ray cluster to join; ``None`` starts Ray for this run alone.

        Returns:
            0 when every row has its numbers, 1 when a trial crashed, 2 when one met something
            that the user can mend, 130 after an interruption.
        """
        costs = CostTask.of(self.plan, self.plan.rows)
        measured = self.store.find(costs.identity) is not None and not self.fresh
        self.parent = self.store.begin_sweep(self.plan, costs.identity)
        self.lessons = Lessons(self.plan, self.store, self.parent, self.out, self.fresh)
        try:
            if self.plan.pending or not measured:
                with ray_session(address):
                    self._train()
                    if self._unfinished():
                        return self._interrupted()
                    if not measured:
                        self._measure(CostTask.of(self.plan, self._trained_rows()))
            else:
                show_plan(self.console, self.plan, None, None)
        except KeyboardInterrupt:
            return self._interrupted()
        except BaseException:
            self.store.end_sweep(self.parent, "FAILED", {})
            raise
        self._remove_checkpoints()
        self._report(started)
        if self.failures:
            return MENDABLE if self.mendable else CRASHED
        return 0

    def started(self, identity: str) -> None:
        """A trial starts, or starts again after a failure."""
        self.store.begin_training(self.parent, self.plan, self.trainings[identity])
        self.display.note(identity, "starting")

    def progressed(self, identity: str, progress: Progress) -> None:
        """Keep a point of the curves and show it."""
        self.store.log_progress(self._run_id(identity), progress)
        self.display.progressed(identity, progress)

    def checkpointed(self, identity: str, uri: str) -> None:
        """Remember the checkpoint for a later invocation."""
        self.store.note_checkpoint(self._run_id(identity), uri)

    def finished(self, identity: str, folder: Path, seconds: float) -> None:
        """Keep the results."""
        self.store.finish_training(self._run_id(identity), self.plan, folder)
        self.trainings[identity].state = "done"
        self.compute_seconds.append(seconds)
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

    def _unfinished(self) -> int:
        return len(self.plan.pending) - len(self.failures)

    def _trained_rows(self) -> list[Row]:
        return [
            row
            for row in self.plan.rows
            if any(self.plan.training_of(row, seed).state == "done" for seed in self.plan.seeds)
        ]

    def _train(self) -> None:
        devices = max(training.config.devices for training in self.plan.trainings)
        self.at_once = check_resources(self.plan.runtime, devices)
        estimate = self.store.estimate(self.plan, self.at_once)
        show_plan(self.console, self.plan, estimate, self.at_once)
        for training in self.plan.pending:
            if training.state == "evaluate":
                folder = self._storage / "trained" / training.identity
                run_id = self._run_id(training.identity)
                training.resume = str(self.store.download_model(run_id, folder))
        with self.display:
            for stage in count():
                ready = self._ready()
                if not ready:
                    break
                storage = self._storage / f"stage-{stage}"
                run_trainings(ready, self.plan.runtime, storage, self)
                if any(t.state != "done" and t.identity not in self.failures for t in ready):
                    break  # interrupted

    def _ready(self) -> list[PlannedTraining]:
        """Trainings that can start: what has a teacher waits for it, and gets its labels here."""
        ready = []
        for training in self.plan.pending:
            if training.identity in self.failures:
                continue
            if training.needs_labels and not self._taught(training):
                continue
            ready.append(training)
        return ready

    def _taught(self, training: PlannedTraining) -> bool:
        """Whether a training's labels are there; its teacher's failure is its own."""
        assert training.teacher is not None
        teacher, identity = self.trainings[training.teacher], training.identity
        if teacher.identity in self.failures:
            self.started(identity)
            reason = f"its teacher failed: {self.failures[teacher.identity]}"
            self.failed(identity, reason, mendable=False)
        if teacher.state != "done":
            return False

        def on_image(done: int, total: int) -> None:
            self.display.progressed(identity, Progress("labelling", done, total, {}))

        begun = time.monotonic()
        try:
            training.labels = self.lessons.labels(training, teacher, on_image)
        except BenchError as error:
            self.started(identity)
            self.failed(identity, str(error), mendable=True)
            return False
        self.label_seconds += time.monotonic() - begun
        return True

    @property
    def _storage(self) -> Path:
        return self.out / "trials" / self.parent

    def _remove_checkpoints(self) -> None:
        """Finished trainings are in MLflow; their checkpoints in the output folder can go."""
        trials = self.out / "trials"
        for training in self.plan.trainings:
            if training.state == "done" and training.resume:
                earlier = Path(training.resume).parent
                if trials in earlier.parents:
                    rmtree(earlier, ignore_errors=True)
        if not self.failures:
            rmtree(self._storage, ignore_errors=True)

    def _measure(self, costs: CostTask) -> None:
        """Count and time all strategies in one process, alone on the device."""
        if not costs.rows:
            return
        data = self.plan.profile.base.data
        dataset = open_split(data, self.plan.profile.split, self.plan.runtime.data_root)
        begun = time.monotonic()
        with self.console.status("measuring costs: operations, minibatch time, memory"):
            report = run_alone(
                self.plan.runtime,
                measure,
                costs.trainings,
                costs.rows,
                len(dataset.classes),
                dataset[0].label.shape,
                self.plan.profile.cost_rounds,
            )
        self.cost_seconds = time.monotonic() - begun
        self.store.log_cost(self.parent, costs.identity, report)

    def _report(self, started: float) -> None:
        status = "FAILED" if self.failures else "FINISHED"
        self.store.end_sweep(self.parent, status, {"wall_seconds": f"{self._wall(started):.1f}"})
        if any(training.state == "done" for training in self.plan.trainings):
            folder = self.out / self.plan.sweep.name / self.plan.profile_name
            build_report(self.plan.sweep.name, self.parent, folder, self.console)
            self.store.log_report(self.parent, folder)
            self._closing_lines(folder, started)
        for reason in dict.fromkeys(self.failures.values()):
            labels = [
                self.trainings[identity].label
                for identity, each in self.failures.items()
                if each == reason
            ]
            print(f"error: {', '.join(labels)}: {reason}", file=sys.stderr)

    def _closing_lines(self, folder: Path, started: float) -> None:
        say, wall = self.console.print, self._wall(started)
        if self.compute_seconds:
            trials = max(max(self.compute_seconds), sum(self.compute_seconds) / self.at_once)
            compute = trials + self.label_seconds + self.cost_seconds
            labels = f"labels {duration(self.label_seconds)}; " if self.label_seconds else ""
            costs = f"costs {duration(self.cost_seconds)}"
            say(
                f"wall time {duration(wall)}, {wall / compute:.2f} times the {duration(compute)} "
                f"of pure compute ({self.at_once} at once; {labels}{costs})"
            )
        say(f"report: {folder / 'index.html'}", soft_wrap=True)
        say(f"browse: mlflow ui    redraw: python -m reports {self.plan.sweep.name}")

    def _interrupted(self) -> int:
        self.store.end_sweep(self.parent, "KILLED", {})
        self.console.print(
            f"interrupted with {self._unfinished()} of {len(self.plan.trainings)} trainings "
            "to go; run the same command to go on from the last checkpoints"
        )
        return INTERRUPTED

    @staticmethod
    def _wall(started: float) -> float:
        return time.monotonic() - started
