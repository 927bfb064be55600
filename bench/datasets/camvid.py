"""CamVid, real driving photographs (Brostow, Fauqueur and Cipolla, 2009), in 11 classes.

    ROOT/train/NAME.png  ROOT/trainannot/NAME.png  ROOT/train.txt (optional)

and so on for `val` and `test`; images may be JPEG as well, labels hold one byte a pixel.

For studies of coarse labels the training images are split: every eighth is in `fine`, the others
are in `coarse` with what `coarsen` leaves of their labels, and in `coarse-truth` as they are.
"""

from pathlib import Path

from bench.datasets import IGNORE_INDEX, Array, check_choice, coarsen
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
from bench.errors import BenchError, MissingDataError

FINE, COARSE, TRUTH = "fine", "coarse", "coarse-truth"
FINE_EVERY = 8
VOID = 11
PALETTE = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "sidewalk": (0, 0, 192),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}


class CamVid(PairedFiles):
    """One split of CamVid."""

    name = "camvid"
    splits = ("train", "val", "test")
    derived_splits = (FINE, COARSE, TRUTH)
    classes = tuple(PALETTE)
    colors = tuple(PALETTE.values())
    thin = ("pole", "sign")

    def __init__(self, split: str, root: Path, problems: list[str] | None = None) -> None:
        """Lists the split and checks that every image has its label.

        Args:
            split: One of `splits` or `derived_splits`.
            root: Folder that holds the split's folders.
            problems: Collects what does not pair up instead of raising it.

        Raises:
            BenchError: Unknown split; a missing or empty folder; an image without a label, a
                label without an image, or a listed image that is not there.
        """
        check_choice("split of camvid", split, self.splits + self.derived_splits)
        part, split = split, "train" if split in self.derived_splits else split
        root = Path(root)
        need = "camvid has the folders SPLIT and SPLITannot for each split, such as train"
        images = list_files(root / split, IMAGE_SUFFIXES, need, MissingDataError)
        labels = list_files(root / f"{split}annot", LABEL_SUFFIXES, need)
        lines = missing_halves(images, labels)
        names = sorted(images.keys() & labels.keys())
        listing = root / f"{split}.txt"
        if listing.is_file():
            listed = _listed(listing)
            lines = [
                f"{listing}: names {name}, but it is not in both {split} and {split}annot: add "
                "it, or remove the line"
                for name in listed
                if name not in names
            ]
            names = [name for name in listed if name in names]
        raise_or_collect(lines, problems, self.name)
        if part == FINE:
            names = names[::FINE_EVERY]
        elif part in (COARSE, TRUTH):
            names = [name for i, name in enumerate(names) if i % FINE_EVERY]
        super().__init__(
            part,
            [Pair(f"{part}/{name}", images[name], labels[name]) for name in names],
            id_table({index: index for index in range(VOID)}, (VOID, IGNORE_INDEX)),
        )

    @property
    def truth_split(self) -> str | None:
        """The split that knows the true labels of this one's images."""
        return TRUTH if self.split == COARSE else None

    def decode_label(self, path: Path) -> Array:
        """Train ids of a label file, coarsened where the split is."""
        label = super().decode_label(path)
        return coarsen(label) if self.split == COARSE else label


def _listed(listing: Path) -> list[str]:
    """Stems of the first path on each line, whatever folder the list was written for."""
    names = [
        Path(line.split()[0]).stem for line in listing.read_text().splitlines() if line.strip()
    ]
    if not names:
        raise BenchError(f"{listing}: names no image: fill it, or remove it to use every file")
    return names
