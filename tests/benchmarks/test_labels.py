"""Labels of 1920 x 1080: bytes of real predictions, and how long a label and its JPEG image read.

    python -m pytest --benchmark-only tests/benchmarks/test_labels.py

A teacher is trained on scenes of that size first, which takes some minutes on a CPU core. Its
labels must take at most 30 KB on average; of the two times, the label's should be the lower one.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from bench.config import TrainingConfig
from bench.datasets.label_folder import LabelFolder
from bench.datasets.reading import read_image
from bench.datasets.streets import Streets
from bench.labels.labelling import Labeller, make_labels
from bench.labels.workers import label_here
from bench.plan import resolve_precision
from bench.trained import open_trained
from bench.trial import run_trial
from sweeps.table4 import SCALES, SWEEP

SIZE = (1080, 1920)
IMAGES = 4
MOST_BYTES = 30_000
QUALITY = 90


def teacher_config() -> TrainingConfig:
    base = SWEEP.profiles["quick"].base
    return base.replace(
        data=base.data.replace(scene_size=SIZE, train_images=24),
        augment=base.augment.replace(crop=(192, 384), scale=(0.2, 1.0)),
        optim=base.optim.replace(steps=400),
        precision=resolve_precision("auto", "cpu"),
        strategy="hierarchical",
        train_scales=(0.5, 1.0),
    )


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> tuple[LabelFolder, Streets, float]:
    """Labels of held-back scenes, and their mean bytes."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("teacher")
    runtime = SWEEP.profiles["quick"].runtime.replace(val_points=1, val_images=1)
    run_trial(teacher_config(), [], runtime, folder)
    scenes = Streets("coarse", count=IMAGES, size=SIZE)
    target = LabelFolder(folder / "labels", scenes)
    teacher = open_trained(folder / "model.pt", "cpu")
    manifest = make_labels(Labeller(teacher, scenes, None, target, 0.5, SCALES), label_here)
    return target, scenes, manifest["storage"]["hard_bytes"]


@pytest.mark.parametrize("what", ["label", "jpeg"])
def test_reading(
    what: str,
    labels: tuple[LabelFolder, Streets, float],
    tmp_path: Path,
    benchmark: BenchmarkFixture,
) -> None:
    folder, scenes, mean_bytes = labels
    sample = scenes[0]
    picture = tmp_path / "image.jpg"
    Image.fromarray(sample.image).save(picture, quality=QUALITY)

    def read() -> np.ndarray:
        return folder.read(sample.id) if what == "label" else read_image(picture)

    benchmark.group = "read 1920 x 1080"
    benchmark.extra_info["mean label bytes"] = round(mean_bytes)
    assert benchmark.pedantic(read, rounds=31, warmup_rounds=3).shape[:2] == SIZE
    assert mean_bytes <= MOST_BYTES
