"""Teachers for tests of labelling: networks with initial weights, and images for them."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.config import TrainingConfig
from bench.datasets import dataset_class
from bench.trained import build_network, save_trained
from sweeps.table4 import SWEEP

SIZE = (48, 64)
SHARPER = 20
"""Factor on the last weights, so that a drawn network is sure of some pixels and not of others."""


def tiny_config(dataset: str = "streets") -> TrainingConfig:
    base = SWEEP.profiles["quick"].base
    size = SIZE if dataset == "streets" else None
    return base.replace(
        data=base.data.replace(dataset=dataset, scene_size=size, train_images=None),
        network=base.network.replace(width=16),
        strategy="hierarchical",
        train_scales=(0.5, 1.0),
    )


def write_teacher(path: Path, dataset: str = "streets", seed: int = 0) -> Path:
    """A network as a sweep leaves it; its weights are as drawn, so that it is unsure of much."""
    torch.manual_seed(seed)
    config, kind = tiny_config(dataset), dataset_class(dataset)
    model = build_network(config, len(kind.classes))
    with torch.no_grad():
        model.segmenter.decoder.head[-1].weight.mul_(SHARPER)
    content = {
        "config": config.model_dump(mode="json"),
        "classes": list(kind.classes),
        "colors": [list(color) for color in kind.colors],
        "thin": list(kind.thin),
        "model": model.state_dict(),
    }
    save_trained(path, content)
    return path


def write_images(folder: Path, count: int) -> Path:
    """Image files at two depths, PNG and JPEG."""
    rng = np.random.default_rng(0)
    for index in range(count):
        path = (
            folder / ("deep" if index % 2 else "") / f"{index:02d}.{'jpg' if index % 3 else 'png'}"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(path)
    return folder
