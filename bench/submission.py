"""Files for the Cityscapes test server: one PNG of label ids an image, zipped."""

import io
import re
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.datasets import SegmentationDataset
from bench.errors import BenchError

SERVER_NAME = re.compile(r"[^_]+_\d{6}_\d{6}")
"""What the server finds an image by: CITY_SEQUENCE_FRAME at the start of the file's name."""


class Submission:
    """A zip archive, used as a context, that appears under its name once it is complete.

    Args:
        path: the archive.
        dataset: the split; its ``encode`` turns train ids into the server's label ids.

    Raises:
        BenchError: a data set without ``encode``, or a place that can't be written.
    """

    def __init__(self, path: Path, dataset: SegmentationDataset) -> None:
        self.encode = getattr(dataset, "encode", None)
        if self.encode is None:
            raise BenchError(
                f"--submit: data set {dataset.name} has no label ids of a test server; "
                "take --dataset cityscapes"
            )
        self.path, self.partial = path, path.with_suffix(".partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.archive = zipfile.ZipFile(self.partial, "w")
        except OSError as error:
            raise BenchError(
                f"--submit {path}: can't be written ({error.strerror}): choose another place"
            ) from error

    def add(self, sample_id: str, classes_HW: NDArray[np.uint8]) -> None:
        """Add an image's classes.

        Raises:
            BenchError: an id that the server would not find.
        """
        match = SERVER_NAME.match(sample_id.rsplit("/", 1)[-1])
        if match is None:
            raise BenchError(
                f"--submit: image {sample_id} isn't named CITY_SEQUENCE_FRAME with six digits each"
            )
        assert self.encode is not None
        png = io.BytesIO()
        Image.fromarray(self.encode(classes_HW)).save(png, "PNG")
        self.archive.writestr(f"{match[0]}_pred_labelIds.png", png.getvalue())

    def __enter__(self) -> "Submission":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.archive.close()
        if kind is None:
            self.partial.rename(self.path)
        else:
            self.partial.unlink()
