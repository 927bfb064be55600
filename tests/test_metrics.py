"""Metrics against torchmetrics and hand-computed cases."""

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from bench.metrics import class_iou, image_counts, mean_iou, paired_bootstrap


def random_counts(
    images: int, classes: int, seed: int
) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.randint(0, classes, (images, 20, 30), generator=generator)
    label = torch.randint(0, classes, (images, 20, 30), generator=generator)
    label = torch.where(torch.rand(label.shape, generator=generator) < 0.5, prediction, label)
    label[torch.rand(label.shape, generator=generator) < 0.1] = 255
    counts = np.stack([image_counts(p, t, classes) for p, t in zip(prediction, label, strict=True)])
    return counts, prediction, label


def test_iou_equals_torchmetrics() -> None:
    counts, prediction, label = random_counts(images=5, classes=7, seed=0)
    reference = MulticlassJaccardIndex(7, average="none", ignore_index=255)(prediction, label)
    np.testing.assert_allclose(class_iou(counts.sum(0)), 100 * reference.numpy(), atol=1e-4)
    assert mean_iou(counts) == pytest.approx(100 * reference.mean().item(), abs=1e-4)


def test_hand_computed_case() -> None:
    label = torch.tensor([[0, 0, 1, 255]])
    prediction = torch.tensor([[0, 1, 1, 2]])
    counts = image_counts(prediction, label, 4)[None]
    iou = class_iou(counts.sum(0))
    assert iou[0] == pytest.approx(50)
    assert iou[1] == pytest.approx(50)
    assert np.isnan(iou[2]), "predicted on an ignored pixel only"
    assert np.isnan(iou[3])
    assert mean_iou(counts) == pytest.approx(50), "absent classes are out of the mean"
    assert mean_iou(counts, [1]) == pytest.approx(50)


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    counts = image_counts(torch.tensor([[0, 2]]), torch.tensor([[0, 0]]), 3)[None]
    assert mean_iou(counts) == pytest.approx((50 + 0) / 2)


def test_counts_are_summed_before_dividing() -> None:
    small = image_counts(torch.tensor([[0]]), torch.tensor([[0]]), 1)
    large = image_counts(torch.zeros(1, 9, dtype=torch.long), torch.full((1, 9), 255), 1)
    assert mean_iou(np.stack([small, large])) == pytest.approx(100)


def test_nothing_present_is_an_error() -> None:
    with pytest.raises(ValueError, match="no class is present"):
        mean_iou(np.zeros((2, 3, 4), dtype=np.int64))


def test_bootstrap_of_a_constant_difference_has_no_width() -> None:
    row = np.tile(np.array([[[9], [10], [9]]]), (8, 1, 1))
    baseline = np.tile(np.array([[[5], [10], [5]]]), (8, 1, 1))
    difference, low, high = paired_bootstrap(row, baseline)
    assert difference == low == high == pytest.approx(40)


def test_bootstrap_pairs_the_images() -> None:
    counts, _, _ = random_counts(images=30, classes=4, seed=1)
    assert paired_bootstrap(counts, counts) == (0, 0, 0)
    worse = counts.copy()
    worse[:, 0] = worse[:, 0] * 9 // 10
    difference, low, high = paired_bootstrap(counts, worse)
    assert 0 < low < difference < high


def test_bootstrap_rejects_other_images() -> None:
    with pytest.raises(ValueError, match="different images"):
        paired_bootstrap(np.zeros((3, 3, 2), int), np.zeros((4, 3, 2), int))
