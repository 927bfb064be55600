"""Reading one file of a data set: images, index images, JSON; what is wrong with it is one line."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel

from bench.datasets import Array
from bench.errors import BenchError, readable_validation

MAX_PIXELS = 2**31
"""Street photographs are far larger than what Pillow takes for a decompression bomb."""

KINDS = {
    "1": "a black and white",
    "L": "a greyscale",
    "P": "a palette",
    "RGB": "a colour",
    "RGBA": "a colour",
    "I;16": "a 16-bit",
    "I;16B": "a 16-bit",
    "I": "a 32-bit",
}
"""Pillow's names of pixel formats in words."""

Config = TypeVar("Config", bound=BaseModel)


def read_image(path: Path) -> Array:
    """Decodes an image, H W 3 uint8 RGB."""
    with _opened(path) as picture:
        return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def read_indices(path: Path) -> tuple[Array, Array | None]:
    """Decodes an index image.

    Returns:
        H W uint8 indices, and of a palette image the 256 x 3 uint8 palette.

    Raises:
        BenchError: An unreadable file, or one that does not hold one byte a pixel.
    """
    with _opened(path) as picture:
        if picture.mode not in ("L", "P"):
            kind = KINDS.get(picture.mode, f"a {picture.mode}")
            raise BenchError(
                f"{path}: {kind} image where class ids are due: store ids as 8-bit greyscale image"
            )
        palette = None
        if picture.mode == "P":
            listed = picture.getpalette("RGB") or []
            palette = np.zeros((256, 3), np.uint8)
            palette.ravel()[: len(listed)] = listed
        return np.array(picture), palette


def read_config(path: Path, model: type[Config], mend: str) -> Config:
    """Reads a JSON file into a typed model.

    Raises:
        BenchError: No such file, not JSON, or a key that is missing or wrong; `mend` ends the line.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchError(f"{path}: can't be read ({error.strerror}): {mend}") from error
    except ValueError as error:
        raise BenchError(f"{path}: is not JSON ({error}): {mend}") from error
    try:
        with readable_validation(str(path)):
            return model.model_validate(content)
    except BenchError as error:
        raise BenchError(f"{error}: {mend}") from None


def check_distinct(path: Path, what: str, values: Iterable[object]) -> None:
    """Raises `BenchError` if a value of the file `path` comes twice."""
    seen = set()
    for value in values:
        if value in seen:
            raise BenchError(f"{path}: {what} {value!r} is given twice: give each its own")
        seen.add(value)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image file; whatever goes wrong with it is one line."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    try:
        with Image.open(path) as picture:
            yield picture
    except BenchError:
        raise
    except PermissionError as error:
        raise BenchError(f"{path}: may not be read: give this user the right to") from error
    except UnidentifiedImageError as error:
        raise BenchError(f"{path}: is no image: replace this file") from error
    except Exception as error:  # Pillow raises nearly anything on a damaged file
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise BenchError(f"{path}: cannot be read ({reason}): replace this file") from error
