"""The only writer to MLflow: sweeps, trainings, curves, IoU tables, artifacts, provenance.

One experiment a sweep, one parent run an invocation, a child run a training and one for the
measured costs. A child run's tag ``identity`` says which training it is; later invocations find
it by that and reuse it, whichever sweep it belongs to. The parent's ``plan.json`` says which rows
use which trainings.
"""

import logging
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

from bench.config import TrainingConfig
from bench.cost import CostReport
from bench.errors import BenchError
from bench.metrics import class_iou, mean_iou
from bench.plan import Plan, PlannedTraining
from bench.regions import SIZES
from bench.serving import log_network
from bench.train import Progress

PACKAGES = ("torch", "torchvision", "timm", "ray", "mlflow", "fvcore", "numpy", "pillow")
SPEED_KEYS = ("network.trunk", "network.decoder", "precision", "device")
"""Parameters by which a training's speed is judged from earlier ones."""


class Store:
    """An MLflow experiment, by default in the SQLite file of the current folder.

    Args:
        experiment: the sweep's name.

    Raises:
        BenchError: the store can't be reached or written.
    """

    def __init__(self, experiment: str) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self.uri = mlflow.get_tracking_uri()
        try:
            self.client = MlflowClient()
            found = self.client.get_experiment_by_name(experiment)
            self.experiment_id = (
                found.experiment_id if found else self.client.create_experiment(experiment)
            )
        except Exception as error:
            raise BenchError(
                f"MLflow store {self.uri} can't be used ({_first_line(error)}): start the server, "
                "set MLFLOW_TRACKING_URI, or run in a folder that can be written"
            ) from error

    def find(self, identity: str) -> Run | None:
        """The newest run of a training or cost measurement of any sweep, finished ones first."""
        runs = self.client.search_runs(
            self._experiments(),
            f"tags.identity = '{identity}'",
            order_by=["attributes.start_time DESC"],
        )
        finished = [run for run in runs if run.info.status == "FINISHED"]
        return next(iter(finished + runs), None)

    def recognise(self, plan: Plan) -> None:
        """Fill in what earlier invocations left: finished trainings and checkpoints."""
        for training in plan.trainings:
            run = self.find(training.identity)
            if run is None:
                continue
            training.evaluated = {
                rule.name
                for rule in training.evaluations
                if f"miou/{rule.name}" in run.data.metrics
                and run.data.tags.get(f"fingerprint.{rule.split}") == plan.fingerprints[rule.split]
            }
            training.run_id = run.info.run_id
            training.resume = run.data.tags.get("checkpoint")
            if run.info.status == "FINISHED":
                training.state = "evaluate" if training.remaining else "done"
            elif training.resume:
                training.state = "continue"

    def estimate(self, plan: Plan, at_once: int) -> float | None:
        """Seconds that the pending trainings take, judged by earlier ones in the store.

        Returns:
            ``None`` where a pending one's network, precision and device were not trained yet.
        """
        runs = self.client.search_runs(
            self._experiments(), "tags.kind = 'training' and attributes.status = 'FINISHED'"
        )
        speeds: dict[tuple[str | None, ...], list[float]] = {}
        for run in runs:
            kind = tuple(run.data.params.get(key) for key in SPEED_KEYS)
            seconds, cost = run.data.metrics["train_seconds"], run.data.tags["relative_cost"]
            speeds.setdefault(kind, []).append(seconds / float(cost))
        costs = []
        for training in plan.pending:
            params = flatten(training.config.model_dump(mode="json"))
            kind = tuple(str(params[key]) for key in SPEED_KEYS)
            if kind not in speeds:
                return None
            costs.append(training.relative_cost * median(speeds[kind]))
        return max(max(costs), sum(costs) / at_once) if costs else None

    def begin_sweep(self, plan: Plan, cost: str) -> str:
        """Open the parent run of an invocation, whose costs have the identity ``cost``."""
        run_id = self._create_run(
            f"{plan.sweep.name} {plan.profile_name}",
            {"kind": "sweep", "profile": plan.profile_name, "cost": cost, **provenance()},
        )
        rows = [
            {
                "name": row.name,
                "label": row.label,
                "evaluation": plan.evaluation(row).name,
                "strategy": row.strategy,
                "train_scales": row.training.train_scales,
                "eval_scales": row.eval_scales,
                "published": row.published,
                "trainings": [plan.training_of(row, seed).identity for seed in plan.seeds],
                "extra": _describe_extra(row.training),
                "label_sets": [plan.training_of(row, seed).label_set for seed in plan.seeds],
            }
            for row in plan.rows
        ]
        content = {
            "sweep": plan.sweep.name,
            "title": plan.sweep.title,
            "source": plan.sweep.source,
            "baseline": plan.sweep.baseline,
            "profile": plan.profile_name,
            "summary": plan.profile.summary,
            "dataset": plan.profile.base.data.dataset,
            "split": plan.profile.split,
            "seeds": plan.seeds,
            "costs_of": plan.sweep.costs_of,
            "unavailable": plan.unavailable,
            "rows": rows,
            "rivals": [asdict(rival) for rival in plan.sweep.rivals],
        }
        self.client.log_dict(run_id, content, "plan.json")
        return run_id

    def end_sweep(self, run_id: str, status: str, tags: dict[str, str]) -> None:
        """Close the parent run as FINISHED, FAILED or KILLED."""
        for key, value in tags.items():
            self.client.set_tag(run_id, key, value)
        self.client.set_terminated(run_id, status)

    def begin_training(self, parent: str, plan: Plan, training: PlannedTraining) -> str:
        """Open a training's run, or reopen the one that was interrupted."""
        if training.run_id is not None:
            self.client.update_run(training.run_id, status="RUNNING")
            return training.run_id
        run_id = self._create_run(
            training.label,
            {
                "kind": "training",
                "identity": training.identity,
                "relative_cost": str(training.relative_cost),
                "mlflow.parentRunId": parent,
                **{f"fingerprint.{split}": value for split, value in plan.fingerprints.items()},
                **provenance(),
            },
        )
        content = training.config.model_dump(mode="json")
        if training.teacher:
            content["data"]["extra"]["teacher"] = training.teacher
        params = flatten(content)
        self.client.log_batch(
            run_id, params=[Param(key, str(value)) for key, value in params.items()]
        )
        training.run_id = run_id
        return run_id

    def log_progress(self, run_id: str, progress: Progress) -> None:
        """Add a point to the curves of a training."""
        now = int(time.time() * 1000)
        metrics = [
            Metric(key, float(value), now, progress.step) for key, value in progress.metrics.items()
        ]
        if metrics:
            self.client.log_batch(run_id, metrics=metrics)

    def note_checkpoint(self, run_id: str, uri: str) -> None:
        """Remember where the latest checkpoint is, for a later invocation."""
        self.client.set_tag(run_id, "checkpoint", uri)

    def finish_training(self, run_id: str, plan: Plan, folder: Path) -> None:
        """Log the results of a finished trial and close its run."""
        import torch

        model = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
        self._log_evaluations(run_id, folder, model["classes"], model["thin"])
        self.client.log_artifacts(run_id, str(folder))
        log_network(self.client, run_id, folder / "model.pt", model["config"]["train_scales"])
        tags = {f"fingerprint.{split}": value for split, value in plan.fingerprints.items()}
        tags |= {"machine": model["machine"], "precision": model["precision"]}
        self.client.log_batch(
            run_id,
            metrics=[Metric("train_seconds", model["train_seconds"], int(time.time() * 1000), 0)],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        self.client.set_terminated(run_id, "FINISHED")

    def fail_training(self, run_id: str, reason: str) -> None:
        """Close a training's run as failed, with the reason."""
        self.client.set_tag(run_id, "reason", reason)
        self.client.set_terminated(run_id, "FAILED")

    def log_cost(self, parent: str, identity: str, report: CostReport) -> None:
        """Log the measured costs as a run of their own."""
        run_id = self._create_run(
            "cost",
            {
                "kind": "cost",
                "identity": identity,
                "mlflow.parentRunId": parent,
                **provenance(),
            },
        )
        self.client.log_dict(run_id, report.model_dump(mode="json"), "cost.json")
        self.client.set_terminated(run_id, "FINISHED")

    def log_labels(
        self, parent: str, identity: str, manifest: dict[str, Any], folder: Path
    ) -> None:
        """Log what a teacher's labels are, with the files of ``folder``, as a run of their own."""
        tags = {"kind": "labels", "identity": identity, "mlflow.parentRunId": parent}
        run_id = self._create_run("labels", {**tags, **provenance()})
        for key in ("coverage", "accuracy", "bytes"):
            if manifest[key] is not None:
                self.client.log_metric(run_id, key, manifest[key])
        self.client.log_dict(run_id, manifest, "manifest.json")
        self.client.log_artifacts(run_id, str(folder))
        self.client.set_terminated(run_id, "FINISHED")

    def log_report(self, parent: str, folder: Path) -> None:
        """Keep the generated report beside the runs that it was made from."""
        self.client.log_artifacts(parent, str(folder), "report")

    def download_model(self, run_id: str, folder: Path) -> Path:
        """Fetch a finished training's network, to evaluate it by a new rule."""
        folder.mkdir(parents=True, exist_ok=True)
        self.client.download_artifacts(run_id, "model.pt", str(folder))
        return folder

    def _experiments(self) -> list[str]:
        return [each.experiment_id for each in self.client.search_experiments()]

    def _create_run(self, name: str, tags: dict[str, str]) -> str:
        return self.client.create_run(self.experiment_id, run_name=name, tags=tags).info.run_id

    def _log_evaluations(
        self, run_id: str, folder: Path, classes: list[str], thin: list[str]
    ) -> None:
        for path in sorted((folder / "evaluations").glob("*.npz")):
            arrays = np.load(path)
            counts = arrays["counts"]
            table = pd.DataFrame(
                {
                    "class": classes,
                    "thin": [each in thin for each in classes],
                    "iou": class_iou(counts.sum(0)).round(4),
                    "truth_pixels": counts[:, 1].sum(0),
                    "images": (counts[:, 1] > 0).sum(0),
                }
            )
            self.client.log_table(run_id, table, f"iou/{path.stem}.json")
            self.client.log_metric(run_id, f"miou/{path.stem}", mean_iou(counts))
            thin_iou = table.iou[table.thin]
            if thin_iou.notna().any():
                self.client.log_metric(run_id, f"thin/{path.stem}", thin_iou.mean())
            regions = {"boundary": arrays["boundary"].sum(0)}
            regions |= dict(zip(SIZES, arrays["sizes"].sum(0), strict=True))
            for name, each in regions.items():
                if not np.isnan(iou := class_iou(each)).all():
                    self.client.log_metric(run_id, f"{name}/{path.stem}", float(np.nanmean(iou)))


def _describe_extra(config: TrainingConfig) -> dict[str, Any] | None:
    """What a report says of a row's extra images."""
    extra = config.data.extra
    return extra.model_dump(mode="json", exclude={"teacher"}) if extra else None


def provenance() -> dict[str, str]:
    """Code, packages, command and machine that a run comes from, as tags."""
    tags = {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "host": f"{platform.node()}, {os.cpu_count()} cores, {platform.machine()}",
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            tags[f"package.{package}"] = version(package)
        except PackageNotFoundError:
            tags[f"package.{package}"] = "not installed"
    root = Path(__file__).resolve().parent.parent
    tags["commit"] = _git(root, "rev-parse", "HEAD") or "not a git checkout"
    tags["dirty"] = str(bool(_git(root, "status", "--porcelain")))
    return tags


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _git(root: Path, *arguments: str) -> str:
    try:
        result = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:200]
