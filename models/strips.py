"""Full-size maps that are computed a few rows at a time, so that none but the result is whole.

A ``Strips`` stands for a B x C x H x W map. It can be resized, and combined with tensors and
other strips; nothing is computed until ``whole`` asks for it, strip by strip of rows. Bilinear
resizing is a resizing of rows and then of columns, so a strip reads just the rows that it needs,
and the numbers are those of the whole map.

``resize`` and ``pointwise`` take tensors as well, so that one formula serves both.

Letters: B batch, C channels, H W this map's grid, R rows of a strip.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, overload

import torch
from torch import Tensor

from models import layers

STRIP = 2**21
"""Elements of a strip: what the cache of a CPU core holds, and enough work for a GPU."""

Size: TypeAlias = tuple[int, int]


class Strips:
    """A map known by its size and by how some of its rows are computed."""

    size: Size

    def rows(self, start: int, stop: int) -> Tensor:
        """Compute rows ``start`` to ``stop`` (left out), B x C x R x W, channels-last."""
        raise NotImplementedError

    def resize(self, size: Size) -> Strips:
        """Resize bilinearly, ``align_corners=False``."""
        return self if self.size == size else Resized(self, (size,))

    def whole(self) -> Tensor:
        """Compute all rows, B x C x H x W, channels-last."""
        return _collect(self.rows, self.size[0], STRIP // self.rows(0, 1).numel())

    def argmax(self) -> Tensor:
        """The channel with the highest value at each pixel, B x 1 x H x W in uint8."""
        return _collect(
            lambda start, stop: self.rows(start, stop).argmax(1, keepdim=True).to(torch.uint8),
            self.size[0],
            STRIP // self.rows(0, 1).numel(),
        )

    def __add__(self, other: Map) -> Strips:
        return Pointwise(torch.add, (self, other))

    def __mul__(self, other: Map) -> Strips:
        return Pointwise(torch.mul, (self, other))

    __radd__ = __add__
    __rmul__ = __mul__


Map: TypeAlias = Tensor | Strips


class Source(Strips):
    """A map that is at hand, B x C x H x W, read in float32."""

    def __init__(self, maps_BCHW: Tensor) -> None:
        self.maps = maps_BCHW.contiguous(memory_format=torch.channels_last)
        self.size = (maps_BCHW.shape[2], maps_BCHW.shape[3])

    def rows(self, start: int, stop: int) -> Tensor:
        """Look the rows up."""
        return self.maps[:, :, start:stop].float()


class Resized(Strips):
    """A map after one or several bilinear resizings: first all those of rows, then of columns."""

    def __init__(self, source: Strips, sizes: tuple[Size, ...]) -> None:
        self.source, self.sizes = source, sizes
        self.size = sizes[-1]

    def resize(self, size: Size) -> Strips:
        """Resize once more."""
        return self if self.size == size else Resized(self.source, (*self.sizes, size))

    def rows(self, start: int, stop: int) -> Tensor:
        """Resize the rows of the source that are needed."""
        strip = self._mix_rows(start, stop, len(self.sizes))
        for _, width in self.sizes:
            strip = layers.resize(strip, (stop - start, width))
        return strip

    def _mix_rows(self, start: int, stop: int, resizings: int) -> Tensor:
        """Rows ``start`` to ``stop`` after some of the resizings, columns as in the source."""
        if resizings == 0:
            return self.source.rows(start, stop)
        heights = (self.source.size[0], *(height for height, _ in self.sizes))
        before, after = heights[resizings - 1], heights[resizings]
        position = torch.arange(start, stop, dtype=torch.float32).add(0.5) * (before / after) - 0.5
        position.clamp_(0, before - 1)
        upper = position.long()
        lower = (upper + 1).clamp_max(before - 1)
        first = int(upper[0])
        strip = self._mix_rows(first, int(lower[-1]) + 1, resizings - 1)
        fraction = (position - upper)[:, None].to(strip)
        return torch.lerp(
            _take_rows(strip, upper - first), _take_rows(strip, lower - first), fraction
        )


class Pointwise(Strips):
    """A function of maps of one size, pixel by pixel; tensors among them may be B x 1 x H x W."""

    def __init__(self, function: Callable[..., Tensor], maps: tuple[Map, ...]) -> None:
        self.function, self.maps = function, maps
        self.size = next(each.size for each in maps if isinstance(each, Strips))

    def rows(self, start: int, stop: int) -> Tensor:
        """Apply the function to the same rows of all maps."""
        return self.function(
            *(
                each.rows(start, stop) if isinstance(each, Strips) else each[:, :, start:stop]
                for each in self.maps
            )
        )


def by_rows(function: Callable[[Tensor], Tensor], maps_BCHW: Tensor) -> Tensor:
    """Apply a function that treats each pixel by itself to some rows at a time."""
    return _collect(
        lambda start, stop: function(maps_BCHW[:, :, start:stop]),
        maps_BCHW.shape[2],
        4 * STRIP // maps_BCHW[:, :, :1].numel(),
    )


@overload
def resize(maps: Tensor, size: Size) -> Tensor: ...
@overload
def resize(maps: Strips, size: Size) -> Strips: ...
def resize(maps: Map, size: Size) -> Map:
    """Resize a tensor or strips bilinearly, ``align_corners=False``."""
    return maps.resize(size) if isinstance(maps, Strips) else layers.resize(maps, size)


def pointwise(function: Callable[..., Tensor], *maps: Map) -> Map:
    """Apply a pixel-by-pixel function to tensors, or to strips when they are computed."""
    if any(isinstance(each, Strips) for each in maps):
        return Pointwise(function, maps)
    return function(*maps)


def _collect(rows: Callable[[int, int], Tensor], height: int, step: int) -> Tensor:
    """Put strips of ``step`` rows together, channels-last."""
    step = max(1, step)
    result = rows(0, min(step, height))
    if step >= height:
        return result
    strip, shape = result, list(result.shape)
    shape[2] = height
    result = torch.empty(
        shape, dtype=strip.dtype, device=strip.device, memory_format=torch.channels_last
    )
    result[:, :, :step] = strip
    for start in range(step, height, step):
        stop = min(start + step, height)
        result[:, :, start:stop] = rows(start, stop)
    return result


def _take_rows(strip_BCRW: Tensor, index: Tensor) -> Tensor:
    """Rows by index, kept channels-last."""
    rows_BRWC = strip_BCRW.permute(0, 2, 3, 1).index_select(1, index.to(strip_BCRW.device))
    return rows_BRWC.permute(0, 3, 1, 2)
