"""Mapillary Vistas (Neuhold et al., ICCV 2017), versions 1.2 and 2.0, classes from its own config.

    mapillary, version 1.2, 65 evaluated classes of 66:
        ROOT/config.json or config_v1.2.json
        ROOT/training/images/NAME.jpg
        ROOT/training/labels/NAME.png or training/v1.2/labels/NAME.png
    mapillary2, version 2.0, 123 evaluated classes of 124:
        ROOT/config_v2.0.json
        ROOT/training/images/NAME.jpg
        ROOT/training/v2.0/labels/NAME.png

and so on for validation (`val`) and testing (`test`, without labels: every pixel is ignored).
Labels are palette images whose index is a place in the config's list; train ids count the classes
that the config marks with `evaluate`, all others are ignored. Images have many sizes, up to tens
of megapixels.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from bench.datasets import check_choice, digest
from bench.datasets.files import (
    IMAGE_SUFFIXES,
    LABEL_SUFFIXES,
    Pair,
    PairedFiles,
    id_table,
    list_files,
    missing_halves,
    raise_or_collect,
)
from bench.datasets.reading import check_distinct, read_config
from bench.errors import BenchError, MissingDataError

FOLDERS = {"train": "training", "val": "validation", "test": "testing"}
THIN = (
    "object--support--",
    "object--street-light",
    "object--traffic-light",
    "object--traffic-sign",
)
"""How the config's names of thin classes begin: poles, sign frames, street lights, signs."""

Byte = Annotated[int, Field(ge=0, le=255)]


class VistasLabel(BaseModel):
    """One entry of the config's list."""

    name: str
    readable: str
    color: tuple[Byte, Byte, Byte]
    evaluate: bool


class VistasConfig(BaseModel):
    """What is read of the config; a label's place in the list is its stored id."""

    labels: Annotated[list[VistasLabel], Field(min_length=1, max_length=254)]


class Mapillary(PairedFiles):
    """One split of Mapillary Vistas 1.2.

    Attributes:
        version: The release.
        configs: Names that its config may have.
        label_folders: Where its labels may be below a split's folder.
    """

    name = "mapillary"
    splits = tuple(FOLDERS)
    any_palette = True
    version = "1.2"
    configs: tuple[str, ...] = ("config_v1.2.json", "config.json")
    label_folders: tuple[str, ...] = ("v1.2/labels", "labels")

    def __init__(self, split: str, root: Path, problems: list[str] | None = None) -> None:
        """Reads the config, lists the split and checks that every image has its label.

        Args:
            split: One of `splits`.
            root: Folder that holds the config and the splits' folders.
            problems: Collects what does not pair up instead of raising it.

        Raises:
            BenchError: Unknown split; a missing or damaged config; a missing or empty folder;
                an image without a label or a label without an image.
        """
        check_choice(f"split of {self.name}", split, self.splits)
        root = Path(root)
        config = self._find(root, self.configs, "--data-root is the folder that holds it")
        labels = read_config(config, VistasConfig, "take the file that came with the data").labels
        check_distinct(config, "class name", (label.name for label in labels))
        evaluated = [(index, label) for index, label in enumerate(labels) if label.evaluate]
        if not evaluated:
            raise BenchError(f"{config}: marks no label with evaluate: take the original file")
        self.classes = tuple(label.readable for _, label in evaluated)
        check_distinct(config, "class name", self.classes)
        self.colors = tuple(label.color for _, label in evaluated)
        self.thin = tuple(label.readable for _, label in evaluated if label.name.startswith(THIN))
        table = id_table(
            {index: train_id for train_id, (index, _) in enumerate(evaluated)}, range(len(labels))
        )
        super().__init__(split, self._pairs(split, root / FOLDERS[split], problems), table)

    def fingerprint(self) -> str:
        """Hash of the names and sizes of all files, and of what their labels mean."""
        return digest(super().fingerprint(), self.classes, self.table.tolist())

    def _pairs(self, split: str, folder: Path, problems: list[str] | None) -> list[Pair]:
        need = f"{self.name} has training/images, validation/images and testing/images"
        images = list_files(folder / "images", IMAGE_SUFFIXES, need, MissingDataError)
        if split == "test":
            return [Pair(f"{split}/{name}", path, None) for name, path in images.items()]
        place = self._find(folder, self.label_folders, "add the folder with the labels")
        labels = list_files(place, LABEL_SUFFIXES, "the labels belong there")
        raise_or_collect(missing_halves(images, labels), problems, self.name)
        return [
            Pair(f"{split}/{name}", path, labels[name])
            for name, path in images.items()
            if name in labels
        ]

    def _find(self, folder: Path, names: tuple[str, ...], mend: str) -> Path:
        for name in names:
            if (folder / name).exists():
                return folder / name
        error = MissingDataError if names == self.configs else BenchError
        raise error(
            f"{folder / names[0]}: not there{''.join(f', nor {name}' for name in names[1:])}: "
            f"{self.name} is Vistas {self.version}: {mend}"
        )


class Mapillary2(Mapillary):
    """One split of Mapillary Vistas 2.0."""

    name = "mapillary2"
    version = "2.0"
    configs = ("config_v2.0.json",)
    label_folders = ("v2.0/labels",)
