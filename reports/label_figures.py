"""Figures 6 and 7: what a teacher makes of coarse labels, in pictures and by class.

With several thresholds, also what labels and students are like against the threshold.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter
from PIL import Image

from reports.figures import WIDTH, Drawing, house_style
from reports.formats import Report
from reports.label_tables import label_frame
from reports.labels import LabelSet
from reports.store import RunStore

COLUMNS = {
    "image": "image",
    "own": "ground-truth coarse label",
    "teacher": "auto-generated label",
}
"""File of an example to the title of its column."""
OWN_COLOR, TEACHER_COLOR, STUDENT_COLOR = "#4d4d4d", "#D55E00", "#009E73"
LEGEND_COLUMNS = 7
IGNORED = "ignored"
FEWEST_THRESHOLDS = 3


def label_charts(report: Report) -> list[Drawing]:
    """Drawings of lines and points."""
    sets = report.frames.labels
    with house_style():
        drawings = [distribution_figure(sets), threshold_figure(report)]
    return [each for each in drawings if each is not None]


def label_pictures(report: Report, store: RunStore) -> list[Drawing]:
    """Figure 6, of the first label set with examples."""
    for labels in report.frames.labels:
        folder = store.fetch(labels.run_id, "examples")
        examples = sorted(each for each in folder.iterdir() if each.is_dir()) if folder else []
        if examples:
            with house_style():
                return [example_figure(labels, examples)]
    return []


def example_figure(labels: LabelSet, examples: Sequence[Path]) -> Drawing:
    """Image, the data set's own label and the teacher's, side by side."""
    pictures = [[_read(path / f"{name}.png") for name in COLUMNS] for path in examples]
    height, width = pictures[0][0].shape[:2]
    classes = labels.manifest["classes"]
    legend_high = 0.2 + 0.16 * -(-len(classes) // LEGEND_COLUMNS)
    total = WIDTH / 3 * height / width * len(examples) + legend_high + 0.3
    figure = Figure(figsize=(WIDTH, total))
    grid = figure.subplots(len(examples), 3, squeeze=False)
    figure.subplots_adjust(0.005, legend_high / total, 0.995, 1 - 0.2 / total, 0.02, 0.04)
    for ax, title in zip(grid[0], COLUMNS.values(), strict=True):
        ax.set_title(title, fontsize=8, pad=2.5)
    for line, row in zip(grid, pictures, strict=True):
        for ax, pixels in zip(line, row, strict=True):
            ax.imshow(pixels, interpolation="nearest")
            ax.set_xticks([])
            ax.set_yticks([])
    with Image.open(examples[0] / "teacher.png") as image:
        palette = np.array(image.getpalette()).reshape(-1, 3) / 255
    handles = [
        Patch(facecolor=palette[index], edgecolor="#808080", lw=0.5, label=name)
        for index, name in enumerate(classes)
    ]
    handles.append(Patch(facecolor="black", edgecolor="#808080", lw=0.5, label=IGNORED))
    figure.legend(handles=handles, loc="lower center", ncols=LEGEND_COLUMNS, fontsize=7)
    return Drawing(
        "labels_examples",
        figure,
        "Coarse and auto-generated labels",
        f"Row {labels.row}, seed {labels.seed}: {len(examples)} of the extra images, at even "
        "distances; the article's figure 6.",
    )


def distribution_figure(sets: Sequence[LabelSet]) -> Drawing | None:
    """Share of the pixels of every class, in the data set's own labels and in the teacher's."""
    labels = next((each for each in sets if each.manifest["own_pixels"]), None)
    if labels is None:
        return None
    pixels = pd.DataFrame(
        {"own": labels.manifest["own_pixels"], "teacher": labels.manifest["pixels"]}
    )
    shares = 100 * pixels / pixels.sum()
    shares = shares.loc[[IGNORED, *shares["teacher"].drop(IGNORED).sort_values().index]]
    figure = Figure(figsize=(WIDTH * 0.75, 1.0 + 0.23 * len(shares)), layout="constrained")
    ax = figure.subplots()
    lowest = shares[shares > 0].min().min() / 2
    for index, (own, teacher) in enumerate(shares.to_numpy()):
        ax.hlines(index, max(own, lowest), max(teacher, lowest), color="#b3b3b3", lw=0.8, zorder=1)
    for kind, color, marker, name in (
        ("own", OWN_COLOR, "o", COLUMNS["own"]),
        ("teacher", TEACHER_COLOR, "D", COLUMNS["teacher"]),
    ):
        values = shares[kind].clip(lower=lowest)
        faces = [color if share > 0 else "white" for share in shares[kind]]
        ax.scatter(
            values, range(len(shares)), 30, faces, marker=marker, edgecolors=color, label=name
        )
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_yticks(range(len(shares)), shares.index)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("share of all pixels, percent")
    figure.legend(loc="outside lower center", ncols=2)
    return Drawing(
        "labels_by_class",
        figure,
        "Pixels of every class in coarse and auto-generated labels",
        f"Row {labels.row}, seed {labels.seed}, {labels.manifest['labelled']:,} images; "
        "logarithmic, hollow where there is none; the article's figure 7.",
    )


def threshold_figure(report: Report) -> Drawing | None:
    """Coverage and accuracy of labels, and the students' IoU, against the threshold."""
    hard = [each for each in report.frames.labels if not each.soft]
    if len({each.extra["threshold"] for each in hard}) < FEWEST_THRESHOLDS:
        return None
    frame = label_frame(hard).sort_values("threshold")
    students = {row.row: row for row in report.rows}
    figure = Figure(figsize=(WIDTH, 2.7), layout="constrained")
    left, right = figure.subplots(1, 2)
    seeds = len(report.frames.plan["seeds"])
    for column, color, marker in (
        ("coverage", OWN_COLOR, "o"),
        ("accuracy", TEACHER_COLOR, "D"),
    ):
        left.plot(frame["threshold"], 100 * frame[column], f"-{marker}", color=color, label=column)
    left.set_title("labels, percent")
    left.legend()
    trained = [(t, students[row]) for t, row in zip(frame["threshold"], frame["row"], strict=True)]
    points = [(t, row.iou, row.iou_std or 0) for t, row in trained if row.iou is not None]
    if points:
        right.errorbar(*zip(*points, strict=True), fmt="-^", color=STUDENT_COLOR, capsize=2.5)
    for soft in {each.row for each in report.frames.labels if each.soft}:
        iou = students[soft].iou
        if iou is not None:
            right.axhline(iou, color=OWN_COLOR, ls="--", lw=1, label="soft labels")
            right.legend()
    right.set_title("mean IoU of students, percent")
    for ax in (left, right):
        ax.set_xlabel("threshold")
    return Drawing(
        "labels_by_threshold",
        figure,
        "Labels and students against the threshold",
        "Coverage: pixels with a class. Accuracy: those of them that have the true one."
        + (f" Bars: one standard deviation over {seeds} seeds." if seeds > 1 else " One seed."),
    )


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
