"""A contact sheet: images of a data set with their labels over them, and the classes' colours."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from bench.datasets import IGNORE_INDEX, Sample, SegmentationDataset

WIDTH, HEIGHT, GAP, LINE = 320, 240, 8, 14
COLUMNS = 3
OPACITY = 0.6
INK, PAPER = (30, 30, 30), (255, 255, 255)


def contact_sheet(dataset: SegmentationDataset, indices: Sequence[int]) -> Image.Image:
    """Draws samples in a grid, each as image and label side by side, above a legend.

    A label's colours are blended with the grey image; where it is ignored the grey image remains,
    darkened.
    """
    rows = -(-len(indices) // COLUMNS)
    cell_width, cell_height = 2 * WIDTH + 2 * GAP, HEIGHT + LINE + GAP
    columns = min(COLUMNS, len(indices))
    width = columns * cell_width + GAP
    legend = _legend(dataset, width)
    sheet = Image.new("RGB", (width, rows * cell_height + GAP + legend.height), PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, index in enumerate(indices):
        row, column = divmod(place, COLUMNS)
        left, top = column * cell_width + GAP, row * cell_height + GAP
        sample = dataset[index]
        draw.text((left, top), _ascii(sample.id), INK)
        for side, picture in enumerate((sample.image, overlay(sample, dataset.colors))):
            thumbnail = Image.fromarray(picture)
            thumbnail.thumbnail((WIDTH, HEIGHT))
            sheet.paste(thumbnail, (left + side * WIDTH, top + LINE))
    sheet.paste(legend, (0, rows * cell_height + GAP))
    return sheet


def overlay(sample: Sample, colors: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """The grey image under the colours of its label, H W 3 uint8."""
    step = max(1, min(sample.label.shape[0] // (2 * HEIGHT), sample.label.shape[1] // (2 * WIDTH)))
    image, label = sample.image[::step, ::step], sample.label[::step, ::step]
    table = np.zeros((256, 3), np.float32)
    table[: len(colors)] = colors
    grey = image.mean(axis=2, dtype=np.float32)[..., None]
    mixed = OPACITY * table[label] + (1 - OPACITY) * grey
    return np.where((label == IGNORE_INDEX)[..., None], grey / 2, mixed).astype(np.uint8)


def _legend(dataset: SegmentationDataset, width: int) -> Image.Image:
    """Names of the classes beside their colours."""
    across = max(1, width // 200)
    rows = -(-len(dataset.classes) // across)
    picture = Image.new("RGB", (width, rows * (LINE + 4) + GAP), PAPER)
    draw = ImageDraw.Draw(picture)
    for index, (name, color) in enumerate(zip(dataset.classes, dataset.colors, strict=True)):
        row, column = divmod(index, across)
        left, top = GAP + column * 200, row * (LINE + 4)
        draw.rectangle((left, top, left + LINE, top + LINE), color, INK)
        draw.text((left + LINE + 6, top), _ascii(name), INK)
    return picture


def _ascii(text: str) -> str:
    """What Pillow's built-in font can draw."""
    return text.encode("ascii", "replace").decode()
