"""Segmentation metrics as pure functions of pixel counts.

Counts are per image and class, N x 3 x K integers: pixels where truth and prediction agree
(intersection), pixels of the truth, pixels of the prediction; ignored pixels are in none.

Letters: N images, K classes, H W the label's grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

IGNORE_INDEX = 255


def image_counts(prediction_HW: Tensor, label_HW: Tensor, classes: int) -> NDArray[np.int64]:
    """Count one image's pixels.

    Args:
        prediction_HW: class indices below ``classes``.
        label_HW: class indices, or 255 where the pixel is ignored.
        classes: number of classes K.

    Returns:
        3 x K counts: intersection, truth, prediction.
    """
    import torch

    valid = label_HW != IGNORE_INDEX
    label, prediction = label_HW[valid].long(), prediction_HW[valid].long()
    agreed = label[label == prediction]
    counts = [torch.bincount(x, minlength=classes) for x in (agreed, label, prediction)]
    return torch.stack(counts).cpu().numpy()


def class_iou(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """IoU of every class in percent, from counts of shape ... x 3 x K.

    Counts are summed over the split before dividing. A class absent from truth and prediction
    has no IoU: its value is NaN.
    """
    intersection, truth, predicted = np.moveaxis(counts.astype(np.float64), -2, 0)
    union = truth + predicted - intersection
    return np.divide(100 * intersection, union, out=np.full_like(union, np.nan), where=union > 0)


def mean_iou(counts: NDArray[np.integer], classes: list[int] | None = None) -> float:
    """Mean IoU in percent of all images together, over all classes or the listed ones.

    Classes absent from truth and prediction are out of the mean, as in the data sets' own
    evaluators.

    Raises:
        ValueError: no class is present at all.
    """
    iou = class_iou(counts.sum(0))
    if classes is not None:
        iou = iou[classes]
    if np.isnan(iou).all():
        raise ValueError("no class is present in truth or prediction: there is no mean IoU")
    return float(np.nanmean(iou))


def paired_bootstrap(
    counts: NDArray[np.integer],
    baseline: NDArray[np.integer],
    resamples: int = 1000,
    seed: int = 0,
    classes: list[int] | None = None,
) -> tuple[float, float, float]:
    """Difference in mean IoU between two rows, with a 95 % interval over the images.

    Both rows are resampled with the same images, so what is hard for both cancels out
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). With several
    seeds a resample draws the images once for all of them, and the seeds' differences are
    averaged: the interval is that of the mean difference of these trainings over other images.

    Args:
        counts: N x 3 x K of the row, or S x N x 3 x K for S seeds.
        baseline: the same of the row that it is compared with, over the same images.
        resamples: number of resamples.
        seed: seed of the resampling.
        classes: indices of the classes that the mean is over; all by default.

    Returns:
        Difference, lower and upper bound, in points of mean IoU.
    """
    if counts.shape != baseline.shape:
        raise ValueError(f"rows of different images: {counts.shape} and {baseline.shape}")
    if counts.ndim == 3:
        counts, baseline = counts[None], baseline[None]
    images = counts.shape[1]
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(images, np.full(images, 1 / images), size=resamples)
    pairs = list(zip(counts, baseline, strict=True))
    resampled = [
        _resampled_means(weights, ours, classes) - _resampled_means(weights, theirs, classes)
        for ours, theirs in pairs
    ]
    low, high = np.nanpercentile(np.mean(resampled, axis=0), [2.5, 97.5])
    differences = [mean_iou(ours, classes) - mean_iou(theirs, classes) for ours, theirs in pairs]
    return float(np.mean(differences)), float(low), float(high)


def _resampled_means(
    weights: NDArray[np.integer], counts: NDArray[np.integer], classes: list[int] | None
) -> NDArray[np.float64]:
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    sums = (weights.astype(np.float64) @ flat).reshape(-1, *counts.shape[1:])
    iou = class_iou(sums) if classes is None else class_iou(sums)[:, classes]
    present = ~np.isnan(iou)
    total = np.where(present, iou, 0).sum(-1)
    return np.divide(total, present.sum(-1), out=np.full(len(iou), np.nan), where=present.any(-1))
