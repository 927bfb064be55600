"""Declared columns: which key of which MLflow source a frame's column reads, and its type.

Strict reading raises on the first problem; lenient reading collects problems and leaves the
value missing, so that a table with a failed or missing row still prints and says so.

Sources: ``plan`` a row of the parent's plan.json; ``metric``, ``param`` and ``tag`` of a run;
``run`` its id, status and start; ``training`` and ``evaluation`` of cost.json; ``class`` a row
of an IoU table. In a key, ``{evaluation}`` stands for the name of the row's evaluation; ``.*``
at the end collects all keys of that prefix.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.errors import BenchError

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
    Column("boundary_iou", "metric", "boundary/{evaluation}", float),
    Column("small_iou", "metric", "small/{evaluation}", float),
    Column("medium_iou", "metric", "medium/{evaluation}", float),
    Column("large_iou", "metric", "large/{evaluation}", float),
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
            wanted = f"{column.source} {key!r} for column {column.name!r}"
            problems.note(f"{where}: no {wanted if source else f'{column.source} record'}")
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
        column.name: [read_value(column, record, where, problems) for where, record in records]
        for column in columns
    }
    dtypes = {column.name: DTYPES[column.kind] for column in columns}
    return pd.DataFrame(content).astype(dtypes)
