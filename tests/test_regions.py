"""Boundary IoU and IoU by object size, by hand and against definitions written out."""

import numpy as np
import pytest
from scipy import ndimage

from bench.metrics import IGNORE_INDEX, class_iou, image_counts
from bench.regions import SIZES, boundary_counts, size_counts

Array = np.ndarray


def drawn(size: tuple[int, int], *boxes: tuple[int, slice, slice]) -> Array:
    label = np.zeros(size, np.uint8)
    for value, rows, columns in boxes:
        label[rows, columns] = value
    return label


def test_boundary_counts_by_hand() -> None:
    """A 4 x 4 square in 12 x 12, one column too wide in the prediction; d is 1 pixel."""
    label = drawn((12, 12), (1, slice(4, 8), slice(4, 8)))
    prediction = drawn((12, 12), (1, slice(4, 8), slice(4, 9)))
    counts = boundary_counts(prediction, label, 2)
    # inner ring of 4 x 4 and of 4 x 5 pixels; the ring's right side moved by one column
    assert counts[:, 1].tolist() == [3 * 4 - 2, 12, 14]
    # around it: 6 x 6 - 4 x 4 and 6 x 7 - 4 x 5 pixels, and the 44 of the image's edge
    assert counts[1:, 0].tolist() == [44 + 20, 44 + 22]


def test_boundary_counts_match_erosion_class_by_class() -> None:
    """The definition, as a mask less its erosion by d pixels with zeros around the image."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 4, (2, 6, 9)).astype(np.uint8)
    label, prediction = coarse.repeat(13, 1).repeat(11, 2)
    width = round(0.02 * np.hypot(*label.shape))
    counts = boundary_counts(prediction, label, 4)
    for value in range(4):
        bands = []
        for mask in (label == value, prediction == value):
            eroded = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width)
            bands.append(mask & ~eroded)
        wanted = [(bands[0] & bands[1]).sum(), bands[0].sum(), bands[1].sum()]
        assert counts[:, value].tolist() == wanted


def test_ignored_pixels_make_no_contour() -> None:
    label = drawn((30, 30), (IGNORE_INDEX, slice(10, 20), slice(None)))
    prediction = drawn((30, 30), (1, slice(10, 20), slice(None)))
    counts = boundary_counts(prediction, label, 2)
    assert class_iou(counts)[0] == 100
    assert counts[:, 1].tolist() == [0, 0, 0]


def test_size_counts_by_hand() -> None:
    """40 x 50 = 2000 pixels: small below 2 pixels, medium below 20, large from 20."""
    label = drawn(
        (40, 50),
        (1, slice(0, 1), slice(0, 1)),  # small, missed
        (1, slice(5, 8), slice(5, 8)),  # medium, six of nine found
        (1, slice(20, 30), slice(20, 30)),  # large, found
        (IGNORE_INDEX, slice(39, 40), slice(0, 50)),
    )
    prediction = drawn(
        (40, 50),
        (1, slice(5, 7), slice(5, 8)),
        (1, slice(20, 30), slice(20, 31)),  # ten false alarms beside the large one
        (1, slice(0, 1), slice(40, 41)),  # a small false alarm
        (1, slice(39, 40), slice(0, 50)),  # ignored
    )
    counts = size_counts(prediction, label, 2)
    found = [dict(zip(SIZES, counts[:, kind, 1].tolist(), strict=True)) for kind in range(3)]
    assert found[0] == {"small": 0, "medium": 6, "large": 100}
    assert found[1] == {"small": 1, "medium": 9, "large": 100}
    assert found[2] == {"small": 1, "medium": 6, "large": 110}
    assert class_iou(counts)[:, 1] == pytest.approx([0, 100 * 6 / 9, 100 * 100 / 110])


def test_diagonal_neighbours_are_one_object() -> None:
    label = np.zeros((50, 50), np.uint8)
    label[np.arange(10), np.arange(10)] = 1
    assert size_counts(label, label, 2)[:, 1, 1].tolist() == [0, 10, 0]


@pytest.mark.parametrize("seed", range(3))
def test_sizes_add_up_to_the_class(seed: int) -> None:
    import torch

    rng = np.random.default_rng(seed)
    label = rng.integers(0, 5, (8, 9)).astype(np.uint8).repeat(6, 0).repeat(5, 1)
    prediction = np.where(rng.random(label.shape) < 0.2, 3, label).astype(np.uint8)
    label[:7] = IGNORE_INDEX
    plain = image_counts(torch.from_numpy(prediction), torch.from_numpy(label), 5)
    assert (size_counts(prediction, label, 5).sum(0) == plain).all()
