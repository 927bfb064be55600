"""From frames to what a table says: means over seeds, differences with intervals, verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pandas as pd

from bench.metrics import mean_iou, paired_bootstrap
from reports.frames import Frames

MOST_PAIRS = 10
"""With more published rows than make this many pairs, only neighbours are compared."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A row less another one, in points of IoU.

    Attributes:
        mean: mean over the seeds that both rows have.
        low: lower end of the 95 % interval over the evaluation images.
        high: its upper end.
        agree: seeds whose own difference is above zero.
        seeds: seeds that both rows have.
    """

    mean: float
    low: float
    high: float
    agree: int
    seeds: int

    @property
    def doubt(self) -> str:
        """What speaks against the difference's sign; empty where nothing does."""
        if self.low <= 0 <= self.high:
            return "not certain"
        if 0 < self.agree < self.seeds:
            return "not in every seed"
        return ""


@dataclass(frozen=True, kw_only=True)
class RowSummary:
    """One row of the table; what was not measured is ``None``.

    Costs are absolute, a ``_ratio`` is to the baseline's. The tables' training cost is
    ``article_gmacs_ratio``, by the article's network; ``gmacs_ratio`` is by the trained one.
    """

    row: str
    label: str
    display: str
    strategy: str
    train_scales: tuple[float, ...]
    eval_scales: tuple[float, ...]
    state: str
    reason: str
    seeds: int
    planned_seeds: int
    iou: float | None
    iou_std: float | None
    published_iou: float | None
    difference: Difference | None
    thin_iou: float | None
    thin_std: float | None
    boundary_iou: float | None
    small_iou: float | None
    medium_iou: float | None
    large_iou: float | None
    article_gmacs_ratio: float | None
    published_cost: float | None
    article_gmacs: float | None
    gmacs: float | None
    gmacs_ratio: float | None
    minibatch: float | None
    minibatch_ratio: float | None
    published_minibatch: float | None
    published_minibatch_ratio: float | None
    eval_gmacs: float | None
    eval_gmacs_ratio: float | None
    eval_seconds: float | None
    eval_seconds_ratio: float | None
    peak_mib: float | None
    peak_ratio: float | None
    parameters: float | None


@dataclass(frozen=True)
class CostTerms:
    """What a report compares costs by: fields of ``RowSummary`` and words for them."""

    training: str
    training_words: str
    evaluation: str
    evaluation_words: str


COST_TERMS = {
    "article": CostTerms(
        "article_gmacs_ratio", "training cost", "eval_gmacs_ratio", "evaluation cost"
    ),
    "trained": CostTerms(
        "minibatch_ratio", "minibatch time", "eval_seconds_ratio", "evaluation time"
    ),
}
"""By what a sweep declares as ``costs_of``."""


def cost_terms(frames: Frames) -> CostTerms:
    """What the report of a sweep run compares costs by."""
    return COST_TERMS[frames.plan.get("costs_of", "article")]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """An expected inequality and what was measured of it.

    Attributes:
        group: ``order`` for mean IoU in the published order, ``thin`` for thin structures.
        lower: the row expected below.
        higher: the row expected above.
        difference: higher less lower; ``None`` where one was not measured.
    """

    group: str
    lower: str
    higher: str
    difference: Difference | None

    @property
    def verdict(self) -> str:
        """Whether it holds, and whether the interval leaves that certain."""
        if self.difference is None:
            return "not measured"
        if self.difference.mean == 0:
            return "no difference"
        word = "holds" if self.difference.mean > 0 else "does not hold"
        return f"{word}, {self.difference.doubt}" if self.difference.doubt else word


def scales_text(scales: Sequence[float], separator: str = ", ") -> str:
    """Scales as the article prints them: 0.5, 1.0, 2.0."""
    return separator.join(f"{each:g}" if each % 1 else f"{each:.1f}" for each in scales)


def summarise(frames: Frames) -> list[RowSummary]:
    """One summary a row, in the table's order."""
    labels = frames.rows["label"].tolist()
    baseline = frames.plan["baseline"]
    reference = frames.rows[frames.rows["row"] == baseline]
    base = None if reference.empty else reference.iloc[0]
    return [
        _summarise_row(frames, row, base, baseline, labels.count(row["label"]) == 1)
        for _, row in frames.rows.iterrows()
    ]


def compare(
    frames: Frames, higher: str, lower: str, classes: list[int] | None = None
) -> Difference | None:
    """One row less another over the seeds that both have; ``None`` where that can't be said."""
    seeds = [
        seed
        for seed in frames.plan["seeds"]
        if (higher, seed) in frames.counts and (lower, seed) in frames.counts
    ]
    if not seeds or frames.images[higher] != frames.images[lower]:
        return None
    ours = np.stack([frames.counts[higher, seed] for seed in seeds])
    theirs = np.stack([frames.counts[lower, seed] for seed in seeds])
    try:
        mean, low, high = paired_bootstrap(ours, theirs, classes=classes)
        pairs = zip(ours, theirs, strict=True)
        agree = sum(mean_iou(one, classes) > mean_iou(other, classes) for one, other in pairs)
    except ValueError:
        return None
    return Difference(mean=mean, low=low, high=high, agree=agree, seeds=len(seeds))


def class_names(frames: Frames) -> list[str]:
    """Names of the classes in the order of their indices."""
    return list(dict.fromkeys(frames.classes["class"]))


def thin_classes(frames: Frames) -> list[str]:
    """Names of the classes reported as thin structures."""
    return list(dict.fromkeys(frames.classes["class"][frames.classes["thin"].fillna(False)]))


def thin_indices(frames: Frames) -> list[int]:
    """Indices of the classes reported as thin structures."""
    names = class_names(frames)
    return [names.index(name) for name in thin_classes(frames)]


def findings(frames: Frames) -> list[Finding]:
    """Which expected inequalities hold.

    Mean IoU is expected in the published order of the rows; thin structures are expected better
    in every row of several scales than in a baseline of one.
    """
    published = frames.rows.dropna(subset="published_iou").sort_values(
        "published_iou", kind="stable"
    )
    names: list[str] = published["row"].tolist()
    pairs = list(combinations(names, 2))
    if len(pairs) > MOST_PAIRS:
        pairs = list(pairwise(names))
    values: dict[str, float] = dict(zip(names, published["published_iou"], strict=True))
    found = [
        Finding(group="order", lower=low, higher=high, difference=compare(frames, high, low))
        for low, high in pairs
        if values[low] < values[high]
    ]
    thin, baseline = thin_indices(frames), frames.plan["baseline"]
    several = [row["row"] for row in frames.rows.to_dict("records") if len(row["eval_scales"]) > 1]
    if not thin or baseline in several or baseline not in set(frames.rows["row"]):
        return found
    return found + [
        Finding(
            group="thin",
            lower=baseline,
            higher=name,
            difference=compare(frames, name, baseline, thin),
        )
        for name in several
        if name != baseline
    ]


def answer(frames: Frames, summaries: Sequence[RowSummary]) -> str:
    """In words: which strategy wins, at what cost, how certain."""
    measured = sorted(
        (row for row in summaries if row.iou is not None), key=lambda row: -(row.iou or 0)
    )
    if not measured:
        return "Nothing has been measured yet."
    best = measured[0]
    text = f"Highest mean IoU: {best.display} ({best.iou:.1f})"
    if best.difference is not None:
        text += f", {_points(best.difference)} over the baseline"
    terms = cost_terms(frames)
    training, evaluation = getattr(best, terms.training), getattr(best, terms.evaluation)
    if training is not None and best.row != frames.plan["baseline"]:
        costs = [f"{training:.2f} times its {terms.training_words}"]
        if evaluation is not None:
            costs.append(f"{evaluation:.2f} times its {terms.evaluation_words}")
        same = all(each.startswith("1.00 ") for each in costs)
        text += ", at the same cost" if same else f", at {' and '.join(costs)}"
    if len(measured) > 1:
        second = measured[1]
        lead = compare(frames, best.row, second.row)
        if lead is not None:
            sure = lead.doubt or "clear over these images"
            ratio = getattr(second, terms.training)
            cost = ""
            if ratio is not None and ratio != training:
                cost = f" ({ratio:.2f} times the {terms.training_words})"
            text += f". Its lead over {second.display}{cost}, {_points(lead)}, is {sure}"
    if best.planned_seeds == 1:
        text += ". With one seed the spread between trainings is unknown"
    missing = len(summaries) - len(measured)
    if missing:
        text += f". {missing} of {len(summaries)} rows have no result"
    return text + "."


def _points(difference: Difference) -> str:
    sign = "+" if difference.mean >= 0 else "-"
    return (
        f"{sign}{abs(difference.mean):.1f} points "
        f"(95 % interval {difference.low:+.1f} to {difference.high:+.1f})"
    )


def _summarise_row(
    frames: Frames, row: pd.Series, base: pd.Series | None, baseline: str, unique: bool
) -> RowSummary:
    name, scales = row["row"], tuple(row["eval_scales"])
    runs = frames.runs[frames.runs["row"] == name]
    measured = runs[runs["state"] == "measured"]
    state = "measured" if len(measured) else "not measured"
    if not len(measured) and (runs["state"] == "failed").any():
        state = "failed"
    thin = measured["thin_iou"].dropna()

    def ratio(column: str) -> float | None:
        ours, theirs = _number(row[column]), _number(base[column]) if base is not None else None
        return ours / theirs if ours is not None and theirs else None

    return RowSummary(
        row=name,
        label=row["label"],
        display=row["label"] if unique else f"{row['label']} ({scales_text(scales)})",
        strategy=row["strategy"],
        train_scales=tuple(row["train_scales"]),
        eval_scales=scales,
        state=state,
        reason="; ".join(runs["reason"][runs["state"] == "failed"].dropna().unique()),
        seeds=len(measured),
        planned_seeds=len(runs),
        iou=_number(measured["iou"].mean()),
        iou_std=_number(measured["iou"].std(ddof=1)),
        published_iou=_number(row["published_iou"]),
        difference=None if name == baseline else compare(frames, name, baseline),
        thin_iou=_number(thin.mean()),
        thin_std=_number(thin.std(ddof=1)),
        boundary_iou=_number(measured["boundary_iou"].mean()),
        small_iou=_number(measured["small_iou"].mean()),
        medium_iou=_number(measured["medium_iou"].mean()),
        large_iou=_number(measured["large_iou"].mean()),
        article_gmacs_ratio=ratio("article_gmacs"),
        published_cost=_number(row["published_cost"]),
        article_gmacs=_number(row["article_gmacs"]),
        gmacs=_number(row["gmacs"]),
        gmacs_ratio=ratio("gmacs"),
        minibatch=_number(row["minibatch"]),
        minibatch_ratio=ratio("minibatch"),
        published_minibatch=_number(row["published_minibatch"]),
        published_minibatch_ratio=ratio("published_minibatch"),
        eval_gmacs=_number(row["eval_gmacs"]),
        eval_gmacs_ratio=ratio("eval_gmacs"),
        eval_seconds=_number(row["eval_seconds"]),
        eval_seconds_ratio=ratio("eval_seconds"),
        peak_mib=_number(row["peak_mib"]),
        peak_ratio=ratio("peak_mib"),
        parameters=_number(row["parameters"]),
    )


def _number(value: object) -> float | None:
    """A float, or ``None`` for a missing value."""
    return None if pd.isna(value) else float(value)  # type: ignore[arg-type, call-overload]
