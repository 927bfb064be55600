"""One attempt at a trial in a Ray worker: go on from the latest checkpoint, report to Tune."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ray import tune

from bench.config import Evaluation, Runtime, TrainingConfig
from bench.train import Progress
from bench.trial import run_trial


def run_attempt(spec: Mapping[str, Any]) -> None:
    """Run a trial on one device, as ``bench.schedule.run_trainings`` describes it.

    Raises:
        BenchError: something that the user can mend.
    """
    with TemporaryDirectory(prefix="trial-") as scratch:
        folder = Path(scratch)

        def report(progress: Progress) -> None:
            tune.report({"progress": json.dumps(asdict(progress))})

        def hand_over() -> None:
            checkpoint = tune.Checkpoint.from_directory(str(folder))
            seconds = time.monotonic() - started
            tune.report({"progress": None, "seconds": seconds}, checkpoint=checkpoint)

        fetch_earlier_attempt(tune.get_checkpoint(), spec["resume"], folder)
        started = time.monotonic()
        run_spec(spec, folder, report=report, on_checkpoint=hand_over)
        hand_over()


def run_spec(spec: Mapping[str, Any], folder: Path, **hooks: Any) -> None:
    """Call ``run_trial`` with what a specification holds; the hooks are its own."""
    config, runtime = TrainingConfig(**spec["config"]), Runtime(**spec["runtime"])
    evaluations = [Evaluation(**each) for each in spec["evaluations"]]
    run_trial(config, evaluations, runtime, folder, **hooks)


def fetch_earlier_attempt(retried: tune.Checkpoint | None, uri: str | None, folder: Path) -> None:
    """Copy the latest checkpoint: Ray's own after a retry, or that of an earlier invocation."""
    checkpoint = retried or (tune.Checkpoint(uri) if uri else None)
    if checkpoint is not None:
        try:
            checkpoint.to_directory(str(folder))
        except FileNotFoundError:
            print(f"checkpoint {checkpoint.path} is gone: training starts from its first step")
