"""What mean IoU hides: how well boundaries are met, and objects of each size.

Both are counts per class in the form of ``bench.metrics``, 3 x K integers (intersection, truth,
prediction), so that they are summed over a split and divided by the same functions.

**Boundary IoU** (Cheng, Girshick, Dollár, Berg and Kirillov, CVPR 2021): the IoU of the two bands
of pixels that a class's truth and prediction have within d pixels of their own contour, d being
2 % of the image's diagonal, at least 1. Distances are along rows, columns and diagonals
(Chebyshev), and the edge of the image is a contour, both as in the authors' code. An ignored
pixel makes no contour, in truth or prediction, and counts nowhere.

**IoU by object size**: an object is a connected component of one class, diagonal neighbours
included, and its size the share of the image's pixels that it covers: below 0.1 %, 0.1 to 1 %,
or 1 % and more. The true pixels of an object count for its size; a pixel that is predicted wrongly
counts, as a false alarm, for the size of the predicted object that it lies in. Intersection,
truth and false alarms of all sizes add up to those of the class, so the sizes split its IoU.

Letters: K classes, H W the label's grid, S sizes.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bench.metrics import IGNORE_INDEX

Classes = NDArray[np.uint8]
Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]

SIZES = ("small", "medium", "large")
SIZE_LIMITS = (0.001, 0.01)
"""Where medium and large objects begin, as shares of the image."""

BAND_SHARE = 0.02
"""Width of the boundary's band as a share of the image's diagonal."""


def boundary_counts(prediction_HW: Classes, label_HW: Classes, classes: int) -> Counts:
    """Count the pixels of every class's boundary bands.

    Args:
        prediction_HW: class indices below ``classes``.
        label_HW: class indices, or 255 where the pixel is ignored.
        classes: number of classes K.

    Returns:
        3 x K counts: intersection, truth's band, prediction's band.
    """
    valid = label_HW != IGNORE_INDEX
    width = max(1, round(BAND_SHARE * math.hypot(*label_HW.shape)))
    truth_band, predicted_band = (
        _near_contour(each, valid, width) & valid for each in (label_HW, prediction_HW)
    )
    both = truth_band & predicted_band & (label_HW == prediction_HW)
    return np.stack(
        [
            np.bincount(label_HW[both], minlength=classes),
            np.bincount(label_HW[truth_band], minlength=classes),
            np.bincount(prediction_HW[predicted_band], minlength=classes),
        ]
    )


def size_counts(prediction_HW: Classes, label_HW: Classes, classes: int) -> Counts:
    """Count the pixels of every class by the size of their object.

    Args:
        prediction_HW: class indices below ``classes``.
        label_HW: class indices, or 255 where the pixel is ignored.
        classes: number of classes K.

    Returns:
        S x 3 x K counts for ``SIZES``: intersection, truth, and intersection plus false alarms.
    """
    valid = label_HW != IGNORE_INDEX
    predicted = np.where(valid, prediction_HW, np.uint8(IGNORE_INDEX))
    agreed = valid & (predicted == label_HW)
    sizes = _object_sizes(label_HW)
    truth, found = (_count(label_HW, sizes, chosen, classes) for chosen in (valid, agreed))
    alarms = _count(predicted, _object_sizes(predicted), valid & ~agreed, classes)
    return np.stack([found, truth, found + alarms], 1)


def _near_contour(classes_HW: Classes, valid_HW: Mask, width: int) -> Mask:
    """Whether another class, or the outside of the image, is within ``width`` pixels."""
    outside = -1
    window = 2 * width + 1
    high = np.where(valid_HW, classes_HW, outside).astype(np.int16)
    low = np.where(valid_HW, classes_HW, IGNORE_INDEX).astype(np.int16)
    high = ndimage.maximum_filter(high, window, mode="nearest")
    low = ndimage.minimum_filter(low, window, mode="constant", cval=outside)
    return low != high


def _object_sizes(classes_HW: Classes) -> NDArray[np.intp]:
    """Index in ``SIZES`` of every pixel's object; 0 where the pixel is ignored."""
    area = np.zeros(classes_HW.shape, np.int64)
    for value, box in enumerate(ndimage.find_objects(classes_HW.astype(np.int32) + 1)):
        if box is None or value == IGNORE_INDEX:
            continue
        objects, _ = ndimage.label(classes_HW[box] == value, np.ones((3, 3)))
        pixels = np.bincount(objects.ravel())
        pixels[0] = 0
        area[box] += pixels[objects]
    return np.digitize(area / area.size, SIZE_LIMITS)


def _count(
    classes_HW: Classes, sizes_HW: NDArray[np.intp], chosen_HW: Mask, classes: int
) -> Counts:
    """Chosen pixels of every size and class, S x K."""
    cells = sizes_HW[chosen_HW] * classes + classes_HW[chosen_HW]
    return np.bincount(cells, minlength=len(SIZES) * classes).reshape(len(SIZES), classes)
