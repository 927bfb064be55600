"""Data sets: one item contract, one table of names, and the checks that all of them share.

from bench.datasets import open_dataset
train = open_dataset("streets", "train")
sample = train[0]  # image H W 3 uint8, label H W uint8, id
"""

import hashlib
import importlib
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.config import DataConfig
from bench.errors import BenchError, MissingDataError

IGNORE_INDEX = 255
"""Label value of pixels that count neither in a loss nor in a metric."""

Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """One labelled image.

    Attributes:
        image: H W 3 uint8, RGB.
        label: H W uint8, train ids in [0, number of classes) or `IGNORE_INDEX`; a teacher's soft
            label is H W K float16 probabilities.
        id: Name of the sample inside its data set, such as "val/0001TP_006690".
    """

    image: Array
    label: npt.NDArray[Any]
    id: str


class SegmentationDataset(Protocol):
    """What every data set offers; train ids index `classes` and `colors`.

    Those on disk (`bench.datasets.files.PairedFiles`) also offer `labelled` and `read_label`. One
    may offer more: `sample_id(index)`, the id of a sample without reading it; `truth_split`, the
    split with the true labels of the same images; and, where its label files hold other values
    than train ids, `encode(label)` to those values and `label_path(sample_id)` of such a file.

    Attributes:
        name: Key in `DATASETS`.
        split: Which part of the data this is.
        classes: Class names in train-id order.
        colors: RGB of each class for pictures.
        thin: Names of the classes reported as thin structures.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    thin: tuple[str, ...]

    def __len__(self) -> int:
        """Number of samples."""

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`, read or drawn now; nothing is cached."""

    def fingerprint(self) -> str:
        """Short hash of what the data is, cheap to compute."""


def check_choice(what: str, value: str, allowed: Iterable[str]) -> None:
    """Raises `BenchError` with the choices unless `value` is one of them."""
    allowed = tuple(allowed)
    if value not in allowed:
        raise BenchError(f"unknown {what} {value!r}: choose one of {', '.join(allowed)}")


def check_label(label: Array, num_classes: int, source: Path | str) -> None:
    """Raises `BenchError` naming `source` if a label value is neither a class nor ignored."""
    wrong = label[(label >= num_classes) & (label != IGNORE_INDEX)]
    if wrong.size:
        raise BenchError(
            f"{source}: label id {wrong[0]} is out of range: allowed are 0 to {num_classes - 1} "
            f"and {IGNORE_INDEX} (ignored); map the labels to train ids"
        )


def coarsen(label: Array, radius: int | None = None) -> Array:
    """What a hurried annotator would leave of a fine label: shrunken areas, no small things.

    A pixel keeps its class if the whole square of side 2 radius + 1 around it, as far as it lies
    in the image, has that class; any other is ignored. So areas shrink by `radius` from their
    borders with straight edges, and what is narrower than the square is missed.

    Args:
        label: H W uint8.
        radius: In pixels; by default a fortieth of the height, at least 1.

    Returns:
        H W uint8, equal to `label` or `IGNORE_INDEX`.
    """
    radius = max(1, label.shape[0] // 40) if radius is None else radius
    low, high = label, label
    for axis in (0, 1):
        pad = [(radius, radius) if i == axis else (0, 0) for i in (0, 1)]
        low, high = np.pad(low, pad, mode="edge"), np.pad(high, pad, mode="edge")
        size = label.shape[axis]
        low = np.min([low.take(range(i, i + size), axis) for i in range(2 * radius + 1)], axis=0)
        high = np.max([high.take(range(i, i + size), axis) for i in range(2 * radius + 1)], axis=0)
    return np.where(low == high, label, IGNORE_INDEX).astype(np.uint8)


def sample_id(dataset: SegmentationDataset, index: int) -> str:
    """The id of a sample, read only where the data set can't tell it without reading."""
    known = getattr(dataset, "sample_id", None)
    return str(known(index)) if known else dataset[index].id


def digest(*parts: object) -> str:
    """Sixteen hex digits that identify the printed form of `parts`."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


DATASETS: dict[str, tuple[str, str]] = {
    "streets": ("streets", "Streets"),
    "camvid": ("camvid", "CamVid"),
    "cityscapes": ("cityscapes", "Cityscapes"),
    "mapillary": ("mapillary", "Mapillary"),
    "mapillary2": ("mapillary", "Mapillary2"),
    "folder": ("folder", "Folder"),
}
"""Data set name to its module in this package and its class there."""

DRAWN = ("streets",)
"""Data sets that are drawn, not read from disk."""


def dataset_class(name: str) -> Any:
    """The class of a data set, called as `cls(split, **options)`.

    Raises:
        BenchError: Unknown name.
    """
    check_choice("data set", name, DATASETS)
    module, factory = DATASETS[name]
    return getattr(importlib.import_module(f"bench.datasets.{module}"), factory)


def open_dataset(
    name: str, split: str, root: Path | None = None, **options: Any
) -> SegmentationDataset:
    """Opens one split of a data set, checking names and folders but reading no pixel.

    Args:
        name: Key of `DATASETS`.
        split: A split of that data set, such as "train" or "val".
        root: Folder of a data set that is read from disk; None for a drawn one.
        **options: Further arguments of the data set, such as `count` and `size` of streets.

    Raises:
        BenchError: Unknown name, split or option; a missing, empty or incomplete folder.
    """
    factory = dataset_class(name)
    if name in DRAWN and root is not None:
        raise BenchError(f"{name} is drawn, not read: leave out --data-root {root}")
    if name not in DRAWN:
        if root is None:
            raise MissingDataError(
                f"{name} is read from disk and no folder was named: pass its folder with "
                f"--data-root PATH; bench/datasets/{DATASETS[name][0]}.py shows the layout"
            )
        options["root"] = root
    allowed = [key for key in inspect.signature(factory).parameters if key != "split"]
    for key in options:
        check_choice(f"option of data set {name}", key, allowed)
    dataset: SegmentationDataset = factory(split, **options)
    return dataset


def open_split(data: DataConfig, split: str, root: Path | None = None) -> SegmentationDataset:
    """Opens a split of the data that a training is configured for."""
    counts = {data.extra.split: data.extra.images} if data.extra else {}
    counts[data.split] = data.train_images
    options: dict[str, Any] = {}
    if data.scene_size is not None:
        options["size"] = data.scene_size
    if counts.get(split) is not None:
        options["count"] = counts[split]
    return open_dataset(data.dataset, split, root, **options)
