"""Street scenes drawn procedurally: any number, any size, the same for a seed on every machine.

A scene is a flat world in metres seen by a camera at the origin: x to the right, height up, z
ahead. Surfaces are painted from far to near into buffers that hold each pixel's surface and its
place on that surface; one pass at the end turns them into colours. Only integers and + - * / % are
used on the way, so no mathematics library can change a bit.

What makes it hard is in the constants below: poles and signs one to three pixels wide, large
near surfaces that wear the texture of another class, so that only their outline and surroundings
tell what they are, rare classes, and objects of every size.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.datasets import IGNORE_INDEX, Array, Sample, check_choice, coarsen, digest
from bench.errors import BenchError

VERSION = 1
"""Raise it whenever a drawn pixel changes: it is part of the fingerprint."""

MISLEAD = 0.4  # chance that a surface wears the texture of another class
COLOR_SPREAD = 34  # how far a surface's colour strays from its style, in grey levels
NOISE = 22  # half-width of the triangular pixel noise, in grey levels
HAZE = 1.2  # pixels per metre at which half of the contrast is lost
THIN_WIDTH = 0.13  # metres; a pole is this wide but never below 1 or above 3 pixels of 160 rows
BUS, PERSON, CAR = 0.3, 3.5, 5.0  # expected number in a scene
POLE_GAP = 7.0  # mean metres between poles on one side

PALETTE = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (250, 170, 30),
    "sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "car": (0, 0, 142),
    "bus": (0, 200, 200),
}
CLASSES = tuple(PALETTE)
COUNTS = {"train": 400, "val": 60, "test": 120, "coarse": 2800}
"""Splits, in the order that numbers their random streams, and their sizes by default."""

Rgb = tuple[float, float, float]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Window = tuple[slice, slice]
Thing = tuple[float, Callable[[], None]]  # its distance, and what draws it
Sides = dict[int, float]  # something of the left side, -1, and of the right side, 1

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
    "tiles": Style(TILES, (88, 84, 80), (158, 150, 140)),
    "windows": Style(WINDOWS, (52, 58, 72), (168, 148, 126)),
    "brick": Style(BRICK, (88, 62, 54), (160, 116, 96)),
    "plaster": Style(GRAIN, (126, 116, 104), (184, 172, 152)),
    "foliage": Style(FOLIAGE, (22, 40, 20), (112, 136, 74)),
    "sky": Style(CLOUD, (118, 150, 192), (226, 230, 238)),
    "metal": Style(GRAIN, (58, 60, 64), (112, 114, 116)),
}
OWN = {
    "road": ("asphalt",),
    "sidewalk": ("tiles",),
    "building": ("windows", "windows", "brick", "plaster"),
    "wall": ("plaster", "brick"),
    "bus": ("metal", "plaster"),
}
FOREIGN = {
    "road": ("tiles",),
    "sidewalk": ("asphalt",),
    "building": ("foliage", "sky"),
    "wall": ("foliage", "windows", "tiles"),
    "bus": ("windows", "foliage", "brick"),
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

    def surface(self, label: str, style: str | None = None) -> Surface:
        """A surface of a class in a style, by default its own or, misleading, another class's."""
        if style is None:
            style = self.choice((FOREIGN if self.chance(MISLEAD) else OWN)[label])
        texture, dark, light = STYLES[style]
        gain = self.uniform(-COLOR_SPREAD, COLOR_SPREAD)
        red, green, blue = (gain + self.uniform(-0.4, 0.4) * COLOR_SPREAD for _ in range(3))
        return Surface(
            CLASSES.index(label),
            texture,
            TEXELS_PER_METRE * self.uniform(0.7, 1.1),
            self.uniform(2000, 3000),
            (dark[0] + red, dark[1] + green, dark[2] + blue),
            (light[0] + red, light[1] + green, light[2] + blue),
        )

    def paint(self, label: str, low: float = 20, high: float = 225) -> Surface:
        """A surface of a class in any one colour."""
        grey = self.uniform(low, high)
        red, green, blue = ((grey + self.uniform(low, high)) / 2 for _ in range(3))
        dark, light = (red - 12, green - 12, blue - 12), (red + 12, green + 12, blue + 12)
        return Surface(CLASSES.index(label), GRAIN, TEXELS_PER_METRE, 2000, dark, light)


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
        bars: float = 0,
    ) -> None:
        """Paints a window where `mask` holds.

        Args:
            surface: What to paint.
            window: Rows and columns.
            u: Metres along the surface, to be broadcast to the window.
            v: Metres across it.
            k: Pixels per metre.
            mask: Where in the window.
            bars: If above 0, only upright bars this many metres apart and a rail are seen, with
                what was painted before between them; the label covers the whole mask.
        """
        np.copyto(self.label[window], surface.label, where=mask)
        if bars:
            mask = mask & ((u % bars < bars / 4) | (v % 1.0 < 0.12))
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
        bars: float = 0,
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
        self.fill(surface, window, x, y, k, mask, bars)

    def side(
        self,
        surface: Surface,
        x: float,
        z0: float,
        z1: float,
        h0: float,
        h1: float,
        bars: float = 0,
    ) -> None:
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
        self.fill(surface, window, self.focal / k, height, k, (height >= h0) & (height < h1), bars)

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


def draw_street(size: tuple[int, int], dice: Dice) -> tuple[Array, Array]:
    """Draws one scene.

    Args:
        size: Height and width in pixels.
        dice: Decides everything that varies.

    Returns:
        The picture, H W 3 uint8, and its label, H W uint8 ids into `CLASSES`.
    """
    canvas = Canvas(size, dice)
    curb = {side: side * dice.uniform(3.2, 5.5) for side in (-1, 1)}
    front = {side: curb[side] + side * dice.uniform(2.0, 4.5) for side in (-1, 1)}
    _backdrop(canvas, dice)
    _ground(canvas, dice, curb, front)
    for side in (-1, 1):
        _row_of_houses(canvas, dice, side, front[side])
    things: list[Thing] = []
    for side in (-1, 1):
        things += _street_furniture(canvas, dice, side, curb[side], front[side])
    things += _traffic(canvas, dice, curb, front)
    for _, draw in sorted(things, key=lambda thing: -thing[0]):
        draw()
    return canvas.render(dice), canvas.label


def _backdrop(canvas: Canvas, dice: Dice) -> None:
    canvas.front(dice.surface("sky", "sky"), -900, 900, -900, 900, 7)
    x = -110.0
    while x < 110:
        width = dice.uniform(8, 25)
        if dice.chance(0.5):
            canvas.front(dice.surface("building"), x, x + width, 0, dice.uniform(5, 18), 95)
        else:
            top = dice.uniform(4, 11)
            canvas.front(
                dice.surface("vegetation", "foliage"), x - 4, x + width + 4, -top, top, 90, 0.4
            )
        x += width


def _ground(canvas: Canvas, dice: Dice, curb: Sides, front: Sides) -> None:
    canvas.ground(dice.surface("vegetation", "foliage"), -900, 900, 0.5, 900)
    canvas.ground(dice.surface("sidewalk", "tiles"), front[-1], front[1], 0.5, 900)
    canvas.ground(dice.surface("road", "asphalt"), curb[-1], curb[1], 0.5, 900)
    z = dice.uniform(1, 8)
    while z < 40:
        length = dice.uniform(2, 12)
        side = -1 if dice.chance(0.5) else 1
        if dice.chance(MISLEAD):
            x = sorted((curb[side], front[side]))
            canvas.ground(dice.surface("sidewalk", "asphalt"), x[0], x[1], z, z + length)
        elif dice.chance(MISLEAD):
            canvas.ground(dice.surface("road", "tiles"), curb[-1], curb[1], z, z + length)
        z += length + dice.uniform(0, 8)
    for side in (-1, 1):
        edge = dice.paint("sidewalk", 120, 190)
        x = sorted((curb[side], curb[side] + 0.18 * side))
        canvas.ground(edge, x[0], x[1], 0.5, 900)
    lane = dice.uniform(-0.8, 0.8)
    paint = dice.paint("road", 190, 240)
    for i in range(12 if dice.chance(0.7) else 0):
        canvas.ground(paint, lane - 0.07, lane + 0.07, 2 + 6 * i, 4.5 + 6 * i)
    for _ in range(dice.count(2)):
        z, left = dice.uniform(2, 30), dice.uniform(-9, 3)
        far, light = z + dice.uniform(1, 12), dice.uniform(0.45, 0.75)
        canvas.shadow(left, left + dice.uniform(3, 9), z, far, light)


def _row_of_houses(canvas: Canvas, dice: Dice, side: int, x: float) -> None:
    z = 88.0
    while z > 1:
        near = max(z - dice.uniform(5, 20) * (0.5 + z / 60), 0.8)
        kind = dice.choice(("house", "house", "house", "wall", "fence", "trees", "gap"))
        if kind == "house":
            high = dice.uniform(5, 14)
            surface = dice.surface("building")
            canvas.side(surface, x, near, z, 0, high)
            end = sorted((x, x + side * dice.uniform(8, 14)))
            canvas.front(dice.surface("building"), end[0], end[1], 0, high, near)
        if kind in ("wall", "fence", "trees"):
            for _ in range(dice.count(3) if z > 6 else 0):
                _tree(canvas, dice, x + side * dice.uniform(2, 7), dice.uniform(max(near, 5), z))
        if kind == "wall":
            canvas.side(dice.surface("wall"), x, near, z, 0, dice.uniform(1.6, 3.6))
        if kind == "fence":
            bars = dice.uniform(0.25, 0.6)
            canvas.side(dice.paint("fence", 30, 190), x, near, z, 0, dice.uniform(1, 2.2), bars)
        z = near


def _tree(canvas: Canvas, dice: Dice, x: float, z: float) -> None:
    high, wide = dice.uniform(3, 7), dice.uniform(0.9, 2)
    thick = dice.uniform(0.08, 0.2)
    leaves = dice.surface("vegetation", "foliage")
    canvas.front(dice.surface("vegetation", "metal"), x - thick, x + thick, 0, high * 0.6, z)
    for _ in range(4):
        a, b = x + dice.uniform(-0.7, 0.7) * wide, high * dice.uniform(0.55, 0.85)
        canvas.front(leaves, a - wide, a + wide, b - wide, b + wide, z, 0.7)


def _street_furniture(
    canvas: Canvas, dice: Dice, side: int, curb: float, front: float
) -> list[Thing]:
    things: list[Thing] = []
    z = dice.uniform(2.5, 2.5 + POLE_GAP)
    while z < 60:
        x = curb + side * dice.uniform(0.3, 0.7)
        if dice.chance(0.2):
            things.append((z, partial(_tree, canvas, dice, x + side * 0.4, z)))
        else:
            things.append((z, partial(_pole, canvas, dice, -side, x, z)))
        z += dice.uniform(0.3, 1.7) * POLE_GAP
    for _ in range(dice.count(PERSON / 2)):
        x, z = dice.uniform(curb, front), dice.uniform(2, 7) * dice.uniform(1, 5)
        things.append((z, partial(_person, canvas, dice, x, z)))
    return things


def _pole(canvas: Canvas, dice: Dice, inward: int, x: float, z: float) -> None:
    metre = canvas.focal / z
    half = min(max(THIN_WIDTH * metre, canvas.pixel), 3 * canvas.pixel) / metre / 2
    metal = dice.surface("pole", "metal")
    high = dice.uniform(2.3, 7)
    canvas.front(metal, x - half, x + half, 0, high, z)
    if high > 4 and dice.chance(0.6):
        arm = sorted((x, x + inward * dice.uniform(0.8, 2)))
        canvas.front(metal, arm[0], arm[1], high - 2 * half, high, z)
    if dice.chance(0.55):
        wide, tall = dice.uniform(0.25, 0.5), dice.uniform(0.25, 0.5)
        middle = min(high, 3.2) - tall
        disc = 0 if dice.chance(0.4) else None
        canvas.front(dice.paint("sign"), x - wide, x + wide, middle - tall, middle + tall, z, disc)
        canvas.front(
            dice.paint("sign"),
            x - wide * 0.7,
            x + wide * 0.7,
            middle - tall * 0.6,
            middle + tall * 0.6,
            z,
            disc,
        )


def _person(canvas: Canvas, dice: Dice, x: float, z: float) -> None:
    tall = dice.uniform(1.5, 1.9)
    half = dice.uniform(0.18, 0.27)
    canvas.shadow(x - half, x + half * 2, z - 0.1, z + 0.3, 0.6)
    legs = dice.paint("person", 20, 120)
    stride = dice.uniform(0, 0.1)
    canvas.front(legs, x - half + stride, x - 0.02, 0, tall * 0.5, z)
    canvas.front(legs, x + 0.02, x + half - stride, 0, tall * 0.5, z)
    canvas.front(dice.paint("person"), x - half, x + half, tall * 0.45, tall * 0.84, z)
    head = dice.paint("person", 60, 200)
    canvas.front(head, x - 0.12, x + 0.12, tall * 0.83, tall, z, 0)


def _traffic(canvas: Canvas, dice: Dice, curb: Sides, front: Sides) -> list[Thing]:
    things: list[Thing] = []
    taken: list[tuple[int, float]] = []
    kinds = ((_bus, dice.count(BUS), 11.0, 2.5), (_car, dice.count(CAR), 4.5, 4.5))
    for draw, count, length, spread in kinds:
        for _ in range(count):
            side = -1 if dice.chance(0.5) else 1
            z = dice.uniform(3.5, 9) * dice.uniform(1, spread)
            if any(side == other and -length - 1 < z - at < 12 for other, at in taken):
                continue
            taken.append((side, z))
            x = curb[side] - side * dice.uniform(1.2, 1.7)
            things.append((z, partial(draw, canvas, dice, x, z, length)))
    return things


def _bus(canvas: Canvas, dice: Dice, x: float, z: float, length: float) -> None:
    high, half = dice.uniform(2.8, 3.4), 1.25
    canvas.shadow(x - half - 0.3, x + half + 0.3, z - 0.2, z + length, 0.45)
    body, glass = dice.surface("bus"), dice.paint("bus", 20, 90)
    inner = x - half if x > 0 else x + half
    canvas.side(body, inner, z, z + length, 0.3, high)
    for i in range(2):
        wheel = z + length * (0.15 + 0.6 * i)
        canvas.side(dice.paint("bus", 10, 50), inner, wheel, wheel + 1, 0.05, 0.9)
    canvas.front(body, x - half, x + half, 0.3, high, z)
    canvas.front(glass, x - half * 0.85, x + half * 0.85, high * 0.62, high * 0.88, z)
    for edge in (-1, 1):
        a = x + edge * half * 0.75
        canvas.front(dice.paint("bus", 10, 50), a - 0.2, a + 0.2, 0, 0.4, z)


def _car(canvas: Canvas, dice: Dice, x: float, z: float, length: float) -> None:
    half, belt, high = dice.uniform(0.8, 0.95), dice.uniform(0.8, 1), dice.uniform(1.35, 1.75)
    body, glass = dice.paint("car"), dice.paint("car", 20, 110)
    tyre, lamp = dice.paint("car", 10, 50), dice.paint("car", 90, 250)
    inner = x - half if x > 0 else x + half
    canvas.shadow(x - half - 0.2, x + half + 0.2, z - 0.2, z + length, 0.45)
    canvas.side(tyre, inner, z + 0.5, z + 1.1, 0, 0.6)
    canvas.side(tyre, inner, z + length - 1.2, z + length - 0.6, 0, 0.6)
    canvas.side(body, inner, z, z + length, 0.25, belt)
    canvas.side(glass, inner * 0.98, z + 0.4, z + length * 0.7, belt, high)
    for edge in (-1, 1):
        a = x + edge * half * 0.75
        canvas.front(tyre, a - 0.13, a + 0.13, 0, 0.35, z)
    canvas.front(body, x - half, x + half, 0.22, belt, z)
    canvas.front(body, x - half * 0.85, x + half * 0.85, belt, high, z)
    canvas.front(glass, x - half * 0.75, x + half * 0.75, belt, high - 0.1, z)
    for edge in (-1, 1):
        a = x + edge * half * 0.8
        canvas.front(lamp, a - 0.12, a + 0.12, belt - 0.3, belt - 0.1, z)


class Streets:
    """Street scenes drawn on demand; see `bench.datasets.SegmentationDataset`."""

    name = "streets"
    classes = CLASSES
    colors = tuple(PALETTE.values())
    thin: tuple[str, ...] = ("pole", "sign")

    def __init__(
        self,
        split: str,
        count: int | None = None,
        size: tuple[int, int] = (160, 320),
        seed: int = 0,
    ) -> None:
        """Opens a split.

        Args:
            split: One of `COUNTS`; no two splits share a scene.
            count: Number of scenes, by default the split's own.
            size: Height and width of a scene in pixels, each at least 16.
            seed: Another seed, another world.

        Raises:
            BenchError: Unknown split, or a count, size or seed out of range.
        """
        check_choice("split of streets", split, COUNTS)
        self.split = split
        self.count = COUNTS[split] if count is None else count
        self.size = (int(size[0]), int(size[1]))
        self.seed = seed
        if self.count < 1 or min(self.size) < 16 or seed < 0:
            raise BenchError(
                f"streets: count {self.count}, size {self.size}, seed {seed}: count must be at "
                "least 1, height and width at least 16, seed at least 0"
            )

    def __len__(self) -> int:
        """Number of scenes."""
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Draws a scene; on `coarse` its label is what `coarsen` leaves of the fine one."""
        if not 0 <= index < self.count:
            raise IndexError(f"streets {self.split} has {self.count} scenes: no index {index}")
        dice = Dice(self.seed, tuple(COUNTS).index(self.split), index)
        image, label = draw_street(self.size, dice)
        if self.split == "coarse":
            label = coarsen(label)
        return Sample(image, label, f"{self.split}/{index:06d}")

    def fingerprint(self) -> str:
        """Hash of the generator's version and arguments."""
        return digest(self.name, VERSION, self.split, self.count, self.size, self.seed)
