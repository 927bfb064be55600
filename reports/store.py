"""What reports read of MLflow: runs, curves and artifacts; nothing is written."""

import json
import logging
import os
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.errors import BenchError

Run = Any
"""An MLflow run; MLflow is imported late, it takes a second."""


class RunStore:
    """One experiment of an MLflow store, read only.

    Args:
        sweep: the experiment's name.

    Raises:
        BenchError: the store can't be read, or has no such experiment.
    """

    def __init__(self, sweep: str) -> None:
        self.sweep = sweep
        self.client, self.uri = open_client()
        found = self.client.get_experiment_by_name(sweep)
        if found is None:
            known = ", ".join(sweep_names()) or "none"
            raise BenchError(
                f"MLflow has no sweep {sweep!r}; known: {known}; "
                f"run python -m bench.sweep {sweep} first, or set MLFLOW_TRACKING_URI"
            )
        self.experiment = found.experiment_id
        self._folder = TemporaryDirectory(prefix="scalebench-report-")

    def sweep_runs(self) -> list[Run]:
        """Parent runs, the newest first, finished ones before all others."""
        runs = [run for run in self._runs if run.data.tags.get("kind") == "sweep"]
        return sorted(runs, key=lambda run: run.info.status != "FINISHED")

    def parent(self, run_id: str | None, profile: str | None = None) -> tuple[Run, dict[str, Any]]:
        """A sweep run and its plan: the one whose id starts so, or the newest that has a plan.

        Raises:
            BenchError: there is none.
        """
        candidates = self.sweep_runs()
        if run_id:
            candidates = [run for run in candidates if run.info.run_id.startswith(run_id)]
        if profile:
            candidates = [run for run in candidates if run.data.tags.get("profile") == profile]
        for run in candidates:
            plan = self.read_json(run.info.run_id, "plan.json")
            if plan is not None:
                return run, plan
        wanted = f"run {run_id}" if run_id else f"run of profile {profile}" if profile else "run"
        raise BenchError(
            f"sweep {self.sweep} has no {wanted} with a plan.json; "
            f"python -m reports {self.sweep} --list shows what there is"
        )

    def training(self, identity: str) -> Run | None:
        """The newest run of a training of any sweep, finished ones first."""
        found = self.client.search_runs(
            [each.experiment_id for each in self.client.search_experiments()],
            f"tags.identity = '{identity}'",
            order_by=["attributes.start_time DESC"],
        )
        finished = [run for run in found if run.info.status == "FINISHED"]
        return next(iter(finished + found), None)

    def costs(self, parent: Run, rows: set[str]) -> tuple[Run, dict[str, Any]] | None:
        """The cost measurement of a sweep run: its own, or the newest one that it reused."""
        tags = parent.data.tags
        profiles = {run.info.run_id: run.data.tags.get("profile") for run in self.sweep_runs()}

        def nearness(run: Run) -> int:
            owner = run.data.tags.get("mlflow.parentRunId")
            if owner == parent.info.run_id:
                return 0
            if run.data.tags["identity"] == tags.get("cost"):
                return 1
            return 2 if profiles.get(owner) == tags.get("profile") else 3

        runs = [
            run
            for run in self._runs
            if run.data.tags.get("kind") == "cost" and run.info.status == "FINISHED"
        ]
        for run in sorted(runs, key=nearness):
            report = self.read_json(run.info.run_id, "cost.json") if nearness(run) < 3 else None
            if report is not None and rows <= set(report.get("evaluations", {})):
                return run, report
        return None

    def curve(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """Steps and values of a metric, in order; a step logged twice keeps its last value."""
        history = self.client.get_metric_history(run_id, metric)
        ordered = sorted(history, key=lambda point: (point.step, point.timestamp))
        return sorted({point.step: point.value for point in ordered}.items())

    def fetch(self, run_id: str, path: str) -> Path | None:
        """A local copy of an artifact, or ``None`` where the run has no such artifact."""
        import mlflow

        target = Path(self._folder.name) / run_id
        target.mkdir(exist_ok=True)
        if (target / path).exists():
            return target / path
        try:
            return Path(
                mlflow.artifacts.download_artifacts(
                    run_id=run_id, artifact_path=path, dst_path=str(target), tracking_uri=self.uri
                )
            )
        except Exception:
            return None

    def read_json(self, run_id: str, path: str) -> dict[str, Any] | None:
        """A JSON artifact, or ``None`` where it is missing or damaged."""
        file = self.fetch(run_id, path)
        try:
            content = json.loads(file.read_text()) if file else None
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    @cached_property
    def _runs(self) -> list[Run]:
        runs: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment], order_by=["attributes.start_time DESC"], page_token=token
            )
            runs += page
            token = page.token
            if not token:
                return runs


def sweep_names() -> list[str]:
    """Names of the experiments of the store, which are those of the sweeps that ran."""
    client, _ = open_client()
    return sorted(each.name for each in client.search_experiments() if each.name != "Default")


def open_client() -> tuple[Any, str]:
    """An MLflow client of the configured store, and the store's address.

    Raises:
        BenchError: the store is not there or does not answer.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    uri = mlflow.get_tracking_uri()
    mend = "run in the folder of mlflow.db, or set MLFLOW_TRACKING_URI"
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        raise BenchError(f"no MLflow store at {uri}: {mend}")
    try:
        client = mlflow.MlflowClient()
        client.search_experiments(max_results=1)
    except Exception as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise BenchError(f"the MLflow store can't be read ({reason}): {mend}") from error
    return client, uri
