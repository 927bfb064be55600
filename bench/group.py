"""A trial on several devices or nodes: a Ray Train group of workers inside a Tune trial.

Ray Train places and connects the workers and keeps their checkpoints; its callback hands what the
first worker reports to Tune. A report is a barrier that all workers must reach.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from ray import train
from ray.train.torch import TorchTrainer, get_device
from ray.tune.integration.ray_train import TuneReportCallback

from bench.attempt import fetch_earlier_attempt, run_spec
from bench.config import Runtime, TrainingConfig
from bench.errors import BenchError
from bench.train import Progress
from bench.workers import Workers


def run_group(spec: Mapping[str, Any]) -> None:
    """Run a trial by the workers that its configuration asks for; call it in a Tune trial.

    Raises:
        BenchError: a worker met something that the user can mend.
        Exception: a worker crashed.
    """
    config, runtime = TrainingConfig(**spec["config"]), Runtime(**spec["runtime"])
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"spec": json.dumps(spec)},
        scaling_config=train.ScalingConfig(
            num_workers=config.devices,
            use_gpu=config.device == "cuda",
            resources_per_worker={"CPU": runtime.cpus, "GPU": runtime.gpus},
        ),
        run_config=train.RunConfig(
            name=f"{spec['identity']}-workers",
            storage_path=spec["storage"],
            callbacks=[TuneReportCallback()],  # type: ignore[list-item]  # types of the old RunConfig
            checkpoint_config=train.CheckpointConfig(num_to_keep=2),
        ),
    )
    try:
        trainer.fit()
    except train.TrainingFailedError as error:
        for cause in getattr(error, "worker_failures", {}).values():
            if isinstance(original := getattr(cause, "_base_exc", cause), BenchError):
                raise original from error
        raise


def _worker(settings: dict[str, str]) -> None:
    """One worker of a trial."""
    spec = json.loads(settings["spec"])
    if spec["config"]["device"] == "cuda":
        torch.cuda.set_device(get_device())
    context = train.get_context()
    workers = Workers(context.get_world_rank(), context.get_world_size())
    with TemporaryDirectory(prefix="trial-") as scratch:
        folder = Path(scratch)

        def report(progress: Progress) -> None:
            workers.agree(True)
            train.report({"progress": json.dumps(asdict(progress))})

        def hand_over() -> None:
            workers.agree(True)
            metrics = {"progress": None, "seconds": time.monotonic() - started}
            content = train.Checkpoint.from_directory(str(folder)) if workers.first else None
            train.report(metrics, checkpoint=content)

        fetch_earlier_attempt(train.get_checkpoint(), spec["resume"], folder)
        started = time.monotonic()
        run_spec(spec, folder, report=report, on_checkpoint=hand_over, workers=workers)
        if workers.first:
            hand_over()
            workers.agree(False)
        else:
            while workers.agree(False):
                train.report({})
