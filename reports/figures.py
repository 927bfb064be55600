"""Figures of a report: IoU against training cost, IoU of every class, training curves.

Colours tell strategies apart (Okabe and Ito's palette, safe for colour-blind readers); rows of
one strategy differ by marker. Published points are hollow.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from reports.formats import Report
from reports.summary import RowSummary, cost_terms, thin_classes

COLORS = {
    "single": "#4d4d4d",
    "avgpool": "#0072B2",
    "explicit": "#D55E00",
    "hierarchical": "#009E73",
}
MARKERS = {
    "single": "oHph",
    "avgpool": "sdXP",
    "explicit": "DPX*",
    "hierarchical": "^v<>",
}
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#808080",
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "xtick.color": "#404040",
    "ytick.color": "#404040",
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "lines.markersize": 6,
    "text.parse_math": False,
    "svg.hashsalt": "scalebench",
}
COST_CAPTIONS = {
    "training cost": "Training cost in multiply-accumulates of the article's network",
    "minibatch time": "Median time of a training step",
}
PALETTE = (*COLORS.values(), "#E69F00", "#56B4E9", "#CC79A7", "#A8A400")
WIDTH = 7.2
"""Inches: two columns of a paper."""


@dataclass(frozen=True)
class Drawing:
    """A figure with the words that go with it.

    Attributes:
        name: file name without its ending.
        figure: the matplotlib figure.
        title: heading.
        caption: what is shown and how to read it.
    """

    name: str
    figure: Figure
    title: str
    caption: str

    def save(self, folder: Path, dpi: int = 200) -> None:
        """Write PNG and SVG."""
        folder.mkdir(parents=True, exist_ok=True)
        with house_style():
            self.figure.savefig(folder / f"{self.name}.png", dpi=dpi)
            self.figure.savefig(folder / f"{self.name}.svg", dpi=dpi, metadata={"Date": None})


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the report's style."""
    with mpl.rc_context(STYLE):
        yield


def draw_all(report: Report) -> list[Drawing]:
    """The figures that a report has data for."""
    with house_style():
        drawings = [cost_figure(report), class_figure(report), curve_figure(report)]
    return [drawing for drawing in drawings if drawing is not None]


def looks(rows: Sequence[RowSummary]) -> dict[str, tuple[str, str]]:
    """Row name -> colour and marker; by strategy, if that has markers enough."""
    strategies = [row.strategy for row in rows]
    if any(strategies.count(name) > len(MARKERS.get(name, "oHph")) for name in set(strategies)):
        markers = "oHsdDP^v<"
        return {
            row.row: (PALETTE[index % len(PALETTE)], markers[index % len(markers)])
            for index, row in enumerate(rows)
        }
    seen: dict[str, int] = {}
    found = {}
    for row in rows:
        count = seen.setdefault(row.strategy, 0)
        seen[row.strategy] += 1
        markers = MARKERS.get(row.strategy, "oHph")
        color = COLORS.get(row.strategy, "#CC79A7")
        found[row.row] = (color, markers[count % len(markers)])
    return found


def cost_figure(report: Report) -> Drawing | None:
    """IoU against training cost, measured and published side by side on equal spans."""
    terms = cost_terms(report.frames)
    measured = [
        (row, cost, row.iou, _error(row))
        for row in report.rows
        if (cost := getattr(row, terms.training)) is not None and row.iou is not None
    ]
    published = [
        (row, row.published_cost, row.published_iou, (0.0, 0.0))
        for row in report.rows
        if row.published_cost is not None and row.published_iou is not None
    ]
    if not measured:
        return None
    panels = [measured, published] if published else [measured]
    figure = Figure(figsize=(WIDTH if published else WIDTH * 0.6, 3.0), layout="constrained")
    axes = figure.subplots(1, len(panels), sharex=True, squeeze=False)[0]
    plan = report.frames.plan
    titles = [f"measured: {plan['dataset']} {plan['split']}", "published"]
    span = 1.3 * max(_span(points) for points in panels)
    style = looks(report.rows)
    for ax, points, title in zip(axes, panels, titles, strict=False):
        shifted = _set_apart([cost for _, cost, _, _ in points])
        for (row, _, iou, error), cost in zip(points, shifted, strict=True):
            color, marker = style[row.row]
            face = "white" if points is published else color
            bars = [[error[0]], [error[1]]] if any(error) else None
            ax.errorbar(
                cost, iou, bars, fmt=marker, color=color, mfc=face, mew=1.4, capsize=2.5, lw=1
            )
        low = min(iou - error[0] for _, _, iou, error in points)
        high = max(iou + error[1] for _, _, iou, error in points)
        bottom = max((low + high - span) / 2, 0.0)
        ax.set_ylim(bottom, bottom + span)
        ax.set_title(title)
        ax.set_xlabel(f"{terms.training_words}, ratio to the baseline")
        _cost_axis(ax, [cost for _, cost, _, _ in measured + published])
    axes[0].set_ylabel("mean IoU, percent")
    _legend(figure, report.rows, style)
    seeds = max(row.seeds for row in report.rows)
    bars_are = (
        f"one standard deviation over {seeds} seeds"
        if seeds > 1
        else "the 95 % interval of the difference to the baseline over the images (one seed)"
    )
    return Drawing(
        "iou_against_cost",
        figure,
        f"Mean IoU against {terms.training_words}",
        f"{COST_CAPTIONS[terms.training_words]}, relative to the baseline; "
        f"logarithmic, equal costs set apart a little. Bars: {bars_are}."
        + (
            f" Right, hollow: {plan['source']}; another data set, on a span of as many points."
            if published
            else ""
        ),
    )


def class_figure(report: Report) -> Drawing | None:
    """IoU of every class, one dot a row; thin structures on a band."""
    classes = report.frames.classes
    if classes.empty:
        return None
    table = classes.pivot_table(index="class", columns="row", values="iou", sort=False)
    rows = [row for row in report.rows if row.row in table.columns]
    first = report.frames.plan["baseline"]
    order = first if first in table.columns else rows[0].row
    table = table.dropna(how="all").sort_values(order, na_position="first")
    thin = set(thin_classes(report.frames))
    figure = Figure(figsize=(WIDTH, 1.0 + 0.23 * len(table)), layout="constrained")
    ax = figure.subplots()
    style = looks(report.rows)
    for index, (name, values) in enumerate(table.iterrows()):
        if name in thin:
            ax.axhspan(index - 0.5, index + 0.5, color="#f3ecd8", lw=0)
        ax.hlines(index, values.min(), values.max(), color="#b3b3b3", lw=0.8, zorder=1)
    for row in rows:
        color, marker = style[row.row]
        ax.plot(table[row.row], range(len(table)), marker, color=color, alpha=0.85, ms=5)
    names = [f"{name} (thin)" if name in thin else name for name in table.index]
    ax.set_yticks(range(len(table)), names)
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("IoU, percent")
    _legend(figure, rows, style)
    return Drawing(
        "iou_by_class",
        figure,
        "IoU of every class",
        f"Sorted by the IoU of {order}; means over seeds."
        + (" Shaded: thin structures." if thin else ""),
    )


def curve_figure(report: Report) -> Drawing | None:
    """Training loss and validation IoU of every training, mean and range over seeds."""
    curves = report.frames.curves
    shared = report.frames.runs.groupby("row", sort=False)["identity"].agg(" ".join)
    firsts = shared.drop_duplicates().index
    rows = [row for row in report.rows if row.row in set(firsts)]
    if curves.empty:
        return None
    figure = Figure(figsize=(WIDTH, 2.7), layout="constrained")
    panels = {"loss": "training loss", "val_miou": "mean IoU on val while training, percent"}
    style = looks(report.rows)
    for ax, (curve, title) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        for row in rows:
            points = curves[(curves["row"] == row.row) & (curves["curve"] == curve)]
            _band(ax, points, *style[row.row], marked=curve == "val_miou")
        ax.set_title(title)
        ax.set_xlabel("step")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    labels = [row.label for row in rows]
    _legend(figure, rows, style, labels if len(set(labels)) == len(labels) else None)
    band = " Bands: lowest to highest seed." if len(report.frames.plan["seeds"]) > 1 else ""
    return Drawing(
        "training_curves",
        figure,
        "Training curves",
        "One line a training; a row that evaluates another row's network has none of its own. "
        f"Validation uses the training's own scales.{band}",
    )


def _band(ax: Axes, points: pd.DataFrame, color: str, marker: str, marked: bool) -> None:
    if points.empty:
        return
    by_step = points.groupby("step")["value"]
    steps = sorted(points["step"].unique())
    ax.plot(
        steps, by_step.mean(), color=color, lw=1.3, marker=marker if marked else "", markersize=4
    )
    if points["seed"].nunique() > 1:
        ax.fill_between(steps, by_step.min(), by_step.max(), color=color, alpha=0.18, lw=0)


def _legend(
    figure: Figure,
    rows: Sequence[RowSummary],
    style: dict[str, tuple[str, str]],
    labels: Sequence[str] | None = None,
) -> None:
    names = labels or [row.display for row in rows]
    handles = [
        Line2D([], [], color=style[row.row][0], marker=style[row.row][1], ls="", label=name)
        for row, name in zip(rows, names, strict=True)
    ]
    entry = 0.3 + 0.052 * max(map(len, names), default=0)  # inches, at the legend's font size
    columns = max(1, min(3, int(figure.get_figwidth() / entry)))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, handletextpad=0.3)


def _error(row: RowSummary) -> tuple[float, float]:
    """Bar below and above a point: spread over seeds or, with one seed, the interval."""
    if row.iou_std is not None:
        return row.iou_std, row.iou_std
    if row.difference is None:
        return 0.0, 0.0
    return (
        max(row.difference.mean - row.difference.low, 0.0),
        max(row.difference.high - row.difference.mean, 0.0),
    )


def _set_apart(costs: Sequence[float]) -> list[float]:
    """Costs as drawn: equal ones a few percent apart, so that their bars don't overlap."""
    drawn = []
    for index, cost in enumerate(costs):
        alike = [i for i, other in enumerate(costs) if abs(other / cost - 1) < 0.02]
        place = alike.index(index) - (len(alike) - 1) / 2
        drawn.append(cost * 1.05**place)
    return drawn


def _span(points: Sequence[tuple[RowSummary, float, float, tuple[float, float]]]) -> float:
    low = min(iou - error[0] for _, _, iou, error in points)
    return max(max(iou + error[1] for _, _, iou, error in points) - low, 1.0)


def _cost_axis(ax: Axes, costs: Sequence[float]) -> None:
    low, high = min(*costs, 1.0), max(*costs, 2.0)
    ax.set_xscale("log")
    ax.set_xlim(low / 1.15, high * 1.15)
    ticks = [
        t for t in (0.1, 0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 10, 20, 50) if low / 1.1 <= t <= high * 1.1
    ]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
