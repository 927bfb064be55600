"""The scores of an evaluation, per class and in sum: printed, as CSV and as JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.datasets import SegmentationDataset
from bench.errors import BenchError
from bench.inference import EvalResult
from bench.metrics import class_iou
from bench.regions import SIZES


@dataclass(frozen=True)
class Scores:
    """IoU in percent; what has no pixels in truth and prediction is ``None``.

    Attributes:
        mean_iou: over the classes, as the data sets' own evaluators take it.
        boundary_iou: mean of the classes' boundary IoU.
        thin_iou: mean over the classes of thin structures.
        size_iou: size -> mean over the classes of the IoU of objects of that size.
        classes: a row a class.
    """

    mean_iou: float | None
    boundary_iou: float | None
    thin_iou: float | None
    size_iou: dict[str, float | None]
    classes: pd.DataFrame


def summarise(result: EvalResult, dataset: SegmentationDataset) -> Scores:
    """Divide the counts of a split. Without any labelled pixel, everything is ``None``."""
    thin = np.isin(dataset.classes, dataset.thin)
    table = pd.DataFrame(
        {
            "class": dataset.classes,
            "thin": thin,
            "iou": class_iou(result.counts.sum(0)),
            "boundary_iou": class_iou(result.boundary.sum(0)),
            **dict(zip(SIZES, class_iou(result.sizes.sum(0)), strict=True)),
            "truth_pixels": result.counts[:, 1].sum(0),
        }
    )
    return Scores(
        _mean(table.iou),
        _mean(table.boundary_iou),
        _mean(table.iou[thin]),
        {size: _mean(table[size]) for size in SIZES},
        table,
    )


def print_scores(summary: dict[str, Any], scores: Scores) -> None:
    """Print what was evaluated, the means and the table of classes."""
    console = Console(highlight=False, soft_wrap=True)
    scales = ", ".join(f"{scale:g}" for scale in summary["scales"])
    console.print(
        f"{summary['checkpoint']}: {summary['strategy']}, scales {scales}"
        f"{', with the mirror image' if summary['flip'] else ''}, {summary['precision']}\n"
        f"{summary['dataset']} {summary['split']}, {summary['images']} images "
        f"in {summary['seconds']:.1f} s"
    )
    if banded := summary["banded_scales"]:
        console.print(
            f"Images too large at scale {', '.join(f'{scale:g}' for scale in banded)} were run in "
            "bands: near the result of whole images, not equal to it (--band-pixels 0 runs them "
            "whole)."
        )
    if scores.mean_iou is None:
        console.print("No labelled pixel: nothing to compare with.")
        return
    sizes = ", ".join(f"{size} {_text(iou)}" for size, iou in scores.size_iou.items())
    console.print(
        f"mean IoU {_text(scores.mean_iou)}, boundary IoU {_text(scores.boundary_iou)}, "
        f"thin structures {_text(scores.thin_iou)}; objects: {sizes}\n"
    )
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("class", "IoU", "boundary", *SIZES, "% of pixels"):
        table.add_column(column, justify="left" if column == "class" else "right")
    total = int(scores.classes.truth_pixels.sum())
    for row in scores.classes.to_dict("records"):
        name = f"{row['class']} (thin)" if row["thin"] else row["class"]
        values = [row[column] for column in ("iou", "boundary_iou", *SIZES)]
        share = 100 * int(row["truth_pixels"]) / total
        table.add_row(name, *map(_text, values), f"{share:.2f}")
    console.print(table)


def write_scores(folder: Path, summary: dict[str, Any], scores: Scores) -> None:
    """Write ``classes.csv`` and ``summary.json``.

    Raises:
        BenchError: the folder can't be written.
    """
    means = {key: value for key, value in asdict(scores).items() if key != "classes"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scores.classes.round(4).to_csv(folder / "classes.csv", index=False)
        text = json.dumps({**summary, **means}, indent=2)
        (folder / "summary.json").write_text(text + "\n")
    except OSError as error:
        raise BenchError(
            f"--out {folder}: can't be written ({error.strerror}): choose another folder"
        ) from error


def _mean(values: "NDArray[np.float64] | pd.Series") -> float | None:
    """Mean of the values that there are, or ``None``."""
    present = np.asarray(values, float)
    present = present[~np.isnan(present)]
    return float(present.mean()) if present.size else None


def _text(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{value:.2f}"
