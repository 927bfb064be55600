"""A finished network: written with all that is needed to use it, opened from a file or a run."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pydantic import ValidationError

from bench.config import TrainingConfig
from bench.errors import BenchError
from bench.evaluate import apply_rule
from models import build_model
from models.checkpoint import CheckpointError, load_weights
from models.multiscale import Strategy
from models.precision import Precision, choose_precision

RUN_ID = re.compile(r"[0-9a-f]{32}")
ENTRIES = ("config", "classes", "colors", "thin", "model")


@dataclass(frozen=True)
class Trained:
    """A finished network and what its pixels mean.

    Attributes:
        source: the file or run that it came from.
        config: the training that made it.
        classes: class names in train-id order.
        colors: RGB of each class.
        thin: names of the classes that count as thin structures.
        model: the network, in evaluation mode on the device of ``precision``.
        precision: device and dtype.
    """

    source: str
    config: TrainingConfig
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    thin: tuple[str, ...]
    model: Strategy
    precision: Precision

    def on(self, device: str) -> "Trained":
        """The same network on ``cpu``, ``cuda`` or, with ``auto``, the GPU if there is one."""
        where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        precision = choose_precision("auto", torch.device(where))
        return replace(self, model=self.model.to(precision.device).eval(), precision=precision)

    def ruled(self, scales: tuple[float, ...]) -> Strategy:
        """The network under the rule that fits these scales: avgpool for a single-scale one."""
        several = self.config.strategy == "single" and scales != (1.0,)
        return apply_rule(self.model, "avgpool" if several else self.config.strategy)


def build_network(
    config: TrainingConfig,
    classes: int,
    *,
    pretrained: bool = False,
) -> Strategy:
    """The configured network with its initial weights.

    Args:
        config: the training.
        classes: number of classes.
        pretrained: start from ImageNet weights where the configuration says so.
    """
    chosen = config.network
    return build_model(
        chosen.trunk,
        chosen.decoder,
        config.strategy,
        classes,
        train_scales=config.train_scales,
        output_stride=chosen.output_stride,
        width=chosen.width,
        rates=chosen.rates,
        pretrained=pretrained and chosen.pretrained,
        checkpoint_trunk=chosen.checkpoint_trunk,
    )


def save_trained(path: Path, content: dict[str, Any]) -> None:
    """Write a finished network in one step; ``content`` has at least ``ENTRIES``."""
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.rename(path)


def open_trained(reference: str | Path, device: str = "auto") -> Trained:
    """Open a finished network.

    Args:
        reference: a ``model.pt``, or the id of an MLflow run of a training.
        device: ``cpu``, ``cuda`` or ``auto``.

    Raises:
        BenchError: no such file or run, or not a network that a sweep left.
    """
    if RUN_ID.fullmatch(str(reference)) and not Path(reference).exists():
        with TemporaryDirectory(prefix="scalebench-") as folder:
            return _open_file(_download(str(reference), folder), str(reference), device)
    return _open_file(Path(reference), str(reference), device)


def _open_file(path: Path, source: str, device: str) -> Trained:
    try:
        content = load_weights(path)
        missing = [entry for entry in ENTRIES if entry not in content]
        if missing:
            raise BenchError(
                f"{source} lacks {', '.join(missing)}: pass a model.pt or a run that a sweep left"
            )
        config = TrainingConfig(**content["config"])
        model = build_network(config, len(content["classes"]))
        model.load_state_dict(content["model"])
    except (CheckpointError, ValidationError, ValueError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise BenchError(f"{source} can't be used as a trained network: {reason}") from error
    trained = Trained(
        source,
        config,
        tuple(content["classes"]),
        tuple((int(red), int(green), int(blue)) for red, green, blue in content["colors"]),
        tuple(content["thin"]),
        model,
        choose_precision("auto", torch.device("cpu")),
    )
    return trained.on(device)


def _download(run_id: str, folder: str) -> Path:
    import mlflow

    try:
        return Path(
            mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path="model.pt", dst_path=folder
            )
        )
    except Exception as error:
        raise BenchError(
            f"MLflow run {run_id} has no model.pt ({str(error).splitlines()[0][:150]}): pass a "
            "finished training's run, from the folder of mlflow.db or with MLFLOW_TRACKING_URI set"
        ) from error
