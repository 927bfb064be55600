"""Very large images in bounded memory, measured in a process of their own."""

import subprocess
import sys

import pytest
from tiny import PRINT_PEAK, environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MEASURE = """
import sys
import numpy as np, torch
from bench.inference import BAND_PIXELS, segment
from models import build_model
from models.precision import choose_precision
height, width, classes, band_pixels = map(int, sys.argv[1:])
model = build_model(
    "mini", "deeplabv3plus", "hierarchical", classes,
    width=48, rates=(2, 4, 8), train_scales=(0.5, 1.0),
)
image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
precision = choose_precision("auto", torch.device("cpu"))
seen = segment(
    model, image, (0.5, 1.0, 2.0), precision, band_pixels=band_pixels or BAND_PIXELS
)
assert seen.classes.shape == (height, width)
assert 2.0 in seen.banded
"""


def peak(height: int, width: int, classes: int, band_pixels: int = 0) -> int:
    """Peak resident MiB of a process that predicts an image."""
    numbers = map(str, (height, width, classes, band_pixels))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE + PRINT_PEAK, *numbers],
        env=environment(), capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_memory_is_that_of_bands_not_of_the_image() -> None:
    """Twice the height; fused logits alone would take 144 MiB more (640 x 480 x 123 floats)."""
    low = peak(640, 480, 123, band_pixels=960 * 544)
    high = peak(1280, 480, 123, band_pixels=960 * 544)
    assert high - low < 100


@pytest.mark.slow
def test_24_megapixels_of_123_classes_stay_within_6_gib() -> None:
    assert peak(4000, 6000, 123) < 6 * 1024
