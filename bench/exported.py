"""A network at fixed scales as one graph, written and read through torch.export or ONNX.

Letters: B batch, K classes, H W the image's grid.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.datasets.transforms import normalize
from models.multiscale import Strategy

INPUT, OUTPUT = "image", "probabilities"


class FixedNetwork(nn.Module):
    """From uint8 images B x H x W x 3 to class probabilities B x K x H x W in float32.

    Args:
        model: the network under its rule.
        scales: eval scales.
    """

    def __init__(self, model: Strategy, scales: Sequence[float]) -> None:
        super().__init__()
        self.model, self.scales = model, tuple(scales)

    def forward(self, image_BHW3: Tensor) -> Tensor:
        """Normalise, predict, softmax."""
        image_B3HW = normalize(image_BHW3.permute(0, 3, 1, 2))
        return self.model(image_B3HW, self.scales).logits_BKHW.softmax(1)


def write(network: FixedNetwork, image_1HW3: Tensor, form: str, path: Path) -> None:
    """Trace the network on an image of the fixed size and write it.

    Gradients stay enabled, though no weight has one: so the fusion is traced as whole tensors.

    Raises:
        ImportError: the packages of the format are not installed.
    """
    with torch.enable_grad():
        program = torch.export.export(network, (image_1HW3,))
    if form == "pt2":
        with warnings.catch_warnings():
            # about constants that share memory; the file is compared with the network anyway
            warnings.filterwarnings("ignore", "No complete tensor found", UserWarning)
            torch.export.save(program, path)
        return
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        exported = torch.onnx.export(
            program, dynamo=True, input_names=[INPUT], output_names=[OUTPUT], verbose=False
        )
    assert exported is not None
    exported.save(path)


def read_back(path: Path, form: str, image_1HW3: Tensor) -> Tensor:
    """Run a written file on an image."""
    if form == "pt2":
        with torch.inference_mode():
            return torch.export.load(path).module()(image_1HW3)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (probabilities,) = session.run([OUTPUT], {INPUT: image_1HW3.numpy()})
    return torch.from_numpy(probabilities)
