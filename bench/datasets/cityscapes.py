"""Cityscapes (Cordts et al., CVPR 2016): 19 evaluated classes, fine and coarse labels.

    ROOT/leftImg8bit/{train,val,test,train_extra}/CITY/NAME_leftImg8bit.png
    ROOT/gtFine/{train,val}/CITY/NAME_gtFine_labelIds.png
    ROOT/gtCoarse/train_extra/CITY/NAME_gtCoarse_labelIds.png

Packages that were unzipped into folders of their own, such as leftImg8bit_trainvaltest/leftImg8bit,
are found as well. Labels are the `labelIds` files as published.

Splits: `train`, `val`, `trainval`; `test`, whose labels are not public: every pixel is ignored;
`coarse`, which is train_extra with coarse labels; and for three-fold cross-validation `train_cvK`
with `val_cvK`, K = 0, 1, 2. The cities of val and then those of train, each in alphabetical order,
form one list of n; `val_cvK` holds as many cities as val, from number K n // 3 on, and `train_cvK`
all others. So cv0 is the standard split. This is how the article's own code cuts
(NVIDIA/semantic-segmentation, datasets/cityscapes.py).
"""

from pathlib import Path

import numpy as np

from bench.datasets import Array, check_choice
from bench.datasets.files import (
    Pair,
    PairedFiles,
    id_table,
    missing_halves,
    raise_or_collect,
)
from bench.errors import BenchError, MissingDataError

CLASSES = {
    "road": (7, (128, 64, 128)),
    "sidewalk": (8, (244, 35, 232)),
    "building": (11, (70, 70, 70)),
    "wall": (12, (102, 102, 156)),
    "fence": (13, (190, 153, 153)),
    "pole": (17, (153, 153, 153)),
    "traffic light": (19, (250, 170, 30)),
    "traffic sign": (20, (220, 220, 0)),
    "vegetation": (21, (107, 142, 35)),
    "terrain": (22, (152, 251, 152)),
    "sky": (23, (70, 130, 180)),
    "person": (24, (220, 20, 60)),
    "rider": (25, (255, 0, 0)),
    "car": (26, (0, 0, 142)),
    "truck": (27, (0, 0, 70)),
    "bus": (28, (0, 60, 100)),
    "train": (31, (0, 80, 100)),
    "motorcycle": (32, (0, 0, 230)),
    "bicycle": (33, (119, 11, 32)),
}
"""Class name to its label id and colour, in train-id order."""

UNLABELED, LAST_ID = 0, 33
LABEL_IDS = np.array([label_id for label_id, _ in CLASSES.values()], np.uint8)
FOLDS = 3
CROSS = tuple(f"{part}_cv{fold}" for fold in range(FOLDS) for part in ("train", "val"))


class Cityscapes(PairedFiles):
    """One split of Cityscapes."""

    name = "cityscapes"
    splits = ("train", "val", "test", "coarse")
    derived_splits = ("trainval", *CROSS)
    classes = tuple(CLASSES)
    colors = tuple(color for _, color in CLASSES.values())
    thin = ("pole", "traffic light", "traffic sign")

    def __init__(self, split: str, root: Path, problems: list[str] | None = None) -> None:
        """Lists the split and checks that every image has its label.

        Args:
            split: One of `splits` or `derived_splits`.
            root: Folder that holds leftImg8bit and gtFine, or gtCoarse.
            problems: Collects what does not pair up instead of raising it.

        Raises:
            BenchError: Unknown split; a missing or empty folder; an image without a label or
                a label without an image.
        """
        check_choice("split of cityscapes", split, self.splits + self.derived_splits)
        self.root = Path(root)
        pairs: list[Pair] = []
        lines: list[str] = []
        for folder, cities in self._folders(split).items():
            images = self._files("leftImg8bit", folder, cities, "leftImg8bit")
            labels: dict[str, Path] = {}
            if folder != "test":
                truth = _truth(folder)
                labels = self._files(truth, folder, cities, f"{truth}_labelIds")
                lines += missing_halves(images, labels)
            pairs += [
                Pair(f"{folder}/{name}", path, labels.get(name))
                for name, path in images.items()
                if name in labels or folder == "test"
            ]
        raise_or_collect(lines, problems, self.name)
        table = id_table(
            {int(label_id): index for index, label_id in enumerate(LABEL_IDS)}, range(LAST_ID + 1)
        )
        super().__init__(split, pairs, table)

    @staticmethod
    def encode(label: Array) -> Array:
        """Label ids of train ids, as Cityscapes stores them; ignored pixels are unlabeled."""
        table = np.full(256, UNLABELED, np.uint8)
        table[: len(LABEL_IDS)] = LABEL_IDS
        encoded: Array = table[label]
        return encoded

    @staticmethod
    def label_path(sample_id: str) -> Path:
        """Where a sample's label belongs below a root, such as gtFine/val/ulm/..."""
        folder, city, name = sample_id.split("/")
        truth = _truth(folder)
        return Path(truth, folder, city, f"{name}_{truth}_labelIds.png")

    def _folders(self, split: str) -> dict[str, set[str] | None]:
        """Folders below leftImg8bit that a split takes, each with its cities; None takes all."""
        if split in self.splits:
            return {"train_extra" if split == "coarse" else split: None}
        val, train = self._cities("val"), self._cities("train")
        places = [("val", city) for city in val] + [("train", city) for city in train]
        if split != "trainval":
            part, fold = split.split("_cv")
            first = int(fold) * len(places) // FOLDS
            held_out = places[first : first + len(val)]
            places = [place for place in places if (place in held_out) == (part == "val")]
        return {home: {city for folder, city in places if folder == home} for home, _ in places}

    def _cities(self, folder: str) -> list[str]:
        found = self._files("leftImg8bit", folder, None, "leftImg8bit")
        return sorted({name.split("/")[0] for name in found})

    def _files(self, kind: str, folder: str, cities: set[str] | None, tail: str) -> dict[str, Path]:
        """CITY/NAME to file, of one kind of file in one folder."""
        base = self._place(kind, folder)
        files = {
            f"{path.parent.name}/{path.stem.removesuffix('_' + tail)}": path
            for path in sorted(base.glob(f"*/[!.]*_{tail}.png"))
            if cities is None or path.parent.name in cities
        }
        if not files:
            raise BenchError(f"{base}: holds no CITY/NAME_{tail}.png file: add them")
        return files

    def _place(self, kind: str, folder: str) -> Path:
        """A package's folder below the root, or below a folder named for the package."""
        straight = self.root / kind / folder
        places = [straight, *sorted(self.root.glob(f"{kind}*/{kind}/{folder}"))]
        for place in places:
            if place.is_dir():
                return place
        error = MissingDataError if kind == "leftImg8bit" else BenchError
        raise error(
            f"{straight}: no such folder, nor {self.root}/{kind}*/{kind}/{folder}: --data-root is "
            "the folder that holds leftImg8bit and gtFine, and for coarse labels gtCoarse"
        )


def _truth(folder: str) -> str:
    return "gtCoarse" if folder == "train_extra" else "gtFine"
