"""Images without labels: all image files below a folder."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.datasets import IGNORE_INDEX, Array, Sample, digest
from bench.datasets.reading import read_image
from bench.errors import BenchError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".tif", ".tiff", ".webp")


class Unlabelled:
    """Image files as a data set whose labels are ignored everywhere.

    See `bench.datasets.SegmentationDataset`; a sample's id is its path below the folder, without
    the file's ending.
    """

    name = "images"
    thin: tuple[str, ...] = ()

    def __init__(
        self,
        folder: Path,
        classes: tuple[str, ...],
        colors: tuple[tuple[int, int, int], ...],
        encode: Callable[[Array], Array] | None = None,
        leave_out: Path | None = None,
    ) -> None:
        """Lists the files.

        Args:
            folder: Where they are, at any depth.
            classes: Names of the classes that they will be labelled with.
            colors: RGB of each class.
            encode: Train ids to what label files hold; by default the same.
            leave_out: A folder below that holds other files.

        Raises:
            BenchError: No such folder, no image in it, or two images with one name.
        """
        if not folder.is_dir():
            raise BenchError(f"{folder}: no such folder of images, and no data set of that name")
        self.split = str(folder.resolve())
        self.classes, self.colors, self.encode = classes, colors, encode
        self._files = [
            path
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in SUFFIXES
            and not path.name.startswith(".")
            and not (leave_out and leave_out.resolve() in path.resolve().parents)
        ]
        if not self._files:
            raise BenchError(f"{folder}: holds no image ({', '.join(SUFFIXES)})")
        self._ids = [path.relative_to(folder).with_suffix("").as_posix() for path in self._files]
        twice = [name for name, count in Counter(self._ids).items() if count > 1]
        if twice:
            raise BenchError(
                f"{folder}: several images are called {twice[0]}, and so would their labels be: "
                "rename all but one"
            )

    def __len__(self) -> int:
        """Number of images."""
        return len(self._files)

    def sample_id(self, index: int) -> str:
        """The name of an image, which is not read."""
        return self._ids[index]

    def __getitem__(self, index: int) -> Sample:
        """Decodes an image.

        Raises:
            BenchError: It can't be read.
        """
        image = read_image(self._files[index])
        return Sample(image, np.full(image.shape[:2], IGNORE_INDEX, np.uint8), self._ids[index])

    def fingerprint(self) -> str:
        """Hash of the names and sizes of all files."""
        sizes = [path.stat().st_size for path in self._files]
        return digest(self.name, self._ids, sizes)
