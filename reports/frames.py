"""Everything that reports show of one sweep run, read from MLflow into typed frames."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.columns import (
    CLASS_COLUMNS,
    PROVENANCE_COLUMNS,
    ROW_COLUMNS,
    RUN_COLUMNS,
    Problems,
    Record,
    make_frame,
)
from reports.labels import LabelSet, read_labels
from reports.store import Run, RunStore

CURVES = {"loss": "loss", "val_miou": "val_miou"}
"""Curve -> MLflow metric."""


@dataclass
class Frames:
    """Everything of one sweep run that reports show.

    Attributes:
        plan: the parent's plan.json.
        parent: the parent's id.
        rows: one line a row: declaration, published values and measured costs.
        runs: one line a row and seed: ``state`` (measured, failed, not measured) and results.
        classes: one line a row, seed and class.
        curves: one line a point: row, seed, curve, step, value; rows share trainings.
        provenance: one line a run, the parent's first.
        costs: device, precision, batch and crop of the cost measurement; empty without one.
        counts: row and seed -> N x 3 x K pixel counts.
        images: row -> the N image ids.
        labels: labels that teachers made for the rows' trainings.
        problems: what is missing or wrong.
    """

    plan: dict[str, Any]
    parent: str
    rows: pd.DataFrame
    runs: pd.DataFrame
    classes: pd.DataFrame
    curves: pd.DataFrame
    provenance: pd.DataFrame
    costs: dict[str, Any] = field(default_factory=dict)
    counts: dict[tuple[str, int], NDArray[np.int64]] = field(default_factory=dict)
    images: dict[str, list[str]] = field(default_factory=dict)
    labels: list[LabelSet] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def load_frames(
    store: RunStore, run_id: str | None = None, profile: str | None = None, strict: bool = False
) -> Frames:
    """Read one sweep run and everything that its rows refer to.

    Args:
        store: the experiment.
        run_id: the parent run; by default the newest finished one with a plan.
        profile: take the newest run of this profile.
        strict: raise on the first problem instead of listing them all.

    Raises:
        BenchError: no such run or, when strict, a problem.
    """
    problems = Problems(strict)
    parent, plan = store.parent(run_id, profile)
    names = {row["name"] for row in plan["rows"]}
    found = store.costs(parent, names)
    if found is None:
        problems.note("costs: not measured")
    cost = found[1] if found else {}
    row_problems = problems if found else Problems(strict=False)
    trainings = {
        identity: store.training(identity) for row in plan["rows"] for identity in row["trainings"]
    }
    runs = _run_frame(plan, trainings, problems)
    provenance = [parent, *filter(None, trainings.values()), *([found[0]] if found else [])]
    frames = Frames(
        plan=plan,
        parent=parent.info.run_id,
        rows=make_frame(
            ROW_COLUMNS, [_row_record(row, cost) for row in plan["rows"]], row_problems
        ),
        runs=runs,
        classes=_class_frame([], problems),
        curves=_curves(store, runs),
        provenance=make_frame(
            PROVENANCE_COLUMNS, [_run_record(run, {}) for run in provenance], problems
        ),
        costs={k: v for k, v in cost.items() if k not in ("trainings", "evaluations")},
        labels=read_labels(store, plan, problems),
        problems=problems,
    )
    _read_evaluations(store, frames, problems)
    return frames


def _row_record(row: Mapping[str, Any], cost: Mapping[str, Any]) -> tuple[str, Record]:
    published = {f"published.{key}": value for key, value in row.get("published", {}).items()}
    evaluation = cost.get("evaluations", {}).get(row["name"], {})
    training = cost.get("trainings", {}).get(evaluation.get("training"), {})
    record = {"plan": {**row, **published}, "evaluation": evaluation, "training": training}
    return f"row {row['name']}", record


def _run_record(run: Run, names: Mapping[str, str]) -> tuple[str, Record]:
    started = datetime.fromtimestamp(run.info.start_time / 1000, timezone.utc)
    record = {
        "run": {
            "id": run.info.run_id,
            "name": run.info.run_name,
            "status": run.info.status,
            "date": started.strftime("%Y-%m-%d %H:%M UTC"),
        },
        "metric": run.data.metrics,
        "param": run.data.params,
        "tag": run.data.tags,
        "names": names,
    }
    return f"run {run.info.run_name} {run.info.run_id[:8]}", record


def _run_frame(
    plan: Mapping[str, Any], trainings: Mapping[str, Run], problems: Problems
) -> pd.DataFrame:
    """One line a row and seed, with its state and what the training's run says of it."""
    heads, records = [], []
    for row in plan["rows"]:
        for seed, identity in zip(plan["seeds"], row["trainings"], strict=True):
            run, where = trainings[identity], f"row {row['name']}, seed {seed}"
            state = "not measured"
            if run is not None and f"miou/{row['evaluation']}" in run.data.metrics:
                state = "measured"
            elif run is not None and run.info.status == "FAILED":
                state = "failed"
            if state == "failed":
                problems.note(f"{where}: failed: {run.data.tags.get('reason', 'no reason given')}")
            elif state == "not measured":
                status = f"its run is {run.info.status}" if run else "it has no run"
                problems.note(f"{where}: not measured: {status}")
            heads.append({"row": row["name"], "seed": seed, "identity": identity, "state": state})
            names = {"evaluation": row["evaluation"]}
            records.append((where, _run_record(run, names)[1] if run else {"names": names}))
    quiet = Problems(strict=False)
    frame = make_frame(RUN_COLUMNS, records, quiet)
    for problem in quiet if problems.strict else ():
        problems.note(problem)
    head = pd.DataFrame(heads).astype({"row": "string", "identity": "string", "state": "string"})
    return pd.concat([head, frame], axis=1)


def _curves(store: RunStore, runs: pd.DataFrame) -> pd.DataFrame:
    histories = {
        run_id: {name: store.curve(run_id, metric) for name, metric in CURVES.items()}
        for run_id in runs["run_id"].dropna().unique()
    }
    points = [
        (run["row"], run["seed"], curve, step, value)
        for run in runs.dropna(subset="run_id").to_dict("records")
        for curve, history in histories[run["run_id"]].items()
        for step, value in history
    ]
    columns = {"row": "string", "seed": "int64", "curve": "string", "step": "int64"}
    frame = pd.DataFrame(points, columns=[*columns, "value"])
    return frame.astype({**columns, "value": "float64"})


def _read_evaluations(store: RunStore, frames: Frames, problems: Problems) -> None:
    """Fill in per-class IoU and pixel counts of every measured row and seed."""
    evaluations = {row["name"]: row["evaluation"] for row in frames.plan["rows"]}
    measured = frames.runs[frames.runs["state"] == "measured"]
    tables = []
    for run in measured.to_dict("records"):
        row, seed, run_id = run["row"], run["seed"], run["run_id"]
        name, where = evaluations[row], f"row {row}, seed {seed}"
        table = store.read_json(run_id, f"iou/{name}.json")
        if table is None or not {"columns", "data"} <= set(table):
            problems.note(f"{where}: no IoU table iou/{name}.json")
        else:
            lines = [dict(zip(table["columns"], line, strict=True)) for line in table["data"]]
            last = {line["class"]: line for line in lines}
            tables += [(row, seed, line) for line in last.values()]
        path = store.fetch(run_id, f"evaluations/{name}.npz")
        if path is None:
            problems.note(f"{where}: no pixel counts evaluations/{name}.npz")
            continue
        try:
            with np.load(path) as content:
                frames.counts[row, seed] = content["counts"]
                frames.images[row] = content["ids"].tolist()
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            problems.note(f"{where}: evaluations/{name}.npz can't be read: {error}")
    frames.classes = _class_frame(tables, problems)


def _class_frame(lines: list[tuple[str, int, dict[str, Any]]], problems: Problems) -> pd.DataFrame:
    records = [(f"row {row}, seed {seed}", {"class": line}) for row, seed, line in lines]
    heads = pd.DataFrame([line[:2] for line in lines], columns=["row", "seed"])
    heads = heads.astype({"row": "string", "seed": "int64"})
    return pd.concat([heads, make_frame(CLASS_COLUMNS, records, problems)], axis=1)
