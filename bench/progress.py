"""A progress bar with images per second for the commands that go through many."""

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar


class Progress:
    """A bar on a terminal's stderr, nothing elsewhere; counts and times either way.

    Args:
        what: what is done, in a word.
        total: how many there are, or ``None`` where that isn't known.

    Attributes:
        done: how many are done.
        seconds: time between entering and leaving, or until now.
    """

    def __init__(self, what: str, total: int | None) -> None:
        rate = TextColumn("{task.fields[rate]}")
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            rate,
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.task = self.bar.add_task(what, total=total, rate="")
        self.started = time.monotonic()
        self.ended: float | None = None
        self.done = 0

    def __enter__(self) -> "Progress":
        if self.bar.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = time.monotonic()
        self.bar.stop()

    @property
    def seconds(self) -> float:
        """Time that it took so far."""
        return (self.ended or time.monotonic()) - self.started

    def advance(self, what: str | None = None) -> None:
        """One more is done; ``what`` renames the bar."""
        self.done += 1
        rate = f"{self.done / max(self.seconds, 1e-9):.1f}/s"
        self.bar.update(self.task, advance=1, rate=rate, description=what)
