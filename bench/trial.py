"""One trial: a configuration in, a folder of results out.

A plain function that knows nothing of Ray or MLflow: it runs alone, in a test, or on a bare GPU
machine. Its folder holds

    training.pt                     checkpoint of a training in progress
    model.pt                        the finished network with its configuration and classes
    evaluations/<name>.npz          counts of every image, see ``bench.metrics``, ``bench.regions``
    pictures/<name>/<image>/*.png   image, truth, prediction and attention of every scale
"""

import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.config import Evaluation, Runtime, TrainingConfig
from bench.datasets import SegmentationDataset, open_split
from bench.errors import BenchError
from bench.inference import (
    EvalResult,
    Picture,
    apply_rule,
    evaluate,
    take_picture,
    telling_images,
)
from bench.metrics import mean_iou
from bench.train import ALONE, Progress, Training, load_batches
from bench.trained import build_network, save_trained
from bench.workers import Workers
from models.multiscale import Strategy
from models.precision import Precision, choose_precision

EVALUATION_REPORT = 10
"""Images between two reports of an evaluation's progress."""

Report = Callable[[Progress], None]


def run_trial(
    config: TrainingConfig,
    evaluations: Sequence[Evaluation],
    runtime: Runtime,
    folder: Path,
    *,
    report: Report = lambda progress: None,
    on_checkpoint: Callable[[], None] = lambda: None,
    workers: Workers = ALONE,
) -> None:
    """Train, evaluate every rule of ``evaluations``, and leave the results in ``folder``.

    Args:
        config: the training.
        evaluations: strategies and eval scales that the finished network is evaluated with.
        runtime: resources and folders.
        folder: where results go; what it holds of an earlier attempt is not done again.
        report: called with the progress every few seconds.
        on_checkpoint: called when the first worker's ``folder`` holds a new checkpoint.
        workers: this process among those of the trial; each has a ``folder``, and calls ``report``
            and ``on_checkpoint`` as long as it trains.

    Raises:
        BenchError: bad data, or a checkpoint that can't be continued.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    precision = choose_precision(config.precision, torch.device(config.device))
    training_set = open_split(config.data, config.data.split, runtime.data_root)
    network = build_network(config, len(training_set.classes), pretrained=True)
    model = network.to(precision.device)
    if (folder / "model.pt").exists():
        load_trained_weights(model, folder / "model.pt")
    else:
        training = Training(config, model, precision, workers)
        _train(training, training_set, runtime, folder, report, on_checkpoint)
        save_model(folder / "model.pt", training, training_set)
        (folder / "training.pt").unlink(missing_ok=True)
        on_checkpoint()
    if not workers.first:
        return
    for evaluation in evaluations:
        target = folder / "evaluations" / f"{evaluation.name}.npz"
        if not target.exists():
            _evaluate(folder, target, model, config, runtime, evaluation, precision, report)


def _train(
    training: Training,
    dataset: SegmentationDataset,
    runtime: Runtime,
    folder: Path,
    report: Report,
    on_checkpoint: Callable[[], None],
) -> None:
    config, steps = training.config, training.config.optim.steps
    if (folder / "training.pt").exists():
        training.load(folder / "training.pt")
    validation_set = open_split(config.data, "val", runtime.data_root)

    def validate() -> float:
        result = evaluate(
            training.model,
            validation_set,
            config.train_scales,
            training.precision,
            images=runtime.val_images,
        )
        return mean_iou(result.counts)

    def save() -> None:
        training.save(folder / "training.pt")
        on_checkpoint()

    points = runtime.val_points
    training.run(
        load_batches(dataset, config, runtime, training.step, training.workers),
        report=report,
        save=save,
        checkpoint_seconds=runtime.checkpoint_seconds,
        validate=validate,
        val_steps=frozenset(steps * (i + 1) // points for i in range(points)),
    )


def save_model(path: Path, training: Training, dataset: SegmentationDataset) -> None:
    """Write weights with all that is needed to use them: configuration, classes and colours."""
    content = {
        "config": training.config.model_dump(mode="json"),
        "classes": list(dataset.classes),
        "colors": [list(color) for color in dataset.colors],
        "thin": list(dataset.thin),
        "train_seconds": training.seconds,
        "precision": training.precision.name,
        "machine": describe_device(training.precision.device),
        "model": training.model.state_dict(),
    }
    save_trained(path, content)


def load_trained_weights(model: Strategy, path: Path) -> None:
    """Load weights that ``save_model`` wrote into the same network.

    Raises:
        BenchError: a damaged file, or the weights of another network.
    """
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])
    except Exception as error:
        raise BenchError(
            f"checkpoint {path} can't be used ({type(error).__name__}): delete it or run --fresh"
        ) from error


def describe_device(device: torch.device) -> str:
    """The device in words, such as ``NVIDIA H200`` or ``AMD EPYC, 2 cores``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = torch.cpu.get_capabilities().get("cpu_name") or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def _evaluate(
    folder: Path,
    target: Path,
    model: Strategy,
    config: TrainingConfig,
    runtime: Runtime,
    evaluation: Evaluation,
    precision: Precision,
    report: Report,
) -> None:
    ruled = apply_rule(model, evaluation.strategy)
    dataset = open_split(config.data, evaluation.split, runtime.data_root)

    def on_image(done: int, total: int) -> None:
        if done % EVALUATION_REPORT == 0 or done == total:
            report(Progress(evaluation.name, done, total, {}))

    result = evaluate(
        ruled,
        dataset,
        evaluation.scales,
        precision,
        images=evaluation.images,
        on_image=on_image,
    )
    for index in telling_images(result, dataset):
        picture = take_picture(ruled, dataset[index], evaluation.scales, precision)
        name = result.ids[index].replace("/", "_")
        save_picture(folder / "pictures" / evaluation.name / name, picture, dataset.colors)
    save_counts(target, result)


def save_counts(path: Path, result: EvalResult) -> None:
    """Write pixel counts and image ids as a compressed npz, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(
        partial,
        counts=result.counts,
        boundary=result.boundary,
        sizes=result.sizes,
        ids=np.array(result.ids),
    )
    partial.rename(path)


def save_picture(folder: Path, picture: Picture, colors: Sequence[tuple[int, int, int]]) -> None:
    """Write a picture as PNG files; class maps are palette images that keep the indices."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.image).save(folder / "image.png")
    save_classes(folder / "truth.png", picture.truth, colors)
    save_classes(folder / "prediction.png", picture.prediction, colors)
    for scale, classes in picture.scale_predictions.items():
        save_classes(folder / f"prediction_{scale}.png", classes, colors)
    for scale, weight in picture.attention.items():
        Image.fromarray(weight).save(folder / f"attention_{scale}.png")


def save_classes(path: Path, classes: np.ndarray, colors: Sequence[tuple[int, int, int]]) -> None:
    """Write a map of class indices as a palette image."""
    palette = [channel for color in colors for channel in color]
    image = Image.fromarray(classes, "L")
    image.putpalette(palette + [0] * (768 - len(palette)))
    image.save(path)
