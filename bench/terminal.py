"""What a sweep shows while it runs: the plan first, every trial live, what happened last."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.plan import Plan, PlannedTraining
from bench.train import Progress
from sweeps.spec import Sweep

PLAIN_SECONDS = 15
"""Without a terminal, a trial prints a line this often."""

STATES = {
    "new": "to train",
    "continue": "goes on from its checkpoint",
    "evaluate": "trained, to evaluate",
    "done": "done, reused",
}


def show_plan(console: Console, plan: Plan, estimate: float | None, at_once: int | None) -> None:
    """Print rows, distinct trainings, resources and the expected time."""
    console.print(f"[bold]{plan.sweep.name}[/] {plan.sweep.title}", highlight=False)
    console.print(f"profile {plan.profile_name}: {plan.profile.summary}", highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("row", "train scales", "eval scales", "training"):
        table.add_column(column)
    for row in plan.rows:
        ids = [plan.training_of(row, seed).identity for seed in plan.seeds]
        table.add_row(
            row.name, scales(row.training.train_scales), scales(row.eval_scales), " ".join(ids)
        )
    console.print(table)
    for name, reason in plan.unavailable.items():
        console.print(f"{name} is left out: {reason}", highlight=False)
    width = max(18, *(len(training.label) for training in plan.trainings))
    for training in plan.trainings:
        console.print(
            f"  {training.identity}  {training.label:{width}s} {STATES[training.state]}"
            + (f", taught by {training.teacher}" if training.teacher else ""),
            highlight=False,
        )
    runtime = plan.runtime
    parts = [
        _plural(len(plan.rows), "row"),
        _plural(len(plan.seeds), "seed"),
        f"{_plural(len(plan.trainings), 'training')}, {len(plan.pending)} to run",
        f"{_plural(runtime.cpus, 'CPU')} and {_plural(plan.profile.base.threads, 'thread')} a trial"
        + (f", {runtime.gpus:g} GPU" if runtime.gpus else ""),
    ]
    devices = plan.profile.base.devices
    if devices > 1:
        parts.append(f"{devices} devices a trial, as much each")
    if at_once is not None:
        parts.append(f"{at_once} at once")
    if plan.pending:
        parts.append(f"about {duration(estimate)}" if estimate else "no earlier run to judge from")
    console.print("; ".join(parts), highlight=False)


def show_leaderboard(console: Console, sweep: Sweep) -> None:
    """Print the published entries of a leaderboard whose own rows can't be measured."""
    console.print(f"[bold]{sweep.name}[/] {sweep.title}", highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("entry")
    table.add_column("mean IoU", justify="right")
    table.add_column("published", justify="right")
    base = next(iter(sweep.profiles.values())).base
    for row in sweep.rows(base):
        published = f"{row.published['iou']:.1f}" if "iou" in row.published else "-"
        table.add_row(row.label, Text("not measured", style="yellow"), published)
    for rival in sweep.rivals:
        table.add_row(rival.name, "-", f"{rival.iou:.1f}")
    console.print(table)
    console.print(f"Published: {sweep.source}.", highlight=False)


@dataclass
class _Line:
    """What is known of one trial."""

    training: PlannedTraining
    phase: str = "waiting"
    step: int = 0
    steps: int = 1
    loss: float | None = None
    miou: float | None = None
    since: float = 0.0
    since_step: int = 0
    printed: float = 0.0

    def seconds_left(self) -> float | None:
        """Time left in this phase, from its own speed."""
        done = self.step - self.since_step
        if done <= 0:
            return None
        return (time.monotonic() - self.since) / done * (self.steps - self.step)


@dataclass
class Display:
    """Live lines, one a trial; without a terminal a printed line now and then."""

    console: Console
    trainings: Iterable[PlannedTraining]
    lines: dict[str, _Line] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = {each.identity: _Line(each) for each in self.trainings}
        self.live = Live(
            console=self.console,
            refresh_per_second=4,
            get_renderable=self._table,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> "Display":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def progressed(self, identity: str, progress: Progress) -> None:
        """Take over what a trial reports."""
        line = self.lines[identity]
        if line.phase != progress.phase:
            line.phase, line.since, line.since_step = (
                progress.phase,
                time.monotonic(),
                progress.step,
            )
        line.step, line.steps = progress.step, progress.steps
        line.loss = progress.metrics.get("loss", line.loss)
        line.miou = progress.metrics.get("val_miou", line.miou)
        if not self.console.is_terminal and time.monotonic() - line.printed > PLAIN_SECONDS:
            line.printed = time.monotonic()
            left = line.seconds_left()
            values = [f"{line.training.label}: {line.phase} {line.step}/{line.steps}"]
            values += [f"loss {line.loss:.3f}"] if line.loss is not None else []
            values += [f"val mIoU {line.miou:.1f}"] if line.miou is not None else []
            values += [f"{duration(left)} left"] if left else []
            self.console.print(", ".join(values), highlight=False, soft_wrap=True)

    def note(self, identity: str, phase: str) -> None:
        """Say that a trial started, is done or failed."""
        self.lines[identity].phase = phase
        if not self.console.is_terminal:
            self.console.print(f"{self.lines[identity].training.label}: {phase}", highlight=False)

    def _table(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("training", "phase", "", "step", "loss", "val mIoU", "left"):
            table.add_column(column, justify="right" if column in ("step", "loss") else "left")
        for line in self.lines.values():
            left = line.seconds_left() if line.step < line.steps else None
            table.add_row(
                line.training.label,
                line.phase,
                ProgressBar(line.steps, line.step, width=24),
                f"{line.step}/{line.steps}" if line.step else "",
                f"{line.loss:.3f}" if line.loss is not None else "",
                f"{line.miou:.1f}" if line.miou is not None else "",
                duration(left) if left else "",
            )
        return Group(table, Text("interrupt with Ctrl-C; the same command goes on", style="dim"))


def scales(values: Iterable[float]) -> str:
    """Scales as the tables print them."""
    return ", ".join(f"{value:g}" if value % 1 else f"{value:.1f}" for value in values)


def duration(seconds: float) -> str:
    """Seconds as a person says them, such as ``4 min 10 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
