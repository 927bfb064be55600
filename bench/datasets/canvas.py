"""A camera, a canvas and textures: how a world of flat surfaces in metres becomes a picture.

The camera is at the origin: x to the right, height up, z ahead. Surfaces are painted from far to
near into buffers that hold each pixel's surface and its place on that surface; one pass at the end
turns them into colours. Only integers and + - * / % are used on the way, so no mathematics library
can change a bit.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.datasets import IGNORE_INDEX, Array

NOISE = 12  # half-width of the triangular pixel noise, in grey levels
HAZE = 1.2  # pixels per metre at which half of the contrast is lost

Rgb = tuple[float, float, float]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Window = tuple[slice, slice]

GRAIN, TILES, WINDOWS, BRICK, FOLIAGE, CLOUD = range(6)
TEXELS = 256  # side of a texture, which repeats
TEXELS_PER_METRE = 32


class Style(NamedTuple):
    """A texture and the colours of its darkest and lightest texel."""

    texture: int
    dark: Rgb
    light: Rgb


STYLES = {
    "asphalt": Style(GRAIN, (66, 66, 72), (124, 122, 122)),
    "tiles": Style(TILES, (88, 84, 80), (168, 158, 144)),
    "windows": Style(WINDOWS, (52, 58, 72), (168, 148, 126)),
    "brick": Style(BRICK, (88, 62, 54), (160, 116, 96)),
    "plaster": Style(GRAIN, (146, 132, 108), (204, 188, 160)),
    "foliage": Style(FOLIAGE, (22, 40, 20), (112, 136, 74)),
    "sky": Style(CLOUD, (118, 150, 192), (226, 230, 238)),
    "metal": Style(GRAIN, (34, 36, 40), (78, 80, 84)),
    "bark": Style(GRAIN, (58, 44, 32), (104, 82, 60)),
    "red": Style(GRAIN, (160, 30, 36), (196, 52, 54)),
    "blue": Style(GRAIN, (24, 52, 140), (44, 84, 184)),
    "teal": Style(GRAIN, (20, 92, 92), (52, 136, 132)),
    "violet": Style(GRAIN, (88, 48, 120), (132, 84, 164)),
    "white": Style(GRAIN, (200, 200, 200), (236, 236, 236)),
    "vest": Style(GRAIN, (196, 130, 30), (240, 186, 70)),
    "trousers": Style(GRAIN, (28, 30, 52), (56, 60, 92)),
    "skin": Style(GRAIN, (150, 108, 88), (206, 166, 138)),
}


class Surface(NamedTuple):
    """What covers a painted pixel: class, texture with its texels per metre and shift, colours."""

    label: int
    texture: int
    texels: float
    shift: float
    dark: Rgb
    light: Rgb


@lru_cache(maxsize=1)
def textures() -> Floats:
    """The textures, N TEXELS TEXELS in [-0.5, 0.5], drawn once from a fixed seed."""
    rng = np.random.Generator(np.random.PCG64(20))

    def noise(cell: int) -> npt.NDArray[np.int64]:
        """Smooth noise in [0, 255] that repeats, with features of `cell` texels."""
        coarse = rng.integers(0, 256, (TEXELS // cell, TEXELS // cell))
        fine = coarse.repeat(cell, 0).repeat(cell, 1)
        for axis in (0, 1):
            fine = np.sum([np.roll(fine, i, axis) for i in range(cell)], axis=0) // cell
        return fine

    y, x = np.mgrid[:TEXELS, :TEXELS]
    grain = (noise(1) + 2 * noise(2) + noise(4)) // 4
    joints = (x % 16 == 0) | (y % 16 == 0)
    slabs = rng.integers(100, 220, (16, 16)).repeat(16, 0).repeat(16, 1)
    panes = (x % 64 >= 16) & (x % 64 < 46) & (y % 64 >= 14) & (y % 64 < 50) & (x % 64 != 31)
    glass = rng.integers(0, 110, (4, 4)).repeat(64, 0).repeat(64, 1)
    mortar = (y % 8 == 0) | ((x + y // 8 % 2 * 8) % 16 == 0)
    leaves = (noise(2) + 2 * noise(4) + 2 * noise(8) + noise(16)) // 6
    stack = np.stack(
        [
            grain,
            np.where(joints, 0, (3 * slabs + grain) // 4),
            np.where(panes, (3 * glass + grain) // 4, (600 + grain) // 4),
            np.where(mortar, 235, (2 * grain + noise(8)) // 4 + 40),
            np.clip((leaves - 128) * 3 + 128, 0, 255),
            np.clip((noise(32) + noise(64) - 256) + 128, 0, 255),
        ]
    )
    return (stack / 255 - 0.5).astype(np.float32)


class Dice:
    """The random choices of one scene, from a stream of its own."""

    def __init__(self, *key: int) -> None:
        """Seeds the stream from whole numbers, such as (seed, split, index)."""
        self.rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.rng.random()

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.rng.random() < probability

    def choice(self, items: tuple[str, ...]) -> str:
        """One of the items."""
        return items[int(self.rng.random() * len(items))]

    def count(self, expected: float) -> int:
        """A whole number between 0 and about twice `expected`, which is its mean."""
        return int(self.uniform(0, 2 * expected) + self.rng.random())


class Canvas:
    """Buffers of a picture and the shapes that can be painted into them, in metres.

    Pixel coordinates are relative to the vanishing point. What is painted later covers what was
    painted before, in the label and in the picture.
    """

    def __init__(self, size: tuple[int, int], dice: Dice) -> None:
        """Sets up a camera looking ahead along z, a little varied from scene to scene."""
        height, width = size
        self.focal = height * dice.uniform(0.85, 1.15)
        self.eye = dice.uniform(1.5, 2.1)
        self.center = width * dice.uniform(0.4, 0.6)
        self.horizon = height * dice.uniform(0.42, 0.52)
        self.pixel = height / 160
        self.x = (np.arange(width) + 0.5 - self.center).astype(np.float32)
        self.y = (np.arange(height) + 0.5 - self.horizon).astype(np.float32)
        self.label = np.full(size, IGNORE_INDEX, np.uint8)
        self.surface = np.zeros(size, np.intp)
        self.u, self.v, self.k = (np.ones(size, np.float32) for _ in range(3))
        self.shade = np.ones(size, np.float32)
        self.surfaces: list[Surface] = []

    def window(self, x0: float, x1: float, y0: float, y1: float) -> Window:
        """Rows and columns whose pixel centres lie in a box of pixel coordinates."""
        (height, width) = self.label.shape
        left, right = math.ceil(x0 + self.center - 0.5), math.ceil(x1 + self.center - 0.5)
        top, bottom = math.ceil(y0 + self.horizon - 0.5), math.ceil(y1 + self.horizon - 0.5)
        return (
            slice(min(max(top, 0), height), min(max(bottom, 0), height)),
            slice(min(max(left, 0), width), min(max(right, 0), width)),
        )

    def fill(
        self,
        surface: Surface,
        window: Window,
        u: Floats,
        v: Floats,
        k: Floats | float,
        mask: Mask | bool = True,
    ) -> None:
        """Paints a window where `mask` holds.

        Args:
            surface: What to paint.
            window: Rows and columns.
            u: Metres along the surface, to be broadcast to the window.
            v: Metres across it.
            k: Pixels per metre.
            mask: Where in the window.
        """
        np.copyto(self.label[window], surface.label, where=mask)
        number = len(self.surfaces)
        self.surfaces.append(surface)
        for buffer, value in ((self.surface, number), (self.u, u), (self.v, v), (self.k, k)):
            np.copyto(buffer[window], value, where=mask)
        np.copyto(self.shade[window], 1, where=mask)

    def front(
        self,
        surface: Surface,
        x0: float,
        x1: float,
        h0: float,
        h1: float,
        z: float,
        rough: float | None = None,
    ) -> None:
        """An upright rectangle facing the camera or, with `rough` edges, the ellipse inside it."""
        k = self.focal / z
        window = self.window(x0 * k, x1 * k, (self.eye - h1) * k, (self.eye - h0) * k)
        x, y = self.x[window[1]] / k, self.eye - self.y[window[0], None] / k
        if not x.size or not y.size:
            return
        mask: Mask | bool = True
        if rough is not None:
            a, b = (2 * x - x0 - x1) / (x1 - x0), (2 * y - h0 - h1) / (h1 - h0)
            mask = a * a + b * b < 1
            if rough:
                i = ((y + 50) * 40).astype(np.intp) % TEXELS
                j = ((x + 90) * 40).astype(np.intp) % TEXELS
                mask = a * a + b * b < 1 - rough / 2 + rough * textures()[FOLIAGE][i, j]
        self.fill(surface, window, x, y, k, mask)

    def side(self, surface: Surface, x: float, z0: float, z1: float, h0: float, h1: float) -> None:
        """An upright plane along the street, at x, from z0 to z1 and from height h0 to h1."""
        near, far = self.focal * x / z0, self.focal * x / z1
        tallest = self.focal / z0
        window = self.window(
            min(near, far),
            max(near, far),
            min((self.eye - h1) * tallest, 0),
            max((self.eye - h0) * tallest, 0),
        )
        k = self.x[window[1]] / np.float32(x)
        if not k.size:
            return
        height = np.float32(self.eye) - self.y[window[0], None] / k
        self.fill(surface, window, self.focal / k, height, k, (height >= h0) & (height < h1))

    def ground(self, surface: Surface, x0: float, x1: float, z0: float, z1: float) -> None:
        """A part of the ground."""
        window, x, k, mask = self._ground(x0, x1, z0, z1)
        if k.size:
            self.fill(surface, window, x, self.focal / k, k, mask)

    def shadow(self, x0: float, x1: float, z0: float, z1: float, light: float) -> None:
        """Darkens a part of the ground, and whatever else is painted there so far."""
        window, _, _, mask = self._ground(x0, x1, z0, z1)
        np.copyto(self.shade[window], light, where=mask)

    def _ground(
        self, x0: float, x1: float, z0: float, z1: float
    ) -> tuple[Window, Floats, Floats, Mask]:
        near, far = self.focal / z0, self.focal / z1
        left, right = min(x0 * near, x0 * far), max(x1 * near, x1 * far)
        window = self.window(left, right, self.eye * far, self.eye * near)
        k = self.y[window[0], None] / np.float32(self.eye)
        x = self.x[window[1]] / k
        return window, x, k, (x >= x0) & (x < x1)

    def render(self, dice: Dice) -> Array:
        """The picture, H W 3 uint8: texture and colour of each surface, light, haze and noise."""
        height, width = self.label.shape
        _, texture, texels, shift, dark, light = (
            np.array(column, np.float32) for column in zip(*self.surfaces, strict=True)
        )
        surface = self.surface
        scale, shift = texels[surface], shift[surface]
        i = ((self.v + shift) * scale).astype(np.int32) & (TEXELS - 1)
        j = ((self.u + shift) * scale).astype(np.int32) & (TEXELS - 1)
        kind = texture.astype(np.int32)[surface]
        value = textures().ravel()[(kind * TEXELS + i) * TEXELS + j]
        clear = self.k / (self.k + np.float32(HAZE * self.pixel))
        value = value * clear
        slope = np.float32(dice.uniform(-0.4, 0.4) / width)
        bright = self.shade * np.float32(dice.uniform(0.7, 1.15)) * (1 + slope * self.x)
        noise = self.noise(dice)
        out = np.empty((height, width, 3), np.uint8)
        for channel in range(3):
            base = ((dark + light) / 2)[:, channel]
            span = (light - dark)[:, channel]
            color = (base[surface] + span[surface] * value) * bright
            color *= np.float32(dice.uniform(0.92, 1.08))
            color += noise[channel]
            out[..., channel] = np.clip(color, 0, 255)
        return out

    def noise(self, dice: Dice) -> Floats:
        """Triangular noise, 3 H W, independent in pixels and channels."""
        shape = (2, 3, *self.label.shape)
        raw = np.frombuffer(dice.rng.bytes(2 * 3 * self.label.size), np.uint8).reshape(shape)
        noise: Floats = (raw[0].astype(np.float32) - raw[1]) * np.float32(NOISE / 255)
        return noise
