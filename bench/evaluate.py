"""Evaluate a trained network over a split: one strategy, one set of scales.

Letters: B batch, K classes, H W the label's grid.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bench.datasets import Sample, SegmentationDataset
from bench.datasets.transforms import normalize
from bench.metrics import image_counts
from models.layers import resize
from models.multiscale import AvgPool, Prediction, Strategy
from models.precision import Precision


@dataclass(frozen=True)
class Picture:
    """One evaluated image with everything that figure 5 shows, as uint8 arrays.

    Attributes:
        image: H x W x 3.
        truth: H x W class indices, 255 where ignored.
        prediction: H x W class indices.
        scale_predictions: scale -> H x W class indices of that scale alone.
        attention: scale -> H x W effective weight, 0 to 255 for 0 to 1.
    """

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    scale_predictions: dict[float, NDArray[np.uint8]]
    attention: dict[float, NDArray[np.uint8]]


@dataclass(frozen=True)
class EvalResult:
    """Pixel counts of every image of a split.

    Attributes:
        counts: N x 3 x K, see ``bench.metrics``.
        ids: the N image ids.
    """

    counts: NDArray[np.int64]
    ids: list[str]


def apply_rule(model: Strategy, strategy: str) -> Strategy:
    """The trained network under an evaluation rule: avgpool reuses a single-scale network."""
    return AvgPool(model.segmenter) if strategy == "avgpool" else model


def predict(
    model: Strategy, image_HW3: NDArray[np.uint8], scales: Sequence[float], precision: Precision
) -> Prediction:
    """Predict one uint8 image in evaluation mode, without gradients."""
    model.eval()
    image = torch.from_numpy(image_HW3).permute(2, 0, 1)[None]
    with torch.inference_mode(), precision.autocast():
        batch = normalize(image.to(precision.device))
        return model(batch.contiguous(memory_format=torch.channels_last), scales)


def evaluate(
    model: Strategy,
    dataset: SegmentationDataset,
    scales: Sequence[float],
    precision: Precision,
    *,
    images: int | None = None,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> EvalResult:
    """Evaluate at the label's full resolution.

    Args:
        model: the trained network under the strategy's rule.
        dataset: the split.
        scales: eval scales; 1.0 is among them.
        precision: device and dtype.
        images: evaluate the first this many images; ``None`` takes all.
        on_image: called with (done, total) after each image.
    """
    total = min(images or len(dataset), len(dataset))
    counts, ids = [], []
    for index in range(total):
        sample = dataset[index]
        prediction = predict(model, sample.image, scales, precision)
        label = torch.from_numpy(sample.label).to(precision.device)
        classes_HW = resize(prediction.logits_BKHW, sample.label.shape).argmax(1)[0]
        counts.append(image_counts(classes_HW, label, len(dataset.classes)))
        ids.append(sample.id)
        on_image(index + 1, total)
    return EvalResult(np.stack(counts), ids)


def telling_images(result: EvalResult, dataset: SegmentationDataset) -> list[int]:
    """The two images that show what scales are for: most and fewest pixels of thin structures."""
    thin = [dataset.classes.index(name) for name in dataset.thin]
    truth = result.counts[:, 1]
    share = truth[:, thin].sum(1) / truth.sum(1).clip(1)
    return sorted({int(share.argmax()), int(share.argmin())})


def take_picture(
    model: Strategy, sample: Sample, scales: Sequence[float], precision: Precision
) -> Picture:
    """Predict one image and keep everything that figure 5 shows of it."""
    prediction = predict(model, sample.image, scales, precision)
    size = sample.label.shape
    return Picture(
        sample.image,
        sample.label,
        _to_uint8(resize(prediction.logits_BKHW, size).argmax(1)[0]),
        {
            scale: _to_uint8(resize(logits.float(), size).argmax(1)[0])
            for scale, logits in prediction.scale_logits.items()
        },
        {
            scale: _to_uint8((resize(weight, size)[0, 0] * 255).round())
            for scale, weight in prediction.attention.items()
        },
    )


def _to_uint8(values: torch.Tensor) -> NDArray[np.uint8]:
    return values.to(torch.uint8).cpu().numpy()
