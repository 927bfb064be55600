"""One self-contained HTML page: everything inline, nothing fetched, every name escaped."""

import base64
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.columns import PROVENANCE_COLUMNS
from reports.figures import Drawing
from reports.formats import Report
from reports.summary import class_names, thin_classes

MEDIA_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}


def render_page(report: Report, drawings: list[tuple[Drawing, Path]]) -> str:
    """The page as text.

    Args:
        report: what it shows.
        drawings: figures, each with the image file that goes in.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    frames = report.frames
    return environment.get_template("page.html.j2").render(
        report=report,
        plan=frames.plan,
        parent=frames.parent,
        problems=frames.problems,
        figures=[
            {"title": each.title, "caption": each.caption, "data": embed(path)}
            for each, path in drawings
        ],
        classes=class_table(report),
        runs=[run_details(run) for _, run in frames.provenance.iterrows()],
    )


def embed(path: Path) -> str:
    """An image file as a data URI."""
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:{MEDIA_TYPES[path.suffix]};base64,{content}"


def class_table(report: Report) -> dict[str, Any]:
    """IoU of every class and row, means over seeds, with the best of each class marked."""
    classes = report.frames.classes
    if classes.empty:
        return {"rows": [], "lines": []}
    table = classes.pivot_table(index="class", columns="row", values="iou", sort=False)
    rows = [row for row in report.rows if row.row in table.columns]
    thin = set(thin_classes(report.frames))
    lines = []
    for name in class_names(report.frames):
        values = [table[row.row].get(name, float("nan")) for row in rows]
        best = max((value for value in values if not pd.isna(value)), default=None)
        cells = [
            {"text": "absent" if pd.isna(value) else f"{value:.1f}", "best": value == best}
            for value in values
        ]
        lines.append({"name": name, "thin": name in thin, "cells": cells})
    return {"rows": [row.display for row in rows], "lines": lines}


def run_details(run: pd.Series) -> dict[str, Any]:
    """Where a run's numbers come from, as pairs of words and values."""
    known = {
        column.name: run[column.name]
        for column in PROVENANCE_COLUMNS
        if not pd.isna(run[column.name])
    }
    if known.pop("dirty", "False") == "True":
        known["commit"] = f"{known['commit']}, with local changes"
    if "train_seconds" in known:
        known["train_seconds"] = f"{known['train_seconds']:.1f}"
    kind, title = known.pop("kind"), known.pop("name", known["run_id"])
    name = kind if kind == title else f"{kind}: {title}"
    return {"name": name, "items": [(key.replace("_", " "), value) for key, value in known.items()]}
