"""From MLflow to typed frames, through declared columns.

A column says which key of which source it reads, its type and whether it must be there. Strict
reading raises on the first problem; lenient reading returns the frames with a list of problems,
so that a table with a failed or missing row still prints and says so.

Sources: ``plan`` a row of the parent's plan.json; ``metric``, ``param`` and ``tag`` of a run;
``run`` its id, status and start; ``training`` and ``evaluation`` of cost.json; ``class`` a row
of an IoU table. In a key, ``{evaluation}`` stands for the name of the row's evaluation; ``.*``
at the end collects all keys of that prefix.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.errors import BenchError
from reports.store import Run, RunStore

Record = Mapping[str, Mapping[str, Any]]
"""Source -> key -> value, what the columns of one frame row are read from."""


@dataclass(frozen=True)
class Column:
    """One declared column: name, source and key, type, and whether a value must be there."""

    name: str
    source: str
    key: str
    kind: type
    required: bool = False


DTYPES = {float: "float64", int: "Int64", str: "string", bool: "boolean", list: "object"}

ROW_COLUMNS = (
    Column("row", "plan", "name", str, required=True),
    Column("label", "plan", "label", str, required=True),
    Column("strategy", "plan", "strategy", str, required=True),
    Column("train_scales", "plan", "train_scales", list, required=True),
    Column("eval_scales", "plan", "eval_scales", list, required=True),
    Column("evaluation", "plan", "evaluation", str, required=True),
    Column("published_iou", "plan", "published.iou", float),
    Column("published_cost", "plan", "published.cost", float),
    Column("published_minibatch", "plan", "published.minibatch", float),
    Column("article_gmacs", "training", "article_gmacs", float, required=True),
    Column("gmacs", "training", "gmacs", float, required=True),
    Column("minibatch", "training", "minibatch", float, required=True),
    Column("peak_mib", "training", "peak_mib", float, required=True),
    Column("parameters", "training", "parameters", int),
    Column("eval_gmacs", "evaluation", "gmacs", float, required=True),
    Column("eval_seconds", "evaluation", "seconds", float, required=True),
)

RUN_COLUMNS = (
    Column("iou", "metric", "miou/{evaluation}", float, required=True),
    Column("thin_iou", "metric", "thin/{evaluation}", float),
    Column("train_seconds", "metric", "train_seconds", float),
    Column("run_id", "run", "id", str, required=True),
    Column("status", "run", "status", str, required=True),
    Column("reason", "tag", "reason", str),
)

PROVENANCE_COLUMNS = (
    Column("run_id", "run", "id", str, required=True),
    Column("name", "run", "name", str),
    Column("kind", "tag", "kind", str, required=True),
    Column("status", "run", "status", str, required=True),
    Column("date", "run", "date", str, required=True),
    Column("seed", "param", "seed", int),
    Column("commit", "tag", "commit", str, required=True),
    Column("dirty", "tag", "dirty", str),
    Column("command", "tag", "command", str),
    Column("machine", "tag", "machine", str),
    Column("host", "tag", "host", str),
    Column("precision", "tag", "precision", str),
    Column("threads", "param", "threads", int),
    Column("train_seconds", "metric", "train_seconds", float),
    Column("python", "tag", "python", str),
    Column("packages", "tag", "package.*", str),
    Column("fingerprints", "tag", "fingerprint.*", str),
)

CLASS_COLUMNS = (
    Column("class", "class", "class", str, required=True),
    Column("iou", "class", "iou", float),
    Column("thin", "class", "thin", bool),
    Column("truth_pixels", "class", "truth_pixels", int),
    Column("images", "class", "images", int),
)

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
    problems: list[str] = field(default_factory=list)


class Problems(list[str]):
    """Collects problems; when strict, the first one raises."""

    def __init__(self, strict: bool) -> None:
        super().__init__()
        self.strict = strict

    def note(self, problem: str) -> None:
        """Keep a problem once."""
        if self.strict:
            raise BenchError(problem)
        if problem not in self:
            self.append(problem)


def read_value(column: Column, record: Record, where: str, problems: Problems) -> Any:
    """One value through its column; missing and unreadable values are ``None``."""
    source = record.get(column.source, {})
    key = column.key.format(**record.get("names", {}))
    if key.endswith(".*"):
        prefix = key[:-1]
        found = {k.removeprefix(prefix): v for k, v in source.items() if k.startswith(prefix)}
        return ", ".join(f"{name} {value}" for name, value in sorted(found.items())) or None
    value = source.get(key)
    if value is None:
        if column.required:
            problems.note(f"{where}: no {column.source} {key!r} for column {column.name!r}")
        return None
    try:
        return value if isinstance(value, column.kind) else column.kind(value)
    except (TypeError, ValueError):
        problems.note(f"{where}: {column.source} {key!r} is {value!r}, not {column.kind.__name__}")
        return None


def make_frame(
    columns: Sequence[Column], records: Sequence[tuple[str, Record]], problems: Problems
) -> pd.DataFrame:
    """A typed frame with one line a record, named for its problems."""
    content = {
        column.name: pd.array(
            [read_value(column, record, where, problems) for where, record in records],
            dtype=DTYPES[column.kind],
        )
        for column in columns
    }
    return pd.DataFrame(content)


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
    trainings = {
        identity: store.training(identity) for row in plan["rows"] for identity in row["trainings"]
    }
    runs = _run_frame(plan, trainings, problems)
    provenance = [parent, *filter(None, trainings.values()), *([found[0]] if found else [])]
    frames = Frames(
        plan=plan,
        parent=parent.info.run_id,
        rows=make_frame(ROW_COLUMNS, [_row_record(row, cost) for row in plan["rows"]], problems),
        runs=runs,
        classes=pd.DataFrame(),
        curves=_curves(store, runs),
        provenance=make_frame(
            PROVENANCE_COLUMNS, [_run_record(run, {}) for run in provenance], problems
        ),
        costs={k: v for k, v in cost.items() if k not in ("trainings", "evaluations")},
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
    plan: Mapping[str, Any], trainings: Mapping[str, Run | None], problems: Problems
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
        (run.row, run.seed, curve, step, value)
        for run in runs.dropna(subset="run_id").itertuples()
        for curve, history in histories[run.run_id].items()
        for step, value in history
    ]
    columns = {"row": "string", "seed": "int64", "curve": "string", "step": "int64"}
    frame = pd.DataFrame(points, columns=[*columns, "value"])
    return frame.astype({**columns, "value": "float64"})


def _read_evaluations(store: RunStore, frames: Frames, problems: Problems) -> None:
    """Fill in per-class IoU and pixel counts of every measured row and seed."""
    evaluations = {row["name"]: row["evaluation"] for row in frames.plan["rows"]}
    tables = []
    for run in frames.runs[frames.runs["state"] == "measured"].itertuples():
        name, where = evaluations[run.row], f"row {run.row}, seed {run.seed}"
        table = store.read_json(run.run_id, f"iou/{name}.json")
        if table is None:
            problems.note(f"{where}: no IoU table iou/{name}.json")
        else:
            lines = [dict(zip(table["columns"], line, strict=True)) for line in table["data"]]
            last = {line["class"]: line for line in lines}
            records = [(where, {"class": line}) for line in last.values()]
            frame = make_frame(CLASS_COLUMNS, records, problems)
            tables.append(frame.assign(row=run.row, seed=run.seed))
        path = store.fetch(run.run_id, f"evaluations/{name}.npz")
        if path is None:
            problems.note(f"{where}: no pixel counts evaluations/{name}.npz")
            continue
        with np.load(path) as content:
            frames.counts[run.row, run.seed] = content["counts"]
            frames.images[run.row] = content["ids"].tolist()
    if tables:
        frames.classes = pd.concat(tables, ignore_index=True)
