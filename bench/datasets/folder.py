"""Your own data: image and label folders with a class list.

    ROOT/classes.json
    ROOT/SPLIT/images/NAME.jpg    ROOT/SPLIT/labels/NAME.png

SPLIT is train, val, test or coarse; images are PNG or JPEG, labels are PNG. classes.json:

    {"labels": "index",
     "ignore": [255],
     "classes": [{"name": "road", "color": [128, 64, 128]},
                 {"name": "pole", "thin": true}]}

`labels` says what a label file holds: `index`, 8-bit greyscale class ids; `palette`, a palette
image whose indices are class ids; `color`, colours. A class's `id` is its place in the list unless
it gives one; `color` may be left out unless labels are colours; `thin` classes are reported as thin
structures. `ignore` lists the ids, or the colours, of pixels that do not count.
"""

import colorsys
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bench.datasets import IGNORE_INDEX, Array, check_choice, digest
from bench.datasets.files import (
    IMAGE_SUFFIXES,
    LABEL_SUFFIXES,
    UNKNOWN,
    Pair,
    PairedFiles,
    id_table,
    list_files,
    missing_halves,
    raise_or_collect,
)
from bench.datasets.reading import check_distinct, read_config, read_image
from bench.errors import BenchError, MissingDataError

Byte = Annotated[int, Field(ge=0, le=255)]
Color = tuple[Byte, Byte, Byte]
GOLDEN = 0.618
"""Step of the hue between classes without a colour, as a share of the circle."""


class FolderClass(BaseModel):
    """One class of classes.json."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=1)]
    id: Byte | None = None
    color: Color | None = None
    thin: bool = False


class FolderConfig(BaseModel):
    """classes.json."""

    model_config = ConfigDict(extra="forbid")
    labels: Literal["index", "palette", "color"] = "index"
    ignore: list[Byte | Color] = Field(default_factory=list)
    classes: Annotated[list[FolderClass], Field(min_length=1, max_length=254)]


class Folder(PairedFiles):
    """One split of a user's own data."""

    name = "folder"
    splits = ("train", "val", "test", "coarse")

    def __init__(self, split: str, root: Path, problems: list[str] | None = None) -> None:
        """Reads the class list, lists the split and checks that every image has its label.

        Args:
            split: One of `splits`.
            root: Folder that holds classes.json and the splits' folders.
            problems: Collects what does not pair up instead of raising it.

        Raises:
            BenchError: Unknown split; a missing or wrong classes.json; a missing or empty
                folder; an image without a label or a label without an image.
        """
        check_choice("split of folder", split, self.splits)
        root = Path(root)
        path = root / "classes.json"
        config = read_config(path, FolderConfig, "bench/datasets/folder.py shows what it holds")
        _check(path, config)
        self.config = config
        self.classes = tuple(each.name for each in config.classes)
        self.colors = tuple(each.color or _hue(index) for index, each in enumerate(config.classes))
        self.thin = tuple(each.name for each in config.classes if each.thin)
        self.any_palette = config.labels == "palette"
        need = "a data folder has SPLIT/images and SPLIT/labels for each split, such as train"
        images = list_files(root / split / "images", IMAGE_SUFFIXES, need, MissingDataError)
        labels = list_files(root / split / "labels", LABEL_SUFFIXES, need)
        raise_or_collect(missing_halves(images, labels), problems, self.name)
        ids = {
            index if each.id is None else each.id: index
            for index, each in enumerate(config.classes)
        }
        ignored = [value for value in config.ignore if isinstance(value, int)]
        super().__init__(
            split,
            [
                Pair(f"{split}/{name}", image, labels[name])
                for name, image in images.items()
                if name in labels
            ],
            id_table(ids, ignored),
        )

    def decode_label(self, path: Path) -> Array:
        """Train ids of a label file, by id or by colour."""
        if self.config.labels != "color":
            return super().decode_label(path)
        codes = {_code(color): index for index, color in enumerate(self.colors)}
        codes |= {_code(c): IGNORE_INDEX for c in self.config.ignore if not isinstance(c, int)}
        known = np.array(sorted(codes))
        ids = np.array([codes[code] for code in known.tolist()], np.uint8)
        stored = read_image(path).astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
        places = np.searchsorted(known, stored).clip(max=len(known) - 1)
        label: Array = np.where(known[places] == stored, ids[places], UNKNOWN).astype(np.uint8)
        if (label == UNKNOWN).any():
            code = int(stored[label == UNKNOWN][0])
            raise BenchError(
                f"{path}: colour {[code >> 16, code >> 8 & 255, code & 255]} is no class's: add it "
                "to a class or to ignore in classes.json"
            )
        return label

    def fingerprint(self) -> str:
        """Hash of the names and sizes of all files, and of the class list."""
        return digest(super().fingerprint(), self.config.model_dump())


def _check(path: Path, config: FolderConfig) -> None:
    """Raises `BenchError` where entries of the class list contradict one another."""
    check_distinct(path, "class name", (each.name for each in config.classes))
    colors = [each.color for each in config.classes]
    if config.labels == "color":
        if None in colors:
            name = config.classes[colors.index(None)].name
            raise BenchError(
                f"{path}: class {name!r} has no color: with color labels each needs one"
            )
        values: list[object] = [*colors, *config.ignore]
    else:
        ids = (index if each.id is None else each.id for index, each in enumerate(config.classes))
        values = [*ids, *config.ignore]
    kind = tuple if config.labels == "color" else int
    for value in values:
        if not isinstance(value, kind):
            raise BenchError(
                f"{path}: ignore: {value} does not fit labels {config.labels!r}: give "
                + ("a colour such as [0, 0, 0]" if kind is tuple else "an id from 0 to 255")
            )
    check_distinct(path, "color" if kind is tuple else "id", values)


def _code(color: tuple[int, int, int]) -> int:
    red, green, blue = color
    return red << 16 | green << 8 | blue


def _hue(index: int) -> tuple[int, int, int]:
    """A colour for a class that has none."""
    red, green, blue = colorsys.hsv_to_rgb(index * GOLDEN % 1, 0.6 + 0.4 * (index % 2), 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)
