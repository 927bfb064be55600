"""A finished network: written with all that is needed to use it, opened from a file or a run."""

import colorsys
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pydantic import ValidationError

from bench.config import NetworkConfig, TrainingConfig
from bench.datasets import SegmentationDataset
from bench.errors import BenchError
from bench.inference import apply_rule
from models import build_model
from models.checkpoint import CheckpointError, load_weights
from models.multiscale import Strategy
from models.precision import Precision, choose_precision
from models.released import Released, build_released, recognise
from sweeps.profiles import CITYSCAPES

RUN_ID = re.compile(r"[0-9a-f]{32}")
ENTRIES = ("config", "classes", "colors", "thin", "model")


@dataclass(frozen=True)
class Trained:
    """A finished network and what its pixels mean.

    Attributes:
        source: the file or run that it came from.
        config: the training that made it; of a released network, the article's for Cityscapes.
        classes: class names in train-id order.
        colors: RGB of each class.
        thin: names of the classes that count as thin structures.
        model: the network, in evaluation mode on the device of ``precision``.
        precision: device and dtype.
        named: whether its file says what its classes are; released ones don't.
    """

    source: str
    config: TrainingConfig
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    thin: tuple[str, ...]
    model: Strategy
    precision: Precision
    named: bool = True

    def fitted(self, dataset: SegmentationDataset) -> "Trained":
        """The network with the classes of a data set, which must be its own.

        Raises:
            BenchError: the data set has other classes.
        """
        ours, theirs = self.classes, dataset.classes
        if len(ours) != len(theirs) or (self.named and ours != theirs):
            different = [
                f"{a!r} against {b!r}" for a, b in zip(ours, theirs, strict=False) if a != b
            ]
            first = (
                f", the first that differ are {different[0]}" if self.named and different else ""
            )
            raise BenchError(
                f"{self.source} knows {len(ours)} classes, data set {dataset.name} has "
                f"{len(theirs)}{first}: take the data set that it was trained on"
            )
        return replace(self, named=True, classes=theirs, colors=dataset.colors, thin=dataset.thin)

    def rule(self, scales: tuple[float, ...]) -> str:
        """The strategy that fits these scales: avgpool for a single-scale network."""
        several = self.config.strategy == "single" and scales != (1.0,)
        return "avgpool" if several else self.config.strategy

    def on(self, device: str) -> "Trained":
        """The same network on ``cpu``, ``cuda`` or, with ``auto``, the GPU if there is one."""
        where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        precision = choose_precision("auto", torch.device(where))
        return replace(self, model=self.model.to(precision.device).eval(), precision=precision)

    def ruled(self, scales: tuple[float, ...]) -> Strategy:
        """The network under the rule that fits these scales.

        Raises:
            BenchError: scales that the network can't fuse.
        """
        model = apply_rule(self.model, self.rule(scales))
        try:
            model.order(scales)
        except ValueError as error:
            raise BenchError(f"{self.source}: {error}") from error
        return model


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
        released = recognise(content) if missing else None
        if missing and released is None:
            raise BenchError(
                f"{source} lacks {', '.join(missing)}: pass a model.pt or a run that a sweep left, "
                "or a file of released weights"
            )
        opened = _released(released, content) if released else _finished(content)
    except (CheckpointError, ValidationError, ValueError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise BenchError(f"{source} can't be used as a trained network: {reason}") from error
    precision = choose_precision("auto", torch.device("cpu"))
    return Trained(**{**opened, "source": source, "precision": precision}).on(device)


def _finished(content: Mapping[str, Any]) -> dict[str, Any]:
    """What ``save_trained`` wrote, as attributes of ``Trained``."""
    config = TrainingConfig(**content["config"])
    model = build_network(config, len(content["classes"]))
    model.load_state_dict(content["model"])
    return {
        "config": config,
        "classes": tuple(content["classes"]),
        "colors": tuple(
            (int(red), int(green), int(blue)) for red, green, blue in content["colors"]
        ),
        "thin": tuple(content["thin"]),
        "model": model,
    }


def _released(released: Released, content: Mapping[str, Any]) -> dict[str, Any]:
    """A released network as attributes of ``Trained``: numbered classes, hues around the wheel."""
    base, count = CITYSCAPES.base, released.classes
    network = NetworkConfig(trunk=released.trunk, decoder=released.decoder)
    colors = [colorsys.hsv_to_rgb(i * 0.618 % 1, 0.8, 0.95 - 0.4 * (i % 2)) for i in range(count)]
    return {
        "config": base.replace(
            network=network, strategy=released.strategy, train_scales=released.train_scales
        ),
        "classes": tuple(f"class {index}" for index in range(count)),
        "colors": tuple(tuple(round(255 * part) for part in color) for color in colors),
        "thin": (),
        "model": build_released(released, content),
        "named": False,
    }


def _download(run_id: str, folder: str) -> Path:
    import mlflow

    from reports.store import open_client

    open_client()
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
