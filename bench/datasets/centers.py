"""Where each class can be found in a training set, kept on disk so that it is looked up once.

What was found is kept in `cache_folder()` under a hash of the data's fingerprint; a file that is
damaged or does not fit is built again. It only saves time: crops are the same with and without.
"""

import logging
import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from bench.datasets import IGNORE_INDEX, Array, digest
from bench.datasets.files import PairedFiles
from bench.errors import BenchError

Ints = npt.NDArray[np.int64]
Places = dict[int, Ints]

VERSION = 1
"""Raise it when other places are found in the same data."""

PER_IMAGE = 16
"""Positions that are kept of a class in an image."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassCenters:
    """Where each class can be found in a training set.

    Attributes:
        images: Number of images.
        places: Class id to a list with, for each image that shows the class, the image's index
            and a few positions, n 2, of pixels of that class.
    """

    images: int
    places: dict[int, list[tuple[int, Ints]]]

    @classmethod
    def of(cls, labels: Iterable[Array], per_image: int = PER_IMAGE) -> "ClassCenters":
        """Collects them in one pass over the labels, each H W uint8.

        Raises:
            BenchError: There is no image.
        """
        return cls.join(label_places(label, per_image) for label in labels)

    @classmethod
    def join(cls, found: Iterable[Mapping[int, Ints]]) -> "ClassCenters":
        """Joins the `label_places` of all images.

        Raises:
            BenchError: There is no image.
        """
        places: dict[int, list[tuple[int, Ints]]] = {}
        images = 0
        for index, classes in enumerate(found):
            images += 1
            for class_id, positions in classes.items():
                places.setdefault(class_id, []).append((index, positions))
        if not images:
            raise BenchError("class-uniform sampling: the training set holds no image")
        return cls(images, places)

    def save(self, path: Path) -> None:
        """Writes them in one step."""
        entries = [
            (class_id, index, positions)
            for class_id, listed in self.places.items()
            for index, positions in listed
        ]
        lengths = [(class_id, index, len(positions)) for class_id, index, positions in entries]
        positions = [positions for _, _, positions in entries] or [np.zeros((0, 2), np.int64)]
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{uuid.uuid4().hex}.npz")
        try:
            np.savez_compressed(
                partial,
                images=np.int64(self.images),
                entries=np.array(lengths, np.int64).reshape(-1, 3),
                positions=np.concatenate(positions).astype(np.int32),
            )
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> "ClassCenters":
        """Reads what `save` wrote.

        Raises:
            OSError, ValueError, KeyError, EOFError, BadZipFile, ZlibError: A damaged file.
        """
        with np.load(path, allow_pickle=False) as content:
            images, entries = int(content["images"]), content["entries"]
            positions = content["positions"].astype(np.int64)
        ends = entries[:, 2].cumsum()
        if len(entries) and (ends[-1] != len(positions) or entries[:, 1].max() >= images):
            raise ValueError("its parts do not fit together")
        places: dict[int, list[tuple[int, Ints]]] = {}
        for (class_id, index, count), end in zip(entries.tolist(), ends.tolist(), strict=True):
            places.setdefault(class_id, []).append((index, positions[end - count : end]))
        return cls(images, places)


class _LabelPlaces(Dataset[Places]):
    """The places of every label of a data set, for loader workers."""

    def __init__(self, dataset: PairedFiles) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Places:
        return label_places(self.dataset.read_label(index), PER_IMAGE)


def cached_centers(dataset: PairedFiles, workers: int) -> ClassCenters:
    """The centers of a data set on disk, read from the cache or found and kept there.

    Args:
        dataset: Only its labels are decoded.
        workers: Processes that do so.

    Raises:
        BenchError: A label that can't be read, or no image.
    """
    key = digest(VERSION, PER_IMAGE, dataset.fingerprint())
    path = cache_folder() / f"centers-{dataset.name}-{dataset.split}-{key}.npz"
    try:
        centers = ClassCenters.load(path)
        if centers.images == len(dataset):
            return centers
        log.warning("%s does not fit the data: built again", path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, ZlibError) as error:
        log.warning("%s is damaged (%s): built again", path, error)
    loader = DataLoader(
        _LabelPlaces(dataset), batch_size=None, num_workers=workers, collate_fn=_unchanged
    )
    centers = ClassCenters.join(loader)
    try:
        centers.save(path)
    except OSError as error:
        log.warning("%s can't be written (%s): looked up again next time", path, error)
    return centers


def cache_folder() -> Path:
    """`$SCALEBENCH_CACHE`, or scalebench in the user's cache folder."""
    chosen = os.environ.get("SCALEBENCH_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(home) / "scalebench"


def label_places(label: Array, per_image: int) -> Places:
    """For each class of a label, H W uint8, up to `per_image` positions, n 2, of its pixels.

    They are at even distances in reading order.
    """
    flat = label.ravel()
    places: Places = {}
    for class_id in torch.bincount(torch.from_numpy(flat)).nonzero().ravel().tolist():
        if class_id != IGNORE_INDEX:
            pixels = np.flatnonzero(flat == class_id)
            few = pixels[_spread(pixels.size, per_image)]
            places[class_id] = np.stack(np.divmod(few, label.shape[1]), axis=1)
    return places


def _spread(count: int, wanted: int) -> Ints:
    """Up to `wanted` indices into `count` things, evenly spaced."""
    few = min(count, wanted)
    return (2 * np.arange(few) + 1) * count // (2 * few)


def _unchanged(item: Any) -> Any:
    return item
