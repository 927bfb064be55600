"""Use a trained network: predict an image, evaluate a split by one strategy and set of scales.

Letters: B batch, K classes, S sizes, H W the label's grid.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bench.datasets import Sample, SegmentationDataset
from bench.datasets.transforms import normalize
from bench.metrics import image_counts
from bench.regions import boundary_counts, size_counts
from models.layers import resize
from models.multiscale import AvgPool, LazyPrediction, Prediction, Strategy
from models.precision import Precision
from models.strips import Pointwise

BAND_PIXELS = 2**24
"""Where memory is to be bounded, a scale's image with more pixels than this is run in bands.

Twice what Cityscapes has at scale 2.0.
"""


@dataclass(frozen=True)
class Segmentation:
    """The classes of one image.

    Attributes:
        classes: H x W class indices.
        attention: scale -> H x W effective weight, 0 to 255 for 0 to 1.
        banded: the scales that were run in bands, see ``models.bands``.
    """

    classes: NDArray[np.uint8]
    attention: dict[float, NDArray[np.uint8]]
    banded: tuple[float, ...]


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
        boundary: N x 3 x K, see ``bench.regions``.
        sizes: N x S x 3 x K, see ``bench.regions``.
    """

    counts: NDArray[np.int64]
    ids: list[str]
    boundary: NDArray[np.int64]
    sizes: NDArray[np.int64]


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


def segment(
    model: Strategy,
    image_HW3: NDArray[np.uint8],
    scales: Sequence[float],
    precision: Precision,
    *,
    size: tuple[int, int] | None = None,
    flip: bool = False,
    band_pixels: int | None = None,
) -> Segmentation:
    """Classify every pixel of a uint8 image; logits are never whole at the image's size.

    Args:
        model: the trained network under the strategy's rule.
        image_HW3: the image, RGB.
        scales: eval scales; 1.0 is among them.
        precision: device and dtype.
        size: height and width of the result; the image's own by default.
        flip: take the mean of the probabilities with those of the mirror image.
        band_pixels: see ``Strategy.lazily``.
    """
    model.eval()
    size = size or (image_HW3.shape[0], image_HW3.shape[1])
    image = torch.from_numpy(image_HW3).permute(2, 0, 1)[None]
    with torch.inference_mode(), precision.autocast():
        batch = normalize(image.to(precision.device))
        batch = batch.contiguous(memory_format=torch.channels_last)
        seen = model.lazily(batch, scales, band_pixels)
        if flip:
            seen = _averaged(seen, model.lazily(batch.flip(3), scales, band_pixels))
        classes_HW = seen.logits.resize(size).argmax()[0, 0]
        attention = {scale: _weight(each, size) for scale, each in seen.attention.items()}
    return Segmentation(classes_HW.cpu().numpy(), attention, seen.banded)


def _averaged(straight: LazyPrediction, mirrored: LazyPrediction) -> LazyPrediction:
    """Mean of the probabilities of an image and its mirror image, as an image's logits."""

    def mean(first_BKRW: torch.Tensor, second_BKRW: torch.Tensor) -> torch.Tensor:
        return (first_BKRW.softmax(1) + second_BKRW.flip(3).softmax(1)) / 2

    attention = {
        scale: (weight + mirrored.attention[scale].flip(3)) / 2
        for scale, weight in straight.attention.items()
    }
    logits = Pointwise(mean, (straight.logits, mirrored.logits))
    return LazyPrediction(logits, attention, straight.banded)


def evaluate(
    model: Strategy,
    dataset: SegmentationDataset,
    scales: Sequence[float],
    precision: Precision,
    *,
    images: int | None = None,
    flip: bool = False,
    band_pixels: int | None = None,
    on_image: Callable[[int, int], None] = lambda done, total: None,
    on_prediction: Callable[[Sample, Segmentation], None] = lambda sample, seen: None,
) -> EvalResult:
    """Evaluate at the label's full resolution.

    Args:
        model: the trained network under the strategy's rule.
        dataset: the split.
        scales: eval scales; 1.0 is among them.
        precision: device and dtype.
        images: evaluate the first this many images; ``None`` takes all.
        flip: see ``segment``.
        band_pixels: see ``segment``.
        on_image: called with (done, total) after each image.
        on_prediction: called with every sample and its prediction.
    """
    total, classes = min(images or len(dataset), len(dataset)), len(dataset.classes)
    counts, boundary, sizes, ids = [], [], [], []
    for index in range(total):
        sample = dataset[index]
        label_HW = sample.label
        size = (label_HW.shape[0], label_HW.shape[1])
        seen = segment(
            model, sample.image, scales, precision, size=size, flip=flip, band_pixels=band_pixels
        )
        predicted, truth = torch.from_numpy(seen.classes), torch.from_numpy(label_HW)
        counts.append(image_counts(predicted, truth, classes))
        boundary.append(boundary_counts(seen.classes, label_HW, classes))
        sizes.append(size_counts(seen.classes, label_HW, classes))
        ids.append(sample.id)
        on_prediction(sample, seen)
        on_image(index + 1, total)
    return EvalResult(np.stack(counts), ids, np.stack(boundary), np.stack(sizes))


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
        {scale: _weight(each, size) for scale, each in prediction.attention.items()},
    )


def _weight(weight_1HW: torch.Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A weight in [0, 1] on the grid of ``size``, 0 to 255."""
    return _to_uint8((resize(weight_1HW, size)[0, 0] * 255).round())


def _to_uint8(values: torch.Tensor) -> NDArray[np.uint8]:
    return values.to(torch.uint8).cpu().numpy()
