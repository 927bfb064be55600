"""Labels that teachers made: what MLflow knows of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports.columns import Problems
from reports.store import RunStore


@dataclass(frozen=True)
class LabelSet:
    """The labels that one row's training saw, for one seed.

    Attributes:
        row: the row.
        seed: the seed.
        extra: the row's ``bench.config.ExtraData`` without the teacher.
        run_id: MLflow run of the labels.
        manifest: its manifest.json.
    """

    row: str
    seed: int
    extra: dict[str, Any]
    run_id: str
    manifest: dict[str, Any]

    @property
    def soft(self) -> bool:
        """Whether they are probabilities."""
        return bool(self.extra["labels"] == "soft")


def read_labels(store: RunStore, plan: Mapping[str, Any], problems: Problems) -> list[LabelSet]:
    """The label sets of a sweep run's rows, in the table's order; what is missing is a problem."""
    found = []
    for row in plan["rows"]:
        for seed, identity in zip(plan["seeds"], row.get("label_sets", ()), strict=False):
            if identity is None:
                continue
            run = store.training(identity)
            manifest = store.read_json(run.info.run_id, "manifest.json") if run else None
            if run is None or manifest is None:
                problems.note(f"row {row['name']}, seed {seed}: no labels of its teacher")
                continue
            found.append(LabelSet(row["name"], seed, row["extra"], run.info.run_id, manifest))
    return found
