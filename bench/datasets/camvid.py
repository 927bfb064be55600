"""CamVid, real driving photographs (Brostow, Fauqueur and Cipolla, 2009), in 11 classes.

    ROOT/train/NAME.png  ROOT/trainannot/NAME.png  ROOT/train.txt (optional)

and so on for `val` and `test`; images may be JPEG as well, labels hold one byte a pixel.

For studies of coarse labels the training images are split: every eighth is in `fine`, the others
are in `coarse` with what `coarsen` leaves of their labels, and in `coarse-truth` as they are.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from bench.datasets import IGNORE_INDEX, Array, Sample, check_choice, check_label, coarsen, digest
from bench.errors import BenchError

SPLITS = ("train", "val", "test")
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


class CamVid:
    """One split of CamVid; see `bench.datasets.SegmentationDataset`."""

    name = "camvid"
    classes = tuple(PALETTE)
    colors = tuple(PALETTE.values())
    thin: tuple[str, ...] = ("pole", "sign")

    def __init__(self, split: str, root: Path) -> None:
        """Lists the split and checks that every image has its label.

        Args:
            split: One of `SPLITS`, or a part of the training images: `FINE`, `COARSE` or `TRUTH`.
            root: Folder that holds the split's folders.

        Raises:
            BenchError: Unknown split; a missing or empty folder; an image without a label, a
                label without an image, or a listed image that is not there.
        """
        parts = (FINE, COARSE, TRUTH)
        check_choice("split of camvid", split, (*SPLITS, *parts))
        self.split = split
        if split in parts:
            split = "train"
        root = Path(root)
        if not root.is_dir():
            raise BenchError(f"{root}: no such folder: pass the folder of CamVid as --data-root")
        images = _files(root / split, {".png", ".jpg", ".jpeg"})
        labels = _files(root / f"{split}annot", {".png"})
        listing = root / f"{split}.txt"
        names = _listed(listing) if listing.is_file() else sorted(images.keys() | labels.keys())
        for files, what in ((images, root / split), (labels, root / f"{split}annot")):
            missing = [name for name in names if name not in files]
            if missing:
                raise BenchError(
                    f"{what}: {len(missing)} of {len(names)} files are missing, the first is "
                    f"{missing[0]}: add them, or remove the other half of each pair"
                    + (f" and its line in {listing}" if listing.is_file() else "")
                )
        if self.split == FINE:
            names = names[::FINE_EVERY]
        elif self.split in (COARSE, TRUTH):
            names = [name for i, name in enumerate(names) if i % FINE_EVERY]
        self._pairs = [(images[name], labels[name]) for name in names]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._pairs)

    @property
    def truth_split(self) -> str | None:
        """The split that knows the true labels of this one's images."""
        return TRUTH if self.split == COARSE else None

    def sample_id(self, index: int) -> str:
        """The name of a sample, which is not read."""
        return f"{self.split}/{self._pairs[index][0].stem}"

    def __getitem__(self, index: int) -> Sample:
        """Decodes a pair.

        Raises:
            BenchError: An unreadable file, a label that is not one byte a pixel or of another
                size than its image, or a label id out of range.
        """
        image_path, label_path = self._pairs[index]
        image = _decode(image_path, "RGB")
        label = _decode(label_path, None)
        if label.ndim != 2 or label.dtype != np.uint8:
            raise BenchError(f"{label_path}: not one byte a pixel: store class ids 0 to {VOID}")
        if label.shape != image.shape[:2]:
            raise BenchError(
                f"{label_path}: label of {label.shape[1]} x {label.shape[0]} pixels, but "
                f"{image_path} has {image.shape[1]} x {image.shape[0]}: make them the same size"
            )
        label = np.where(label == VOID, np.uint8(IGNORE_INDEX), label)
        check_label(label, len(self.classes), label_path)
        if self.split == COARSE:
            label = coarsen(label)
        return Sample(image, label, self.sample_id(index))

    def fingerprint(self) -> str:
        """Hash of the names and sizes of all files."""
        files = [path for pair in self._pairs for path in pair]
        return digest(self.name, self.split, [(path.name, path.stat().st_size) for path in files])


def _files(folder: Path, suffixes: set[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise BenchError(
            f"{folder}: no such folder: camvid needs SPLIT and SPLITannot for each split used, "
            f"out of {', '.join(SPLITS)}; is --data-root right?"
        )
    files = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in suffixes}
    if not files:
        raise BenchError(f"{folder}: holds no {' or '.join(sorted(suffixes))} file: add them")
    return files


def _listed(listing: Path) -> list[str]:
    """Stems of the first path on each line, whatever folder the list was written for."""
    names = [
        Path(line.split()[0]).stem for line in listing.read_text().splitlines() if line.strip()
    ]
    if not names:
        raise BenchError(f"{listing}: names no image: fill it, or remove it to use every file")
    return names


def _decode(path: Path, mode: str | None) -> Array:
    try:
        with Image.open(path) as picture:
            return np.array(picture if mode is None else picture.convert(mode))
    except (OSError, SyntaxError, ValueError) as error:
        raise BenchError(f"{path}: cannot be read ({error}): replace this file") from error
