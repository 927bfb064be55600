"""What ``python -m bench.data`` does: read every sample, count, list what is wrong."""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.contact import contact_sheet
from bench.datasets import (
    DRAWN,
    IGNORE_INDEX,
    SegmentationDataset,
    dataset_class,
    open_dataset,
)
from bench.errors import BenchError, MissingDataError
from bench.progress import Progress

PROBLEMS = 2
"""Exit status when there are problems."""

SHEET_IMAGES = 12
Counts = npt.NDArray[np.int64]


@dataclass
class Survey:
    """What was found in one split.

    Attributes:
        dataset: The split.
        read: Number of samples that were read without a problem.
        sizes: (height, width) to number of images.
        pixels: Pixels of each label value, 256.
        images: Images that show each label value, 256.
        problems: One line for each thing that is wrong.
        good: Numbers of the samples that were read.
    """

    dataset: SegmentationDataset
    read: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    pixels: Counts = field(default_factory=lambda: np.zeros(256, np.int64))
    images: Counts = field(default_factory=lambda: np.zeros(256, np.int64))
    problems: list[str] = field(default_factory=list)
    good: list[int] = field(default_factory=list)


def run_survey(
    console: Console,
    name: str,
    root: Path | None,
    split: str | None,
    limit: int | None,
    out: Path,
) -> int:
    """Check a data set and print what was found.

    Args:
        console: Where to print.
        name: The data set.
        root: Its folder, where it has one.
        split: Check this one; ``None`` checks those that are there.
        limit: Read this many samples of a split at most.
        out: Folder for the contact sheets.

    Returns:
        0, or 2 when there are problems.

    Raises:
        BenchError: An unknown name, or no data set there at all.
    """
    splits = (split,) if split else dataset_class(name).splits
    problems: list[str] = []
    surveys: list[Survey] = []
    absent: list[MissingDataError] = []
    for each in splits:
        found: list[str] = []
        try:
            dataset = open_dataset(
                name, each, root, **({} if name in DRAWN else {"problems": found})
            )
        except MissingDataError as error:
            absent.append(error)
            continue
        except BenchError as error:
            if split:
                raise
            problems.append(str(error))
            continue
        surveys.append(survey(dataset, limit))
        problems += [*found, *surveys[-1].problems]
    if len(absent) == len(splits):
        raise absent[0]
    for each_survey in surveys:
        print_survey(console, each_survey)
        if each_survey.good:
            path = write_sheet(each_survey, out)
            console.print(f"contact sheet: {path}", soft_wrap=True, markup=False)
    for missing in absent:
        console.print(f"not there: {missing}", soft_wrap=True, markup=False)
    problems = list(dict.fromkeys(problems))
    for problem in problems:
        console.print(Text(f"problem: {problem}", style="red"), soft_wrap=True)
    count = len(problems)
    console.print(f"{count} problem{'' if count == 1 else 's'}" if count else "no problems found")
    return PROBLEMS if problems else 0


def survey(dataset: SegmentationDataset, limit: int | None) -> Survey:
    """Read the samples of a split, with a progress bar."""
    result = Survey(dataset)
    total = min(limit or len(dataset), len(dataset))
    with Progress(f"{dataset.name} {dataset.split}", total) as progress:
        for index, found in enumerate(_read_all(dataset, total)):
            progress.advance()
            if isinstance(found, str):
                result.problems.append(found)
                continue
            size, pixels = found
            result.read += 1
            result.good.append(index)
            result.sizes[size] += 1
            result.pixels += pixels
            result.images += pixels > 0
    return result


def _read_all(
    dataset: SegmentationDataset, total: int
) -> Iterator[str | tuple[tuple[int, int], Counts]]:
    """Size and pixel counts of each sample, or what is wrong with it; a few are read at once."""

    def read(index: int) -> str | tuple[tuple[int, int], Counts]:
        try:
            label = dataset[index].label
        except BenchError as error:
            return str(error)
        counts = torch.bincount(torch.from_numpy(label.ravel()), minlength=256).numpy()
        return (label.shape[0], label.shape[1]), counts

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        indices = iter(range(total))
        while batch := list(islice(indices, 8 * workers)):
            yield from pool.map(read, batch)


def print_survey(console: Console, found: Survey) -> None:
    """Print counts, sizes and class frequencies of a split."""
    dataset = found.dataset
    console.print()
    console.print(Text(f"{dataset.name} {dataset.split}", style="bold"))
    console.print(f"{len(dataset)} samples, {found.read} read without a problem")
    if not found.read:
        return
    console.print(_sizes(found.sizes))
    counted = int(found.pixels.sum())
    console.print(f"ignored pixels: {100 * found.pixels[IGNORE_INDEX] / counted:.2f} %")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("class")
    for head in ("pixels %", "images", "images %"):
        table.add_column(head, justify="right")
    for index, name in enumerate(dataset.classes):
        pixels, images = int(found.pixels[index]), int(found.images[index])
        table.add_row(
            Text(f"{name} (thin)" if name in dataset.thin else name),
            f"{100 * pixels / counted:.3f}" if pixels else "absent",
            str(images),
            f"{100 * images / found.read:.1f}",
        )
    console.print(table)


def write_sheet(found: Survey, out: Path) -> Path:
    """Write the contact sheet of a split: samples at even distances.

    Raises:
        BenchError: It can't be written.
    """
    dataset, good = found.dataset, found.good
    count = min(SHEET_IMAGES, len(good))
    chosen = [good[(2 * i + 1) * len(good) // (2 * count)] for i in range(count)]
    path = out / f"{dataset.name}_{dataset.split}.jpg"
    try:
        out.mkdir(parents=True, exist_ok=True)
        contact_sheet(dataset, chosen).save(path, quality=90)
    except OSError as error:
        raise BenchError(
            f"--out {path} can't be written ({error.strerror}): name another"
        ) from error
    return path


def _sizes(sizes: Counter[tuple[int, int]]) -> str:
    """One size, or how many there are with the smallest, the most frequent and the largest."""

    def text(size: tuple[int, int]) -> str:
        return f"{size[1]} x {size[0]}"

    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    if len(ordered) == 1:
        return f"size: {text(ordered[0])}"
    most, times = sizes.most_common(1)[0]
    return (
        f"{len(ordered)} sizes: {text(ordered[0])} to {text(ordered[-1])}, most often {text(most)} "
        f"({times} images)"
    )
