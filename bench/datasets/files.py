"""What data sets on disk share: files are listed, paired and checked in one way.

A data set lists its `Pair`s and says which class each stored label value is (`id_table`);
`PairedFiles` does the rest. What is wrong is a `BenchError`: one line with the file and the mend.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.datasets import IGNORE_INDEX, Array, Sample, digest
from bench.datasets.reading import read_image, read_indices
from bench.errors import BenchError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
LABEL_SUFFIXES = frozenset({".png"})
UNKNOWN = 254
"""What `id_table` gives for a stored value that is no class and not ignored."""


@dataclass(frozen=True)
class Pair:
    """An image and its label.

    Attributes:
        id: Name of the sample.
        image: The image's file.
        label: The label's file, or None where the data set keeps its labels to itself.
    """

    id: str
    image: Path
    label: Path | None


class PairedFiles:
    """One split of a data set on disk; see `bench.datasets.SegmentationDataset`.

    Attributes:
        splits: Names of the splits.
        derived_splits: Names of further splits of the same files.
        any_palette: Label files are palette images, whatever their colours. Otherwise they are
            greyscale, or palette images that show every class in its own colour.
        pairs: The split's files.
    """

    name: str
    splits: tuple[str, ...]
    derived_splits: tuple[str, ...] = ()
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    thin: tuple[str, ...]
    any_palette: bool = False

    def __init__(self, split: str, pairs: Sequence[Pair], table: Array) -> None:
        """Takes what a data set found.

        Args:
            split: The split's name.
            pairs: Its files.
            table: Train id of each stored label value, from `id_table`.
        """
        self.split = split
        self.pairs = tuple(pairs)
        self.table = table

    @property
    def labelled(self) -> bool:
        """Whether there are labels to train on or to evaluate with."""
        return all(pair.label is not None for pair in self.pairs)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Decodes a pair; everything is ignored where there are no labels.

        Raises:
            BenchError: An unreadable file, a label that does not hold one id a pixel or has
                another size than its image, or a label id out of range.
        """
        pair = self.pairs[index]
        image = read_image(pair.image)
        if pair.label is None:
            return Sample(image, np.full(image.shape[:2], IGNORE_INDEX, np.uint8), pair.id)
        label = self.read_label(index)
        if label.shape != image.shape[:2]:
            raise BenchError(
                f"{pair.label}: label of {label.shape[1]} x {label.shape[0]} pixels, but "
                f"{pair.image} has {image.shape[1]} x {image.shape[0]}: make them the same size"
            )
        return Sample(image, label, pair.id)

    def read_label(self, index: int) -> Array:
        """Decodes a label without its image, H W uint8 train ids; errors as for a sample."""
        path = self.pairs[index].label
        if path is None:
            raise BenchError(f"{self.name} {self.split} has no labels: take another split")
        return self.decode_label(path)

    def decode_label(self, path: Path) -> Array:
        """Train ids of a label file."""
        stored, palette = read_indices(path)
        if palette is not None and not self.any_palette:
            self._check_palette(np.unique(stored), palette, path)
        return to_train_ids(stored, self.table, path)

    def sample_id(self, index: int) -> str:
        """The id of a sample, which is not read."""
        return self.pairs[index].id

    def _check_palette(self, stored: Array, palette: Array, path: Path) -> None:
        """Raises `BenchError` if a palette shows an index in another colour than its class."""
        for index in stored[self.table[stored] < UNKNOWN]:
            class_id = self.table[index]
            if tuple(palette[index]) != self.colors[class_id]:
                raise BenchError(
                    f"{path}: a palette image where class ids are due, and its index {index} has "
                    f"not the colour of {self.classes[class_id]}: store ids as 8-bit greyscale"
                )

    def fingerprint(self) -> str:
        """Hash of the names and sizes of all files."""
        paths = [path for pair in self.pairs for path in (pair.image, pair.label) if path]
        try:
            return digest(
                self.name, self.split, [(path.name, path.stat().st_size) for path in paths]
            )
        except OSError as error:
            raise BenchError(f"{error.filename}: {error.strerror}: put the file back") from error


def id_table(classes: Mapping[int, int], ignored: Iterable[int]) -> Array:
    """256 train ids, one for each stored value.

    Args:
        classes: Stored value to train id.
        ignored: Stored values of pixels that do not count.
    """
    table = np.full(256, UNKNOWN, np.uint8)
    table[list(ignored)] = IGNORE_INDEX
    table[list(classes)] = list(classes.values())
    return table


def to_train_ids(stored: Array, table: Array, source: Path) -> Array:
    """Train ids of stored label values.

    Raises:
        BenchError: A value that is no class and not ignored.
    """
    label: Array = table[stored]
    if (label == UNKNOWN).any():
        allowed = np.flatnonzero(table != UNKNOWN)
        breaks = np.flatnonzero(np.diff(allowed) > 1)
        starts = allowed[np.append(0, breaks + 1)]
        ends = allowed[np.append(breaks, len(allowed) - 1)]
        spans = [f"{a} to {b}" if a < b else str(a) for a, b in zip(starts, ends, strict=True)]
        raise BenchError(
            f"{source}: label id {stored[label == UNKNOWN][0]} is out of range: allowed are "
            f"{', '.join(spans)}; map the label to these ids"
        )
    return label


def list_files(
    folder: Path, suffixes: frozenset[str], need: str, absent: type[BenchError] = BenchError
) -> dict[str, Path]:
    """Files of a folder, by name without suffix.

    Args:
        folder: Where to look.
        suffixes: Suffixes of the files, in lower case.
        need: What should be there, for the message.
        absent: What is raised if there is no such folder; `MissingDataError` for a split's images.

    Raises:
        BenchError: It is not there, can't be listed, holds no such file, or two of one name.
    """
    if not folder.is_dir():
        raise absent(f"{folder}: no such folder: {need}; is --data-root right?")
    files: dict[str, Path] = {}
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise BenchError(f"{folder}: can't be listed ({error.strerror}): allow it") from error
    for path in found:
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in files:
            other = files[path.stem].name
            raise BenchError(f"{path}: {other} has the same name: keep one of the two")
        files[path.stem] = path
    if not files:
        kinds = " or ".join(sorted(suffixes))
        raise BenchError(f"{folder}: holds no {kinds} file: {need}")
    return files


def missing_halves(images: Mapping[str, Path], labels: Mapping[str, Path]) -> list[str]:
    """One line for every image without a label and every label without an image."""
    alone = [(path, "label") for name, path in images.items() if name not in labels]
    alone += [(path, "image") for name, path in labels.items() if name not in images]
    return [f"{path}: has no {half}: add it, or remove this file" for path, half in alone]


def raise_or_collect(lines: Sequence[str], problems: list[str] | None, name: str) -> None:
    """Adds to `problems` or, where that is None, raises the first of `lines`."""
    if problems is not None:
        problems += lines
    elif len(lines) > 1:
        raise BenchError(
            f"{lines[0]} ({len(lines) - 1} more such: python -m bench.data {name} lists them)"
        )
    elif lines:
        raise BenchError(lines[0])
