"""What a sweep is: rows over a base configuration, profiles to run it on, published values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from bench.config import Evaluation, Frozen, Runtime, Scales, TrainingConfig


class Row(Frozen):
    """One row of a table: a training and the rule by which it is evaluated.

    Attributes:
        name: short and unique in its sweep; ``--rows`` takes it.
        label: what the tables print.
        training: the training that the row needs; rows may share one.
        strategy: how the row combines scales when it is evaluated.
        eval_scales: the scales that the row is evaluated over.
        published: published values, column -> value; printed as published, never as ours.
    """

    name: str
    label: str
    training: TrainingConfig
    strategy: Literal["single", "avgpool", "explicit", "hierarchical"]
    eval_scales: Scales
    published: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _evaluable(self) -> Self:
        Evaluation(strategy=self.strategy, scales=self.eval_scales)
        trained = self.training.strategy
        if trained != ("single" if self.strategy == "avgpool" else self.strategy):
            raise ValueError(f"row {self.name!r}: a {trained} training can't do {self.strategy}")
        if self.strategy == "explicit" and sorted(self.eval_scales) != sorted(
            self.training.train_scales
        ):
            raise ValueError(
                f"row {self.name!r}: explicit is bound to its train scales "
                f"{self.training.train_scales}, not {self.eval_scales}: make the two equal"
            )
        return self


@dataclass(frozen=True, kw_only=True)
class Profile:
    """On what a sweep runs.

    Attributes:
        summary: data, size and expected time on named hardware, one line.
        base: the configuration that the sweep's rows change.
        runtime: resources of a trial.
        split: the split that the tables report.
        seeds: default number of seeds.
        eval_images: evaluate this many images of the split; ``None`` takes all.
        cost_rounds: interleaved timing rounds of the minibatch measurement.
    """

    summary: str
    base: TrainingConfig
    runtime: Runtime = field(default_factory=Runtime)
    split: str = "val"
    seeds: int = 1
    eval_images: int | None = None
    cost_rounds: int = 9


@dataclass(frozen=True)
class Rival:
    """A published entry of a leaderboard that has no training here.

    Attributes:
        name: what the tables print.
        iou: published mean IoU in percent.
    """

    name: str
    iou: float


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A table: its question, its rows and what it can run on.

    Attributes:
        name: the name on the command line and of the MLflow experiment.
        title: the table's caption.
        rows: base configuration -> rows, in the table's order.
        profiles: profile name -> profile; the first is the default.
        baseline: the row that costs and differences are measured against.
        source: where the published values come from; empty where there are none.
        costs_of: whose costs the report compares: multiply-accumulates of the ``article``'s
            network, where strategies vary; time and memory of the ``trained`` networks, where
            trunk, loss or precision vary.
        rivals: published entries that the tables show below the rows.
        question: what the table answers, for its page.
    """

    name: str
    title: str
    rows: Callable[[TrainingConfig], list[Row]]
    profiles: Mapping[str, Profile]
    baseline: str
    source: str = ""
    costs_of: Literal["article", "trained"] = "article"
    rivals: tuple[Rival, ...] = ()
    question: str = (
        "How should one network's predictions at several image scales be combined, over which "
        "scales, and is it worth its cost?"
    )
