"""A fine set and extra images in one training: coarse labels, or labels that a teacher wrote."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.utils.data
from torch import Tensor

from bench.config import DataConfig
from bench.datasets import Sample, SegmentationDataset, open_split, sample_id
from bench.datasets.label_folder import LabelFolder, read_manifest
from bench.datasets.sampling import ClassUniformSampler, CropDataset, Draw
from bench.errors import BenchError


class Relabelled:
    """A data set's images with a teacher's labels; see `bench.datasets.SegmentationDataset`."""

    def __init__(self, dataset: SegmentationDataset, folder: Path, soft: bool) -> None:
        """Joins the two.

        Args:
            dataset: Where the images come from.
            folder: Where a teacher left its labels of them.
            soft: They are probabilities.

        Raises:
            BenchError: The labels are not complete.
        """
        manifest = read_manifest(folder) or {}
        if not manifest.get("complete") or manifest["skipped"]:
            missing = manifest.get("skipped") or [{"reason": "the labelling was not finished"}]
            raise BenchError(f"labels {folder} are incomplete: {missing[0]['reason']}")
        self.dataset = dataset
        self.labels = LabelFolder(folder, dataset, soft)
        self.name, self.split = dataset.name, dataset.split
        self.classes, self.colors, self.thin = dataset.classes, dataset.colors, dataset.thin

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        """The image with the teacher's label.

        Raises:
            BenchError: An unreadable image or label.
        """
        return replace(self.dataset[index], label=self.read_label(index))

    def read_label(self, index: int) -> npt.NDArray[Any]:
        """The teacher's label without the image, H W uint8 or H W K probabilities."""
        return self.labels.read(sample_id(self.dataset, index))

    def fingerprint(self) -> str:
        """That of the images; the labels are known by their teacher."""
        return self.dataset.fingerprint()


def open_extra(
    data: DataConfig, root: Path | None, labels: Path | None
) -> SegmentationDataset | None:
    """The extra images that a training is configured for, with their labels.

    Args:
        data: The training's data.
        root: Folder of the data set.
        labels: Folder of the teacher's labels, where the configuration has a teacher.

    Raises:
        BenchError: The images or labels are not there.
    """
    if data.extra is None:
        return None
    images = open_split(data, data.extra.split, root)
    if data.extra.teacher is None:
        return images
    if labels is None:
        raise BenchError("the extra images have no labels yet: run the sweep, not this trial alone")
    return Relabelled(images, labels, soft=data.extra.labels == "soft")


class MixedSampler:
    """Batches of which a share comes from extra images; their indices follow the fine ones.

    A batch depends on the seed and its step, and on nothing before; each set is gone through as
    its own sampler says.
    """

    def __init__(
        self, fine: ClassUniformSampler, extra: ClassUniformSampler, probability: float
    ) -> None:
        """Joins two samplers; batches are those of `fine`, `probability` the share of `extra`."""
        self.fine = fine
        self.extra = extra
        self.probability = probability

    def __len__(self) -> int:
        """Number of batches yet to be yielded."""
        return len(self.fine)

    def __iter__(self) -> Iterator[list[Draw]]:
        """Batches of the steps that are left."""
        return map(self.batch, range(self.fine.start, self.fine.steps))

    def batch(self, step: int) -> list[Draw]:
        """This process's draws of a step."""
        rng = np.random.default_rng((self.fine.seed, 0, step))
        first = step * self.fine.batch_size
        draws = [self._draw(number, rng) for number in range(first, first + self.fine.batch_size)]
        return draws[self.fine.rank :: self.fine.world]

    def _draw(self, number: int, rng: np.random.Generator) -> Draw:
        taken = int(number * self.probability)
        if int((number + 1) * self.probability) == taken:
            return self.fine.draw(number - taken, rng)
        draw = self.extra.draw(taken, rng)
        return replace(draw, index=draw.index + self.fine.centers.images)


class MixedCrops(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Crops of a fine set and of extra images, as `MixedSampler` numbers them."""

    def __init__(self, fine: CropDataset, extra: CropDataset, soft_classes: int | None) -> None:
        """Joins two sets; with `soft_classes`, every label becomes that many probabilities."""
        self.fine = fine
        self.extra = extra
        self.soft_classes = soft_classes

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """A crop, 3 h w uint8, and its label, h w int64 or h w K float16."""
        if draw.index >= len(self.fine):
            return self.extra[replace(draw, index=draw.index - len(self.fine))]
        image, label = self.fine[draw]
        return image, label if self.soft_classes is None else one_hot(label, self.soft_classes)


def one_hot(label_HW: Tensor, classes: int) -> Tensor:
    """Classes as certain probabilities, H W K float16, all 0 where a pixel is ignored."""
    return (label_HW[..., None] == torch.arange(classes)).half()
