"""Crops a second from one loader worker: ours against a plain torchvision v2 pipeline.

    SCALEBENCH_CAMVID=DIR python -m pytest --benchmark-only tests/benchmarks/test_loading.py

Both decode CamVid's photographs at full size and resize, crop, flip, jitter and blur them at
random; neither keeps anything. The ratio of the medians of interleaved rounds is in the extra
information of the benchmark.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

from bench.datasets import IGNORE_INDEX
from bench.datasets.camvid import VOID, CamVid
from bench.datasets.centers import ClassCenters
from bench.datasets.sampling import ClassUniformSampler, CropDataset
from bench.datasets.transforms import MEAN, TrainTransform

BATCH, BATCHES, ROUNDS = 8, 20, 5
JITTER, BLUR, FLIP = 0.25, 0.5, 0.5
GOAL = 1.2
CROPS = {"profile crop": (256, 320), "whole image": (360, 480)}


class Plain(Dataset[tuple[Tensor, Tensor]]):
    """What one writes with torchvision's transforms."""

    def __init__(self, dataset: CamVid, crop: tuple[int, int]) -> None:
        self.pairs = dataset.pairs
        fill = {tv_tensors.Image: [round(each) for each in MEAN], tv_tensors.Mask: IGNORE_INDEX}
        self.transform = v2.Compose(
            [
                v2.RandomResize(180, 720),
                v2.RandomCrop(crop, pad_if_needed=True, fill=fill),
                v2.RandomHorizontalFlip(FLIP),
                v2.ColorJitter(JITTER, JITTER, JITTER),
                v2.RandomApply([v2.GaussianBlur(5, (0.2, 1.2))], BLUR),
            ]
        )

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pair = self.pairs[index]
        image = decode_image(str(pair.image), ImageReadMode.RGB)
        stored = decode_image(str(pair.label), ImageReadMode.UNCHANGED)
        label = torch.where(stored == VOID, IGNORE_INDEX, stored)
        image, label = self.transform(tv_tensors.Image(image), tv_tensors.Mask(label))
        return image, label[0].long()


def plain(dataset: CamVid, crop: tuple[int, int]) -> DataLoader[tuple[Tensor, Tensor]]:
    return DataLoader(Plain(dataset, crop), BATCH, shuffle=True, num_workers=1, drop_last=True)


def ours(dataset: CamVid, crop: tuple[int, int]) -> DataLoader[tuple[Tensor, Tensor]]:
    transform = TrainTransform(crop, (0.5, 2.0), FLIP, JITTER, BLUR)
    sampler = ClassUniformSampler(
        ClassCenters(len(dataset), {}), BATCH, BATCHES + 1, class_uniform=0
    )
    return DataLoader(CropDataset(dataset, transform), batch_sampler=sampler, num_workers=1)


def crops_a_second(loader: Iterable[tuple[Tensor, Tensor]], crop: tuple[int, int]) -> float:
    """Throughput after the first batch."""
    batches = iter(loader)
    image, label = next(batches)
    assert image.shape == (BATCH, 3, *crop) and label.shape == (BATCH, *crop)
    begun = time.perf_counter()
    for _ in range(BATCHES):
        next(batches)
    return BATCH * BATCHES / (time.perf_counter() - begun)


@pytest.mark.skipif("SCALEBENCH_CAMVID" not in os.environ, reason="SCALEBENCH_CAMVID is not set")
@pytest.mark.parametrize("name", CROPS)
def test_loader_throughput(name: str, benchmark: BenchmarkFixture) -> None:
    crop, dataset = CROPS[name], CamVid("train", Path(os.environ["SCALEBENCH_CAMVID"]))
    rates: dict[str, list[float]] = {"plain": [], "ours": []}

    def round_of_both() -> None:
        rates["plain"].append(crops_a_second(plain(dataset, crop), crop))
        rates["ours"].append(crops_a_second(ours(dataset, crop), crop))

    benchmark.group = "crops a second, one worker"
    benchmark.pedantic(round_of_both, rounds=ROUNDS)
    for key, values in rates.items():
        benchmark.extra_info[key] = round(median(values), 1)
    ratio = median(rates["ours"]) / median(rates["plain"])
    benchmark.extra_info["ratio"] = round(ratio, 2)
    print(f"\n{name}: {benchmark.extra_info}")
    assert ratio >= GOAL, rates
