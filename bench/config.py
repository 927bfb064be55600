"""Typed configuration of one training and of how it is evaluated.

Every field of ``TrainingConfig`` can change the training's result and is part of its identity;
everything else (folders, loader workers, resources) is in ``Runtime``, which is not.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import Self

IDENTITY_VERSION = 2
"""Raise it when a change of the code changes the results of trainings."""

Scales = tuple[float, ...]
Size = tuple[int, int]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]


class Frozen(BaseModel):
    """An immutable value with known keys only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def replace(self, **changes: object) -> Self:
        """A validated copy with some fields changed."""
        return type(self)(**{**dict(self), **changes})


class ExtraData(Frozen):
    """Further images of the same data set that are trained on, and whose labels they have.

    Attributes:
        split: the split that holds them.
        images: use the first this many; ``None`` takes all.
        labels: ``coarse`` takes the data set's own labels; ``auto`` the classes that a teacher is
            sure of, any other pixel is ignored; ``soft`` the teacher's probabilities.
        teacher: the training whose network labels them, for ``auto`` and ``soft``.
        threshold: ``auto`` keeps a pixel whose top probability exceeds this.
        scales: the scales of the teacher's inference.
        probability: share of the crops that are cut from these images.
        class_uniform: share of those crops that are centred on a pixel of a random class.
    """

    split: str = "coarse"
    images: Positive | None = None
    labels: Literal["coarse", "auto", "soft"] = "coarse"
    teacher: "TrainingConfig | None" = None
    threshold: Annotated[float, Field(ge=0, lt=1)] = 0.5
    scales: Scales = (0.5, 1.0, 2.0)
    probability: Fraction = 0.5
    class_uniform: Fraction = 0.0

    @field_validator("scales")
    @classmethod
    def _known_scales(cls, scales: Scales) -> Scales:
        return check_scales(scales)

    @model_validator(mode="after")
    def _taught(self) -> Self:
        if (self.teacher is None) != (self.labels == "coarse"):
            need = "takes no teacher" if self.teacher else "needs a teacher: the training of one"
            raise ValueError(f"labels {self.labels!r} {need}")
        return self


class DataConfig(Frozen):
    """Which images are trained on.

    Attributes:
        dataset: a name in ``bench.datasets.DATASETS``.
        train_images: use this many training images; ``None`` takes all.
        scene_size: height and width of procedural scenes; other data sets have their own.
        split: the split that is trained on.
        extra: further images, coarsely labelled or labelled by a teacher.
    """

    dataset: str
    train_images: Positive | None = None
    scene_size: Size | None = None
    split: str = "train"
    extra: ExtraData | None = None


class AugmentConfig(Frozen):
    """The joint transform pipeline of image and label.

    Attributes:
        crop: height and width of the crops, in pixels.
        scale: range of the random resizing, as factors.
        flip: probability of a horizontal flip.
        color_jitter: strength of the brightness, contrast and saturation jitter.
        blur: probability of a Gaussian blur.
        class_uniform: share of the crops that are centred on a pixel of a random class.
    """

    crop: Size
    scale: tuple[float, float] = (0.5, 2.0)
    flip: Fraction = 0.5
    color_jitter: float = 0.25
    blur: Fraction = 0.5
    class_uniform: Fraction = 0.5


class NetworkConfig(Frozen):
    """Trunk and decoder; see ``models.build_model`` for the meaning of each field.

    Attributes:
        pretrained: start the trunk from timm's ImageNet weights, or from a released file of them.
        checkpoint_trunk: train with less memory and more time.
    """

    trunk: str
    decoder: str = "deeplabv3plus"
    output_stride: Literal[4, 8, 16] = 8
    width: Positive = 256
    rates: tuple[int, ...] | None = None
    pretrained: bool | str = False
    checkpoint_trunk: bool = False


class OptimConfig(Frozen):
    """Optimiser and schedule.

    Attributes:
        name: ``sgd`` (with momentum) or ``adamw``.
        lr: highest learning rate.
        schedule: ``poly`` decays with ``(1 - step / steps) ** power``; ``onecycle`` warms up first.
        steps: optimiser steps.
        batch_size: images a step, over all devices.
    """

    name: Literal["sgd", "adamw"]
    lr: Annotated[float, Field(gt=0)]
    steps: Positive
    batch_size: Annotated[int, Field(ge=2)]
    schedule: Literal["poly", "onecycle"] = "poly"
    power: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 1e-4


class LossConfig(Frozen):
    """Loss on the fused logits, and the weights of the optional extra terms."""

    name: Literal["cross_entropy", "rmi"] = "cross_entropy"
    scale_weight: float = 0.0
    aux_weight: float = 0.4


class TrainingConfig(Frozen):
    """Everything that can change the result of a training.

    Attributes:
        strategy: how scales are combined while training: single, explicit or hierarchical.
        train_scales: the scales that a training step runs.
        precision: ``auto`` or a dtype; the plan resolves ``auto`` for the device.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads of the training; their number changes the last digits.
        devices: worker processes, each with a device, that share every batch; losses are means
            over a worker's share, so their number changes results a little. See
            ``bench.workers``.
    """

    data: DataConfig
    augment: AugmentConfig
    network: NetworkConfig
    optim: OptimConfig
    loss: LossConfig = LossConfig()
    strategy: Literal["single", "explicit", "hierarchical"] = "single"
    train_scales: Scales = (1.0,)
    seed: int = 0
    precision: str = "auto"
    device: Literal["cpu", "cuda"] = "cpu"
    threads: Positive = 1
    devices: Positive = 1

    @field_validator("train_scales")
    @classmethod
    def _known_scales(cls, scales: Scales) -> Scales:
        return check_scales(scales)

    @model_validator(mode="after")
    def _equal_shares(self) -> Self:
        batch = self.optim.batch_size
        if batch % self.devices or batch < 2 * self.devices:
            raise ValueError(
                f"batch size {batch} on {self.devices} devices: batch norm needs equal shares of "
                "at least 2 images"
            )
        return self

    @model_validator(mode="after")
    def _soft_labels_fit_the_loss(self) -> Self:
        if self.soft_labels and self.loss.name != "cross_entropy":
            raise ValueError(f"soft labels need loss 'cross_entropy', not {self.loss.name!r}")
        return self

    @property
    def teacher(self) -> "TrainingConfig | None":
        """The training whose network labels a part of the data."""
        return self.data.extra.teacher if self.data.extra else None

    @property
    def soft_labels(self) -> bool:
        """Whether labels are probabilities instead of classes."""
        return self.data.extra is not None and self.data.extra.labels == "soft"

    def with_seed(self, seed: int) -> Self:
        """The same training, and its teacher's, with another seed."""
        changes: dict[str, object] = {"seed": seed}
        if self.data.extra and self.teacher:
            extra = self.data.extra.replace(teacher=self.teacher.with_seed(seed))
            changes["data"] = self.data.replace(extra=extra)
        return self.replace(**changes)

    def identity(self, fingerprint: str) -> str:
        """Short hash of this configuration, the data's fingerprint and the torch version."""
        from importlib.metadata import version

        content = {
            "version": IDENTITY_VERSION,
            "torch": version("torch"),
            "fingerprint": fingerprint,
            **self.model_dump(mode="json"),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


class Evaluation(Frozen):
    """How a trained network is evaluated: the strategy's rule over a set of scales.

    Attributes:
        strategy: single, avgpool, explicit or hierarchical.
        scales: the eval scales, ascending; 1.0 is among them.
        split: the split that is evaluated.
        images: evaluate the first this many images; ``None`` takes all.
    """

    strategy: Literal["single", "avgpool", "explicit", "hierarchical"]
    scales: Scales
    split: str = "val"
    images: Positive | None = None

    @field_validator("scales")
    @classmethod
    def _known_scales(cls, scales: Scales) -> Scales:
        return check_scales(scales)

    @model_validator(mode="after")
    def _single_scale(self) -> Self:
        if self.strategy == "single" and self.scales != (1.0,):
            raise ValueError("strategy 'single' evaluates at scale 1.0 only; avgpool takes more")
        return self

    @property
    def name(self) -> str:
        """A file name, such as ``test_hierarchical_0.5_1.0_2.0``."""
        scales = "_".join(str(scale) for scale in self.scales)
        count = f"_{self.images}" if self.images else ""
        return f"{self.split}{count}_{self.strategy}_{scales}"


class Runtime(Frozen):
    """Where and how a trial runs; nothing here changes its result.

    Attributes:
        data_root: folder of the data set, where it has one.
        cpus: CPU cores that a trial asks Ray for, for each of its devices.
        gpus: GPUs that a trial asks Ray for, for each of its devices, when it runs on GPUs; a
            fraction lets several small trials share one.
        loader_workers: processes that decode and crop; 0 does it in the trial.
        checkpoint_seconds: time between checkpoints.
        val_points: how often a training is evaluated on the way.
        val_images: on how many validation images.
        labels: folder of the labels that a training's teacher wrote.
    """

    data_root: Path | None = None
    cpus: Positive = 1
    gpus: Annotated[float, Field(ge=0)] = 1
    loader_workers: int = 0
    checkpoint_seconds: float = 20.0
    val_points: int = 4
    val_images: Positive = 16
    labels: Path | None = None


def check_scales(scales: Scales) -> Scales:
    """Scales in ascending order.

    Raises:
        ValueError: a scale that is not positive, one given twice, or no 1.0.
    """
    listed = ", ".join(str(scale) for scale in scales)
    if any(scale <= 0 for scale in scales) or len(set(scales)) != len(scales):
        raise ValueError(f"scales ({listed}) must be positive and distinct")
    if 1.0 not in scales:
        raise ValueError(f"scales ({listed}) lack 1.0, the grid of the prediction: add 1.0")
    return tuple(sorted(scales))
