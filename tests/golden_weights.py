"""The published networks' recorded outputs, and weights made by rule to compare with them.

``tests/golden`` holds what the default run needs, subsampled further to stay small; the other
networks are read from ``../shared/golden`` where a checkout has it.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import build_model
from models.checkpoint import import_released
from models.multiscale import Strategy

FOLDERS = (
    Path(__file__).parent / "golden",
    Path(__file__).resolve().parents[2] / "shared" / "golden",
)

# published name -> trunk, decoder, strategy, classes
ARCHITECTURES = {
    "ocrnet_HRNet_Mscale_19": ("hrnet_w48", "ocr", "hierarchical", 19),
    "mscale_DeepV3R50_65": ("resnet50", "deeplabv3plus", "hierarchical", 65),
    "deepv3_DeepV3PlusR50_65": ("resnet50", "deeplabv3plus", "single", 65),
    "attnscale_DeepV3R50_65": ("resnet50", "deeplabv3plus", "explicit", 65),
    "mscale_DeepV3W38_19": ("wider_resnet38", "deeplabv3plus", "hierarchical", 19),
    "mscale_DeepV3X71_19": ("xception71", "deeplabv3plus", "hierarchical", 19),
    "mscale_DeeperW38_19": ("wider_resnet38", "deeperlab", "hierarchical", 19),
    "mscale_DeeperX71_19": ("xception71", "deeperlab", "hierarchical", 19),
}


def golden_file(name: str) -> Path:
    """The file in the first folder that has it; skips the test where none does."""
    for folder in FOLDERS:
        if (folder / name).exists():
            return folder / name
    pytest.skip(f"{name} is not in {' or '.join(map(str, FOLDERS))}")


def load_golden(name: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and their description."""
    with np.load(golden_file(f"{name}.golden.npz")) as archive:
        arrays = {key: archive[key] for key in archive.files}
    return arrays, json.loads(str(arrays.pop("meta")))


def fill(name: str, shape: list[int], gain: float) -> Tensor:
    """The value of one released entry: a function of its name, shape and the network's gain."""
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if len(shape) > 1:
        values = gain * np.sqrt(2 / np.prod(shape[1:])) * random.standard_normal(shape)
    elif leaf in ("weight", "running_var"):
        values = random.uniform(0.8, 1.2, shape)
    else:
        values = 0.1 * random.standard_normal(shape)
    return torch.from_numpy(values.astype(np.float32))


def released_state(name: str) -> dict[str, Tensor]:
    """A state dict under the released names, as the published code would have saved it."""
    keys = json.loads(golden_file(f"{name}.keys.json").read_text())
    state = {key: fill(key, shape, keys["gain"]) for key, shape, _ in keys["keys"]}
    total = sum(float(value.double().sum()) for value in state.values())
    assert total == pytest.approx(keys["fill_sum"], rel=1e-6)
    return {f"module.{key}": value for key, value in state.items()}


def build_released(name: str) -> Strategy:
    """The network with the released names' weights, in evaluation mode."""
    trunk, decoder, strategy, classes = ARCHITECTURES[name]
    model = build_model(trunk, decoder, strategy, classes, train_scales=(0.5, 1.0, 2.0))
    import_released(model, {"state_dict": released_state(name), "epoch": 1})
    return model.eval()


def normalised(image_u8: NDArray[np.uint8]) -> Tensor:
    """ImageNet-normalised 1 x 3 x H x W image."""
    mean = np.array([0.485, 0.456, 0.406], dtype=np.float32)
    std = np.array([0.229, 0.224, 0.225], dtype=np.float32)
    image = (image_u8.astype(np.float32) / 255 - mean) / std
    return torch.from_numpy(image.transpose(2, 0, 1)[None].copy())
