"""Every trunk with every decoder and every strategy: contracts, one training step, odd sizes."""

import subprocess
import sys
from functools import cache
from typing import Any

import pytest
import torch
from tiny import PRINT_PEAK, ROOT, environment
from torch import Tensor, nn

from models import DECODERS, STRATEGIES, TRUNKS, build_model
from models.contracts import Trunk
from models.losses import segmentation_loss
from models.multiscale import Explicit, Strategy
from models.recompute import checkpoint_blocks
from models.segmenter import AttentionHead, Segmenter

CLASSES, WIDTH = 5, 16
SMALL = ("mini", "efficientnet_lite0")
TRAIN_SCALES = {
    "single": (1.0,),
    "avgpool": (1.0,),
    "explicit": (0.5, 1.0),
    "hierarchical": (0.5, 1.0),
}
EVAL_SCALES = TRAIN_SCALES | {"avgpool": (0.5, 1.0), "hierarchical": (0.5, 0.75, 1.0, 1.25)}


def combinations() -> list[Any]:
    """All of them; large trunks run one strategy by default, and the others when slow is asked."""
    return [
        pytest.param(
            trunk,
            decoder,
            strategy,
            marks=() if trunk in SMALL or strategy == "hierarchical" else pytest.mark.slow,
        )
        for trunk in TRUNKS
        for decoder in DECODERS
        for strategy in STRATEGIES
    ]


@cache
def trunk_of(name: str, output_stride: int) -> Trunk:
    """One trunk for all tests that need it: large ones take seconds to initialise."""
    torch.manual_seed(0)
    trunk = TRUNKS[name](output_stride, False)
    trunk.name = name
    return trunk.to(memory_format=torch.channels_last)


def assemble(trunk_name: str, decoder_name: str, strategy: str) -> Strategy:
    """What ``build_model`` builds, around a trunk that is at hand."""
    trunk = trunk_of(trunk_name, 8)
    decoder = DECODERS[decoder_name](trunk, CLASSES, WIDTH, None)
    head = AttentionHead(decoder.features_channels, WIDTH) if strategy == "hierarchical" else None
    segmenter = Segmenter(trunk, decoder, head)
    if strategy == "explicit":
        return Explicit(segmenter, TRAIN_SCALES[strategy])
    return STRATEGIES[strategy](segmenter)


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", TRUNKS)
def test_trunk_contract(name: str, output_stride: int) -> None:
    trunk = trunk_of(name, output_stride).eval()
    assert len(trunk.channels) == len(trunk.strides) == 3
    fine, middle, deep = trunk.strides
    assert fine <= middle
    assert fine <= deep
    assert deep == (4 if name == "hrnet_w48" else output_stride)
    for height, width in ((64, 96), (33, 75)):
        with torch.no_grad():
            maps = trunk(torch.randn(1, 3, height, width))
        shapes = [
            (1, channels, -(-height // stride), -(-width // stride))
            for channels, stride in zip(trunk.channels, trunk.strides, strict=True)
        ]
        assert [tuple(each.shape) for each in maps] == shapes


@pytest.mark.parametrize("decoder_name", DECODERS)
def test_decoder_contract(decoder_name: str) -> None:
    trunk = trunk_of("mini", 8).eval()
    decoder = DECODERS[decoder_name](trunk, CLASSES, WIDTH, None).eval()
    with torch.no_grad():
        features, logits, aux = decoder(trunk(torch.randn(2, 3, 65, 90)))
    stride = trunk.strides[2 if decoder_name == "ocr" else 0]
    grid = (-(-65 // stride), -(-90 // stride))
    assert features.shape == (2, decoder.features_channels, *grid)
    assert logits.shape == (2, CLASSES, *grid)
    assert (aux is not None) == (decoder_name == "ocr")


@pytest.mark.parametrize(("trunk", "decoder", "strategy"), combinations())
def test_one_training_step_and_odd_sizes(trunk: str, decoder: str, strategy: str) -> None:
    torch.manual_seed(0)
    model = assemble(trunk, decoder, strategy).train()
    image = torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    label = torch.randint(0, CLASSES, (2, 64, 64))
    prediction = model(image, TRAIN_SCALES[strategy])
    loss = segmentation_loss(prediction, label, scale_weight=0.05)
    model.zero_grad()
    loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert not [name for name in without if "trunk" not in name]
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    torch.optim.SGD(model.parameters(), lr=1e-3).step()
    assert loss.isfinite()

    model.eval()
    scales = EVAL_SCALES[strategy]
    with torch.inference_mode():
        odd = model(torch.randn(1, 3, 65, 83), scales)
    assert odd.logits_BKHW.shape == (1, CLASSES, 65, 83)
    assert odd.logits_BKHW.isfinite().all()
    assert set(odd.scale_logits) == set(odd.attention) == set(scales)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_build_model_by_name(decoder: str, strategy: str) -> None:
    model = build_model(
        "mini", decoder, strategy, CLASSES, train_scales=TRAIN_SCALES[strategy], width=WIDTH
    )
    assert (model.segmenter.trunk.name, model.segmenter.decoder.name) == ("mini", decoder)
    assert (model.segmenter.attention is None) == (strategy != "hierarchical")
    with torch.inference_mode():
        prediction = model.eval()(torch.randn(1, 3, 48, 64), TRAIN_SCALES[strategy])
    assert prediction.logits_BKHW.shape == (1, CLASSES, 48, 64)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("resnet51", "ocr", "single"), "unknown trunk 'resnet51'; known: mini"),
        (("mini", "fcn", "single"), "unknown decoder 'fcn'; known: deeplabv3plus, ocr, deeperlab"),
        (("mini", "ocr", "mean"), "unknown strategy 'mean'; known: single, avgpool"),
    ],
)
def test_unknown_names_list_the_known(names: tuple[str, str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_model(*names, CLASSES)


@pytest.mark.parametrize("name", ["mini", "efficientnet_lite0", "resnet50"])
def test_gradient_checkpointing_changes_memory_and_nothing_else(name: str) -> None:
    image, label = torch.randn(2, 3, 64, 64), torch.randint(0, CLASSES, (2, 64, 64))
    results = []
    for checkpointed in (False, True):
        torch.manual_seed(0)
        model = build_model(
            name,
            "deeplabv3plus",
            "hierarchical",
            CLASSES,
            width=WIDTH,
            checkpoint_trunk=checkpointed,
        ).train()
        saved, loss = saved_bytes(model, image, label)
        loss.backward()
        gradients = {key: p.grad for key, p in model.named_parameters()}
        results.append((saved, gradients, dict(model.named_buffers())))
    (plain_saved, *plain), (less_saved, *less) = results
    assert less_saved < 0.8 * plain_saved
    for wanted, got in zip(plain, less, strict=True):
        for key, value in wanted.items():
            torch.testing.assert_close(got[key], value, rtol=1e-5, atol=1e-7)


def saved_bytes(model: nn.Module, image: Tensor, label: Tensor) -> tuple[int, Tensor]:
    """Bytes that the forward pass keeps for the backward pass, and the loss."""
    sizes: list[int] = []

    def pack(saved: Tensor) -> Tensor:
        sizes.append(saved.numel() * saved.element_size())
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        loss = segmentation_loss(model(image, (0.5, 1.0)), label)
    return sum(sizes), loss


def test_checkpointed_blocks_are_found_in_every_trunk() -> None:
    for name in TRUNKS:
        trunk = trunk_of(name, 8)
        before = {module: module.forward for module in trunk.modules()}
        checkpoint_blocks(trunk)
        wrapped = [module for module in trunk.modules() if "forward" in vars(module)]
        assert len(wrapped) >= 4, name
        for module in wrapped:
            del module.forward
        assert all(module.forward == forward for module, forward in before.items())


FULL_RESOLUTION = """
import torch
from models import build_model
torch.set_num_threads(1)
model = build_model("hrnet_w48", "ocr", "hierarchical", 65).eval()
with torch.inference_mode():
    model(torch.randn(1, 3, 512, 1024), (0.5, 1.0, 2.0))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_full_resolution_inference() -> None:
    """Peak resident memory of a fresh process; the published code takes 3,260 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_RESOLUTION + PRINT_PEAK],
        cwd=ROOT,
        env=environment() | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) <= 2200
