"""Train one network: batches, schedule, seeds, mixed precision, checkpoints that continue exactly.

A training is a pure function of its configuration: batches depend on (seed, step) alone, and a
checkpoint holds everything else, so one that was killed and continued ends in the same weights.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, PolynomialLR
from torch.utils.data import DataLoader

from bench.config import OptimConfig, Runtime, TrainingConfig
from bench.datasets import SegmentationDataset
from bench.datasets.centers import ClassCenters, cached_centers
from bench.datasets.files import PairedFiles
from bench.datasets.label_folder import hard_label
from bench.datasets.mixing import MixedCrops, MixedSampler, Relabelled, open_extra
from bench.datasets.sampling import ClassUniformSampler, CropDataset
from bench.datasets.transforms import TrainTransform, normalize
from bench.errors import BenchError
from bench.workers import Workers
from models.losses import segmentation_loss
from models.multiscale import Strategy
from models.precision import Precision

Batch = tuple[Tensor, Tensor]
ALONE = Workers()

CACHE_BYTES = 2**30
"""Decoded samples are kept in memory up to this size, over all loader workers."""


@dataclass(frozen=True)
class Progress:
    """Where a trial is.

    Attributes:
        phase: ``train`` or the name of the evaluation that runs.
        step: optimiser steps, or images, done in this phase.
        steps: all of them.
        metrics: values of this step: loss, lr, val_miou, seconds.
    """

    phase: str
    step: int
    steps: int
    metrics: dict[str, float]


def load_batches(
    dataset: SegmentationDataset,
    config: TrainingConfig,
    runtime: Runtime,
    start: int,
    workers: Workers = ALONE,
) -> Iterator[Batch]:
    """The training's batches from step ``start`` on, or one worker's share of them.

    Raises:
        BenchError: a file that can't be read, or a label that is not right.
    """
    augment, loaders = config.augment, runtime.loader_workers
    transform = TrainTransform(
        augment.crop, augment.scale, augment.flip, augment.color_jitter, augment.blur
    )

    def source(
        dataset: SegmentationDataset, class_uniform: float
    ) -> tuple[CropDataset, ClassUniformSampler]:
        crops = CropDataset(dataset, transform, CACHE_BYTES // max(1, loaders))
        return crops, ClassUniformSampler(
            class_centers(crops, loaders) if class_uniform else ClassCenters(len(crops), {}),
            config.optim.batch_size,
            config.optim.steps,
            seed=config.seed,
            start=start,
            class_uniform=class_uniform,
            rank=workers.rank,
            world=workers.world,
        )

    crops: CropDataset | MixedCrops
    sampler: ClassUniformSampler | MixedSampler
    extra = config.data.extra
    try:
        crops, sampler = source(dataset, augment.class_uniform)
        further = open_extra(config.data, runtime.data_root, runtime.labels)
        if extra and further:
            extra_crops, extra_sampler = source(further, extra.class_uniform)
            soft_classes = len(dataset.classes) if config.soft_labels else None
            crops = MixedCrops(crops, extra_crops, soft_classes)
            sampler = MixedSampler(sampler, extra_sampler, extra.probability)
        yield from DataLoader(
            crops,
            batch_sampler=sampler,
            num_workers=loaders,
            pin_memory=config.device == "cuda",
        )
    except BenchError as error:
        raise BenchError(own_line(error)) from None


def class_centers(crops: CropDataset, loaders: int) -> ClassCenters:
    """Where the classes are: from the cache for files, by a look at every other label."""
    dataset, indices = crops.dataset, range(len(crops))
    if isinstance(dataset, PairedFiles):
        return cached_centers(dataset, loaders)
    if isinstance(dataset, Relabelled):
        return ClassCenters.of(hard_label(dataset.read_label(index)) for index in indices)
    return ClassCenters.of(crops.sample(index).label for index in indices)


def own_line(error: BenchError) -> str:
    """The message of an error, without the traceback that a loader worker puts around it."""
    return str(error).strip().splitlines()[-1].rpartition(f"{BenchError.__qualname__}: ")[2]


class Training:
    """A training in progress: model, optimiser, schedule, loss scaling and step count."""

    def __init__(
        self,
        config: TrainingConfig,
        model: Strategy,
        precision: Precision,
        workers: Workers = ALONE,
    ) -> None:
        self.config = config
        self.model = model
        self.precision = precision
        self.workers = workers
        self.joined = workers.join(model)
        self.optimizer = make_optimizer(config.optim, model)
        self.scheduler = make_scheduler(config.optim, self.optimizer)
        self.scaler = precision.scaler()
        self.step = 0
        self.seconds = 0.0

    def run_step(self, batch: Batch) -> Tensor:
        """One optimiser step on B x 3 x H W uint8 images and B x H x W labels; the loss."""
        device = self.precision.device
        images = normalize(batch[0].to(device, non_blocking=True))
        labels = batch[1].to(device, non_blocking=True)
        self.model.train()
        with self.precision.autocast():
            prediction = self.joined(
                images.contiguous(memory_format=torch.channels_last), self.config.train_scales
            )
        loss = segmentation_loss(
            prediction,
            labels,
            loss=self.config.loss.name,
            scale_weight=self.config.loss.scale_weight,
            aux_weight=self.config.loss.aux_weight,
        )
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()

    def save(self, path: Path) -> None:
        """Write everything that an exact continuation needs."""
        rng = {"cpu": torch.get_rng_state()}
        if self.precision.device.type == "cuda":
            rng["cuda"] = torch.cuda.get_rng_state()
        torch.save(
            {
                "step": self.step,
                "seconds": self.seconds,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict(),
                "scaler": self.scaler.state_dict(),
                "rng": rng,
            },
            path,
        )

    def load(self, path: Path) -> None:
        """Continue from a checkpoint written by ``save``.

        Raises:
            BenchError: the file is damaged or belongs to another network.
        """
        try:
            state: dict[str, Any] = torch.load(
                path, map_location=self.precision.device, weights_only=True
            )
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scheduler.load_state_dict(state["scheduler"])
            self.scaler.load_state_dict(state["scaler"])
        except Exception as error:
            raise BenchError(
                f"checkpoint {path} can't be continued ({type(error).__name__}): "
                "delete it or run with --fresh"
            ) from error
        self.step, self.seconds = state["step"], state["seconds"]
        torch.set_rng_state(state["rng"]["cpu"].cpu())
        if "cuda" in state["rng"]:
            torch.cuda.set_rng_state(state["rng"]["cuda"].cpu())

    def run(
        self,
        batches: Iterable[Batch],
        *,
        report: Callable[[Progress], None],
        save: Callable[[], None],
        checkpoint_seconds: float,
        validate: Callable[[], float],
        val_steps: frozenset[int],
    ) -> None:
        """Train to the last step.

        Args:
            batches: batches from the current step on.
            report: called every two percent of the steps with mean loss and learning rate.
            save: called when ``checkpoint_seconds`` have passed, and at the end.
            checkpoint_seconds: time between checkpoints.
            validate: mean IoU on validation images; only the first worker calls it.
            val_steps: steps after which ``validate`` is called.

        Raises:
            BenchError: the loss is no longer a number.
        """
        steps = self.config.optim.steps
        log_every = max(1, min(50, steps // 50))
        losses: list[Tensor] = []
        saved = started = monotonic()
        before = self.seconds
        for batch in batches:
            losses.append(self.run_step(batch))
            self.scheduler.step()
            self.step += 1
            metrics: dict[str, float] = {}
            due = self.step in val_steps
            if due and self.workers.first:
                metrics["val_miou"] = validate()
            if self.step % log_every == 0 or self.step == steps or due:
                metrics["loss"] = float(self.workers.mean(torch.stack(losses).mean()))
                if not isfinite(metrics["loss"]):
                    raise BenchError(
                        f"the loss is {metrics['loss']} at step {self.step} of {steps}: "
                        "lower optim.lr, or take precision float32"
                    )
                metrics["lr"] = self.optimizer.param_groups[0]["lr"]
                self.seconds = before + monotonic() - started
                metrics["seconds"] = self.seconds
                losses.clear()
                report(Progress("train", self.step, steps, metrics))
                late = self.workers.agree(monotonic() - saved > checkpoint_seconds)
                if late and self.step < steps:
                    save()
                    saved = monotonic()
        self.seconds = before + monotonic() - started
        save()


def make_optimizer(config: OptimConfig, model: nn.Module) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW; weight decay on all weights."""
    if config.name == "sgd":
        return torch.optim.SGD(
            model.parameters(),
            lr=config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
    return torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)


def make_scheduler(config: OptimConfig, optimizer: torch.optim.Optimizer) -> LRScheduler:
    """Polynomial decay, or one cycle: up over the first 30 % of the steps, down over the rest."""
    if config.schedule == "poly":
        return PolynomialLR(optimizer, config.steps, config.power)
    return OneCycleLR(optimizer, config.lr, config.steps + 1, cycle_momentum=False)
