"""Street scenes drawn procedurally: any number, any size, the same for a seed on every machine.

What makes it hard is in the constants below: poles two or three pixels wide, large near surfaces
that wear the texture of another class, so that only their outline and surroundings tell what they
are, rare classes, and objects of every size. How surfaces become a picture is in
`bench.datasets.canvas`.
"""

from collections.abc import Callable
from functools import partial

from bench.datasets import Array, Sample, check_choice, coarsen, digest
from bench.datasets.canvas import GRAIN, STYLES, TEXELS_PER_METRE, Canvas, Dice, Surface
from bench.errors import BenchError

VERSION = 1
"""Raise it whenever a drawn pixel changes: it is part of the fingerprint."""

MISLEAD = 0.12  # chance that a surface wears the texture of another class
COLOR_SPREAD = 20  # how far a surface's colour strays from its style, in grey levels
THIN_WIDTH = 0.25  # metres; a pole is this wide but never below 2 or above 3 pixels
BUS, PERSON, CAR = 0.8, 6.0, 5.0  # expected number in a scene
POLE_GAP = 6.0  # mean metres between poles on one side

PALETTE = {
    "road": (128, 64, 128),
    "marking": (255, 255, 255),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
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
COARSE, TRUTH = "coarse", "coarse-truth"
"""The same scenes, with coarse labels and with the labels that those were made from."""

Thing = tuple[float, Callable[[], None]]  # its distance, and what draws it
Sides = dict[int, float]  # something of the left side, -1, and of the right side, 1

OWN = {
    "building": ("windows", "windows", "brick", "plaster"),
    "car": ("teal", "violet"),
    "bus": ("red",),
}
FOREIGN = {
    "building": ("foliage", "sky"),
    "car": ("metal", "plaster"),
    "bus": ("windows", "foliage", "brick"),
}


class StreetDice(Dice):
    """The random choices of one scene, with what covers the surfaces of a street."""

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


def draw_street(size: tuple[int, int], dice: StreetDice) -> tuple[Array, Array]:
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


def _backdrop(canvas: Canvas, dice: StreetDice) -> None:
    canvas.front(dice.surface("sky", "sky"), -900, 900, -900, 900, 7)
    x = -110.0
    while x < 110:
        width = dice.uniform(8, 25)
        if dice.chance(0.5):
            canvas.front(dice.surface("building"), x, x + width, 0, dice.uniform(5, 18), 95)
        else:
            top = dice.uniform(4, 11)
            trees = dice.surface("vegetation", "foliage")
            canvas.front(trees, x - 4, x + width + 4, -top, top, 90, 0.4)
        x += width


def _ground(canvas: Canvas, dice: StreetDice, curb: Sides, front: Sides) -> None:
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
    _markings(canvas, dice, curb)
    for _ in range(dice.count(2)):
        z, left = dice.uniform(2, 30), dice.uniform(-9, 3)
        far, light = z + dice.uniform(1, 12), dice.uniform(0.45, 0.75)
        canvas.shadow(left, left + dice.uniform(3, 9), z, far, light)


def _markings(canvas: Canvas, dice: StreetDice, curb: Sides) -> None:
    paint = dice.surface("marking", "white")
    half = dice.uniform(0.09, 0.14)
    if dice.chance(0.8):
        middle, start = dice.uniform(-0.8, 0.8), dice.uniform(1.5, 6)
        for i in range(8):
            z = start + 5 * i
            canvas.ground(paint, middle - half, middle + half, z, z + 3)
    if dice.chance(0.7):
        for side in (-1, 1):
            x = curb[side] - 0.4 * side
            canvas.ground(paint, x - half, x + half, 0.5, 40)
    if dice.chance(0.5):
        z = dice.uniform(3, 25)
        for i in range(int(curb[1] - curb[-1])):
            x = curb[-1] + 0.3 + i
            canvas.ground(paint, x, x + 0.45, z, z + 2.5)


def _row_of_houses(canvas: Canvas, dice: StreetDice, side: int, x: float) -> None:
    z = 88.0
    while z > 1:
        near = max(z - dice.uniform(5, 20) * (0.5 + z / 60), 0.8)
        kind = dice.choice(("house", "house", "house", "trees", "gap"))
        if kind == "house":
            high = dice.uniform(5, 14)
            canvas.side(dice.surface("building"), x, near, z, 0, high)
            end = sorted((x, x + side * dice.uniform(8, 14)))
            canvas.front(dice.surface("building"), end[0], end[1], 0, high, near)
        elif kind == "trees":
            for _ in range(dice.count(3) if z > 6 else 0):
                _tree(canvas, dice, x + side * dice.uniform(2, 7), dice.uniform(max(near, 5), z))
        z = near


def _tree(canvas: Canvas, dice: StreetDice, x: float, z: float) -> None:
    high, wide = dice.uniform(3, 7), dice.uniform(0.9, 2)
    thick = dice.uniform(0.08, 0.2)
    leaves = dice.surface("vegetation", "foliage")
    canvas.front(dice.surface("vegetation", "bark"), x - thick, x + thick, 0, high * 0.6, z)
    for _ in range(4):
        a, b = x + dice.uniform(-0.7, 0.7) * wide, high * dice.uniform(0.55, 0.85)
        canvas.front(leaves, a - wide, a + wide, b - wide, b + wide, z, 0.7)


def _street_furniture(
    canvas: Canvas, dice: StreetDice, side: int, curb: float, front: float
) -> list[Thing]:
    things: list[Thing] = []
    z = dice.uniform(3.5, 3.5 + POLE_GAP)
    while z < 45:
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


def _pole(canvas: Canvas, dice: StreetDice, inward: int, x: float, z: float) -> None:
    metre = canvas.focal / z
    half = min(max(THIN_WIDTH * metre, 2), 3) / metre / 2
    metal = dice.surface("pole", "metal")
    high = dice.uniform(2.3, 7)
    canvas.front(metal, x - half, x + half, 0, high, z)
    if high > 4 and dice.chance(0.6):
        arm = sorted((x, x + inward * dice.uniform(0.8, 2)))
        canvas.front(metal, arm[0], arm[1], high - 2 * half, high, z)
    if dice.chance(0.55):
        wide, tall = dice.uniform(0.32, 0.48), dice.uniform(0.32, 0.48)
        middle = min(high, 3.2) - tall
        disc = 0 if dice.chance(0.4) else None
        plate = dice.surface("sign", "red" if dice.chance(0.5) else "blue")
        for surface, size in ((dice.surface("sign", "white"), 1), (plate, 0.8)):
            a, b = wide * size, tall * size
            canvas.front(surface, x - a, x + a, middle - b, middle + b, z, disc)


def _person(canvas: Canvas, dice: StreetDice, x: float, z: float) -> None:
    tall = dice.uniform(1.5, 1.9)
    half = dice.uniform(0.18, 0.27)
    canvas.shadow(x - half, x + half * 2, z - 0.1, z + 0.3, 0.6)
    legs = dice.surface("person", "trousers")
    stride = dice.uniform(0, 0.1)
    canvas.front(legs, x - half + stride, x - 0.02, 0, tall * 0.5, z)
    canvas.front(legs, x + 0.02, x + half - stride, 0, tall * 0.5, z)
    canvas.front(dice.surface("person", "vest"), x - half, x + half, tall * 0.45, tall * 0.84, z)
    canvas.front(dice.surface("person", "skin"), x - 0.12, x + 0.12, tall * 0.83, tall, z, 0)


def _traffic(canvas: Canvas, dice: StreetDice, curb: Sides, front: Sides) -> list[Thing]:
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


def _bus(canvas: Canvas, dice: StreetDice, x: float, z: float, length: float) -> None:
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


def _car(canvas: Canvas, dice: StreetDice, x: float, z: float, length: float) -> None:
    half, belt, high = dice.uniform(0.8, 0.95), dice.uniform(0.8, 1), dice.uniform(1.35, 1.75)
    body, glass = dice.surface("car"), dice.paint("car", 20, 70)
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
    splits = tuple(COUNTS)
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
            split: One of `COUNTS`, no two of which share a scene, or `TRUTH`.
            count: Number of scenes, by default the split's own.
            size: Height and width of a scene in pixels, each at least 16.
            seed: Another seed, another world.

        Raises:
            BenchError: Unknown split, or a count, size or seed out of range.
        """
        check_choice("split of streets", split, (*COUNTS, TRUTH))
        self.split = split
        self._stream = COARSE if split == TRUTH else split
        self.count = COUNTS[self._stream] if count is None else count
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

    @property
    def truth_split(self) -> str | None:
        """The split that knows the true labels of this one's scenes."""
        return TRUTH if self.split == COARSE else None

    def sample_id(self, index: int) -> str:
        """The name of a scene, which is not drawn."""
        return f"{self.split}/{index:06d}"

    def __getitem__(self, index: int) -> Sample:
        """Draws a scene; on `coarse` its label is what `coarsen` leaves of the fine one."""
        if not 0 <= index < self.count:
            raise IndexError(f"streets {self.split} has {self.count} scenes: no index {index}")
        dice = StreetDice(self.seed, tuple(COUNTS).index(self._stream), index)
        image, label = draw_street(self.size, dice)
        if self.split == COARSE:
            label = coarsen(label)
        return Sample(image, label, self.sample_id(index))

    def fingerprint(self) -> str:
        """Hash of the generator's version and arguments."""
        return digest(self.name, VERSION, self.split, self.count, self.size, self.seed)
