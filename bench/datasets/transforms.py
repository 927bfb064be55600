"""Random crops for training, image and label together, and the normalisation of a batch.

torchvision is imported when the first crop is cut: it takes a second, and most commands cut none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from bench.datasets import IGNORE_INDEX, Array

AnyArray = npt.NDArray[Any]

MEAN = (123.675, 116.28, 103.53)
"""Mean of ImageNet's channels on the scale of uint8; the standard deviations below too."""
STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class TrainTransform:
    """Random scale, crop, flip, colour jitter and blur.

    Attributes:
        crop: Height and width of the result.
        scale: Range of the enlargement, drawn uniformly.
        flip: Chance of a left-right flip.
        color_jitter: Brightness, contrast and saturation are each multiplied by a number drawn
            from 1 +- this.
        blur: Chance of a Gaussian blur with a sigma of 0.2 to 1.2 pixels.
    """

    crop: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.5
    color_jitter: float = 0.25
    blur: float = 0.2

    def __call__(
        self,
        image: Array,
        label: AnyArray,
        generator: np.random.Generator,
        center: tuple[int, int] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Cuts one crop; every random choice comes from `generator`.

        The window that becomes the crop is cut first and only that is resized. What it sees
        outside the image is filled with ImageNet's mean colour and `IGNORE_INDEX`.

        Args:
            image: H W 3 uint8.
            label: H W uint8, or H W K probabilities, all 0 where ignored.
            generator: Source of randomness.
            center: Row and column of a pixel that the crop shall show, anywhere in it.

        Returns:
            The crop, 3 h w uint8, and its label, h w int64 or h w K.
        """
        from torchvision.transforms.v2 import functional as tv

        factor = generator.uniform(*self.scale)
        size = [max(1, round(side / factor)) for side in self.crop]
        top, left = (
            _offset(
                label.shape[axis], size[axis], None if center is None else center[axis], generator
            )
            for axis in (0, 1)
        )
        pixels = torch.from_numpy(_window(image, (top, left), size, np.array(MEAN).round()))
        ids = _window(label, (top, left), size, IGNORE_INDEX if label.ndim == 2 else 0)
        ids = ids[_nearest(size[0], self.crop[0])][:, _nearest(size[1], self.crop[1])]
        picture = tv.resize(pixels.permute(2, 0, 1), list(self.crop), antialias=True)
        target = torch.from_numpy(ids.astype(np.int64) if label.ndim == 2 else ids)
        if generator.random() < self.flip:
            picture, target = picture.flip(-1), target.flip(1)
        return self._recolor(picture, generator).contiguous(), target.contiguous()

    def _recolor(self, picture: Tensor, generator: np.random.Generator) -> Tensor:
        if self.color_jitter:
            from torchvision.transforms.v2 import functional as tv

            for adjust in (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation):
                strength = generator.uniform(1 - self.color_jitter, 1 + self.color_jitter)
                picture = adjust(picture, strength)
        if generator.random() < self.blur:
            picture = _blur(picture, generator.uniform(0.2, 1.2))
        return picture


def normalize(images: Tensor) -> Tensor:
    """Images, N 3 H W uint8, as float32 with ImageNet's mean 0 and standard deviation 1."""
    mean, std = (images.new_tensor(v, dtype=torch.float32).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (images.float() - mean) / std


def _offset(length: int, window: int, center: int | None, generator: np.random.Generator) -> int:
    """First pixel of a window on one axis: inside the image where it fits, else covering it."""
    low, high = min(0, length - window), max(0, length - window)
    if center is None:
        return int(generator.integers(low, high + 1))
    return int(np.clip(center - generator.integers(window), low, high))


def _nearest(source: int, target: int) -> npt.NDArray[np.int64]:
    """For each of `target` pixels, the one of `source` pixels under its centre."""
    return (2 * np.arange(target) + 1) * source // (2 * target)


def _window(array: Array, corner: Sequence[int], size: Sequence[int], fill: npt.ArrayLike) -> Array:
    """The rows and columns from `corner` on of H W or H W 3, filled where they are outside."""
    spans = [
        (max(first, 0), min(first + length, side))
        for first, length, side in zip(corner, size, array.shape, strict=False)
    ]
    inside: Array = array[tuple(slice(low, max(low, high)) for low, high in spans)]
    if inside.shape[:2] == tuple(size):
        return np.ascontiguousarray(inside)
    out = np.empty((*size, *array.shape[2:]), array.dtype)
    out[...] = fill
    (top, _), (left, _) = spans
    rows, columns = top - corner[0], left - corner[1]
    out[rows : rows + inside.shape[0], columns : columns + inside.shape[1]] = inside
    return out


def _blur(picture: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of 3 h w uint8 over 5 x 5 pixels, one axis after the other.

    The two passes are torchvision's 5 x 5 kernel up to rounding, in a fraction of its time.
    """
    weights = torch.exp(-0.5 * (torch.arange(-2, 3) / sigma) ** 2)
    taps = (weights / weights.sum()).tolist()
    blurred = functional.pad(picture.float(), (2, 2, 2, 2), mode="reflect")
    for axis in (-2, -1):
        length = blurred.shape[axis] - 4
        total = blurred.narrow(axis, 0, length) * taps[0]
        for shift, tap in enumerate(taps[1:], start=1):
            total.add_(blurred.narrow(axis, shift, length), alpha=tap)
        blurred = total
    return blurred.round_().to(torch.uint8)
