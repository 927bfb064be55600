"""HRNet-OCR hierarchical inference at full resolution, against the plain formulation.

    python -m pytest --benchmark-only tests/benchmarks/test_inference.py

512 x 1024 pixels, 65 classes, scales 0.5, 1 and 2, one thread. The plain formulation runs
attention at every scale and holds all logits at full size. Both run in turn in one process; the
ratios of their medians are in ``extra_info``. A round takes minutes on a CPU core.
"""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from bench.meters import interleaved_medians, peak_mib
from models import build_model
from models.layers import resize, scaled_size
from models.multiscale import Strategy
from models.precision import choose_precision

SIZE, CLASSES, SCALES = (512, 1024), 65, (0.5, 1.0, 2.0)
CPU = torch.device("cpu")
LEAST_AGREEMENT = 0.999


def plain(model: Strategy, image: Tensor) -> Tensor:
    """The article's chain as it is written, B x K x H x W."""
    size = (image.shape[2], image.shape[3])
    logits, attention = {}, {}
    for scale in SCALES:
        scaled = resize(image, scaled_size(size, scale))
        out = model.segmenter(scaled, attend=True)
        logits[scale] = resize(out.logits_BKhw.float(), out.image_size)
        attention[scale] = resize(out.attention_B1hw.float(), out.image_size)
    fused = attention[1.0] * logits[1.0] + (1 - attention[1.0]) * resize(logits[2.0], size)
    low = resize(attention[0.5] * logits[0.5], size)
    return low + (1 - resize(attention[0.5], size)) * fused


@pytest.fixture(scope="module")
def model() -> Strategy:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = build_model("hrnet_w48", "ocr", "hierarchical", CLASSES).eval()
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.8, 1.2)
    return network


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_hierarchical_inference(dtype: str, model: Strategy, benchmark: BenchmarkFixture) -> None:
    image = torch.randn(1, 3, *SIZE).contiguous(memory_format=torch.channels_last)

    def run(kind: str, function) -> Tensor:
        with torch.inference_mode(), choose_precision(kind, CPU).autocast():
            return function()

    actions = {
        "ours": lambda: run(dtype, lambda: model(image, SCALES).logits_BKHW),
        "plain": lambda: run(dtype, lambda: plain(model, image)),
        "plain float32": lambda: run("float32", lambda: plain(model, image)),
    }
    if dtype == "float32":
        del actions["plain float32"]
    results = {name: action().argmax(1) for name, action in actions.items()}
    agreement = (results["ours"] == results["plain"]).float().mean().item()
    medians = benchmark.pedantic(
        interleaved_medians, args=(actions, 3, CPU), rounds=1, iterations=1
    )
    for name in ("plain", "plain float32"):
        if name in medians:
            benchmark.extra_info[f"ours / {name}"] = round(medians["ours"] / medians[name], 3)
    benchmark.extra_info["argmax agreement"] = round(agreement, 5)
    benchmark.extra_info["peak MiB, ours"] = round(peak_mib(actions["ours"], CPU))
    benchmark.extra_info["peak MiB, plain"] = round(peak_mib(actions["plain"], CPU))
    if dtype == "float32":
        assert agreement >= LEAST_AGREEMENT
