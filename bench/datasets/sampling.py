"""Which crop comes when: class-uniform sampling as a pure function of the seed and the step.

centers = ClassCenters.of(dataset[i].label for i in range(len(dataset)))
sampler = ClassUniformSampler(centers, batch_size=8, steps=600)
loader = DataLoader(CropDataset(dataset, transform), batch_sampler=sampler)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch.utils.data
from torch import Tensor

from bench.datasets import Array, Sample, SegmentationDataset
from bench.datasets.centers import ClassCenters, Ints
from bench.errors import BenchError


@dataclass(frozen=True)
class Draw:
    """One crop to be cut.

    Attributes:
        index: Which sample.
        center: Row and column of a pixel that it shall show, or None for any place.
        seed: Seed of the transform's random choices.
    """

    index: int
    center: tuple[int, int] | None
    seed: int


class Transform(Protocol):
    """What `TrainTransform` does."""

    def __call__(
        self,
        image: Array,
        label: npt.NDArray[Any],
        generator: np.random.Generator,
        center: tuple[int, int] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Cuts a crop from an image and its label."""


class ClassUniformSampler:
    """Batches of draws; a batch depends on the seed and its step, and on nothing before.

    Iterating yields the steps from `start` on, so a training goes on exactly where it stopped.
    Of all draws, `class_uniform` are centred on a random pixel of a uniformly random class in a
    random image that shows it; the others take every image once before any comes again.
    """

    def __init__(
        self,
        centers: ClassCenters,
        batch_size: int,
        steps: int,
        seed: int = 0,
        start: int = 0,
        class_uniform: float = 0.5,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Describes the batches.

        Args:
            centers: Where the classes are.
            batch_size: Draws in a batch, over all processes.
            steps: Number of batches from step 0.
            seed: Seed of all choices.
            start: First step to be yielded.
            class_uniform: Share of centred draws.
            rank: Number of this process, which gets the draws `rank`, `rank + world`, ...
            world: Number of processes, which must divide the batch.

        Raises:
            BenchError: A batch size that `world` does not divide, or a share outside [0, 1].
        """
        if batch_size < 1 or batch_size % world:
            raise BenchError(f"batch size {batch_size} must be a multiple of {world} processes")
        if not 0 <= class_uniform <= 1:
            raise BenchError(f"class_uniform {class_uniform} must be between 0 and 1")
        self.centers = centers
        self.batch_size = batch_size
        self.steps = steps
        self.seed = seed
        self.start = start
        self.class_uniform = class_uniform if centers.places else 0.0
        self.rank = rank
        self.world = world
        self._order = lru_cache(maxsize=2)(self._permutation)

    def __len__(self) -> int:
        """Number of batches yet to be yielded."""
        return max(0, self.steps - self.start)

    def __iter__(self) -> Iterator[list[Draw]]:
        """Batches of the steps from `start` to the last."""
        return map(self.batch, range(self.start, self.steps))

    def batch(self, step: int) -> list[Draw]:
        """This process's draws of a step."""
        rng = np.random.default_rng((self.seed, 0, step))
        first = step * self.batch_size
        draws = [self.draw(number, rng) for number in range(first, first + self.batch_size)]
        return draws[self.rank :: self.world]

    def draw(self, number: int, rng: np.random.Generator) -> Draw:
        """The draw of a number, counted from the first batch; `rng` is that of its step."""
        seed = int(rng.integers(2**63))
        centred = int(number * self.class_uniform)
        if int((number + 1) * self.class_uniform) > centred:
            class_id = list(self.centers.places)[rng.integers(len(self.centers.places))]
            images = self.centers.places[class_id]
            index, positions = images[rng.integers(len(images))]
            row, column = positions[rng.integers(len(positions))]
            return Draw(index, (int(row), int(column)), seed)
        epoch, place = divmod(number - centred, self.centers.images)
        return Draw(int(self._order(epoch)[place]), None, seed)

    def _permutation(self, epoch: int) -> Ints:
        return np.random.default_rng((self.seed, 1, epoch)).permutation(self.centers.images)


class CropDataset(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Turns draws into crops, the same ones whatever the number of loader workers."""

    def __init__(
        self, dataset: SegmentationDataset, transform: Transform, cache_bytes: int = 0
    ) -> None:
        """Wraps a data set.

        Args:
            dataset: Where the samples come from.
            transform: Cuts the crops.
            cache_bytes: Keep up to this much of decoded samples in each worker process.
        """
        self.dataset = dataset
        self.transform = transform
        self._free = cache_bytes
        self._samples: dict[int, Sample] = {}

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.dataset)

    def sample(self, index: int) -> Sample:
        """A whole sample, from memory where it is kept."""
        sample = self._samples.get(index)
        if sample is None:
            sample = self.dataset[index]
            size = sample.image.nbytes + sample.label.nbytes
            if size <= self._free:
                self._free -= size
                self._samples[index] = sample
        return sample

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """A crop, 3 h w uint8, and its label, h w int64."""
        sample = self.sample(draw.index)
        generator = np.random.default_rng(draw.seed)
        return self.transform(sample.image, sample.label, generator, draw.center)
