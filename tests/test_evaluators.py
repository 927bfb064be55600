"""Mean IoU and per-class IoU equal cityscapesscripts' own evaluation and torchmetrics."""

import numpy as np
import pytest
import torch
import trees
from cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling import (
    args,
    evaluatePair,
    generateMatrix,
    getIouScoreForLabel,
    getScoreAverage,
)
from torchmetrics.classification import MulticlassJaccardIndex

from bench.datasets import IGNORE_INDEX, open_dataset
from bench.datasets.cityscapes import Cityscapes
from bench.metrics import class_iou, image_counts, mean_iou

CLASSES = len(Cityscapes.classes)


def noisy(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The truth with a third of the pixels redrawn, and something where it is ignored."""
    drawn = rng.integers(0, CLASSES, label.shape)
    return np.where((label == IGNORE_INDEX) | (rng.random(label.shape) < 0.3), drawn, label)


def redrawn_few(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Only classes 0 to 4 are ever predicted."""
    return rng.integers(0, 5, label.shape)


def perfect(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(label == IGNORE_INDEX, 0, label)


def one_class(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.full(label.shape, 11)


ALL_IDS = np.arange(34)
LABELS = {
    "every id": lambda rng: rng.choice(ALL_IDS, trees.SIZE),
    "road, pole and void": lambda rng: rng.choice([7, 17, 0, 3], trees.SIZE),
    "one car": lambda rng: np.full(trees.SIZE, 26),
    "nearly all ignored": lambda rng: np.where(rng.random(trees.SIZE) < 0.95, 4, 33),
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("predict", [noisy, redrawn_few, perfect, one_class])
def test_iou_equals_the_official_evaluation(labels, predict, tmp_path, monkeypatch):
    root = trees.cityscapes(tmp_path / "data")
    rng = np.random.default_rng(5)
    for path in root.glob("gtFine/val/*/*_labelIds.png"):
        trees.index_image(path, LABELS[labels](rng))
    dataset = open_dataset("cityscapes", "val", root)
    predictions, truths, counts = [], [], []
    for option in ("evalInstLevelScore", "evalPixelAccuracy"):
        monkeypatch.setattr(args, option, False)
    confusion = generateMatrix(args)
    for index, sample in enumerate(dataset):
        prediction = predict(sample.label, rng)
        submitted = tmp_path / "submitted" / f"{index}.png"
        trees.index_image(submitted, dataset.encode(prediction.astype(np.uint8)))
        truth = str(dataset.pairs[index].label)
        evaluatePair(str(submitted), truth, confusion, {}, {}, args)
        predictions.append(torch.from_numpy(prediction))
        truths.append(torch.from_numpy(sample.label.astype(np.int64)))
        counts.append(image_counts(predictions[-1], truths[-1], CLASSES))
    ours = class_iou(np.stack(counts).sum(0)) / 100
    ids = Cityscapes.encode(np.arange(CLASSES, dtype=np.uint8)).tolist()
    theirs = [getIouScoreForLabel(each, confusion, args) for each in ids]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    names = dict(zip(Cityscapes.classes, theirs, strict=True))
    average = getScoreAverage(names, args)
    assert mean_iou(np.stack(counts)) / 100 == pytest.approx(average, abs=1e-6)
    compare_with_torchmetrics(ours, torch.stack(predictions), torch.stack(truths))


def compare_with_torchmetrics(ours, predictions, truths):
    """torchmetrics gives absent classes 0, the official evaluation and ours leave them out."""
    metric = MulticlassJaccardIndex(CLASSES, average="none", ignore_index=IGNORE_INDEX)
    reference = metric(predictions, truths).double().numpy()
    present = ~np.isnan(ours)
    np.testing.assert_allclose(ours[present], reference[present], atol=1e-6)
    assert (reference[~present] == 0).all()


@pytest.mark.parametrize("name", ["mapillary", "mapillary2"])
def test_iou_of_vistas_equals_torchmetrics(name, tmp_path):
    dataset = open_dataset(name, "val", trees.vistas(tmp_path, name))
    classes, rng = len(dataset.classes), np.random.default_rng(6)
    counts, predictions, truths = [], [], []
    for sample in dataset:
        drawn = rng.integers(0, classes, sample.label.shape)
        keep = (rng.random(sample.label.shape) < 0.5) & (sample.label != IGNORE_INDEX)
        prediction = torch.from_numpy(np.where(keep, sample.label, drawn))
        truth = torch.from_numpy(sample.label.astype(np.int64))
        counts.append(image_counts(prediction, truth, classes))
        predictions.append(prediction.ravel())
        truths.append(truth.ravel())
    metric = MulticlassJaccardIndex(classes, average="none", ignore_index=IGNORE_INDEX)
    reference = metric(torch.cat(predictions), torch.cat(truths)).double().numpy()
    ours = class_iou(np.stack(counts).sum(0)) / 100
    np.testing.assert_allclose(np.nan_to_num(ours), reference, atol=1e-6)
    assert mean_iou(np.stack(counts)) / 100 == pytest.approx(np.nanmean(ours), abs=1e-9)
