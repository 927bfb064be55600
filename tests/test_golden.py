"""Networks and losses give the numbers that the published networks gave on the same weights."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from golden_weights import ARCHITECTURES, build_released, load_golden, normalised
from numpy.typing import NDArray
from torch import Tensor, nn

from models.checkpoint import network_table, rename
from models.layers import resize, scaled_size
from models.losses import segmentation_loss
from models.multiscale import Strategy

RUNS = {"s3": (0.5, 1.0, 2.0), "s1": (1.0,), "two": (0.5, 1.0)}
SCALES = {"2.0x": 2.0, "1.0x": 1.0, "0.5x": 0.5, "05x": 0.5, "10x": 1.0}
FUSED = [name for name, parts in ARCHITECTURES.items() if parts[2] != "explicit"]
DEFAULT = ("ocrnet_HRNet_Mscale_19", "mscale_DeepV3R50_65")
TRAINED = ("mscale_DeepV3R50_65", "ocrnet_HRNet_Mscale_19", "deepv3_DeepV3PlusR50_65")


def marked(names: tuple[str, ...] | list[str]) -> list[Any]:
    """Networks beyond the two default ones are slow."""
    return [n if n in DEFAULT else pytest.param(n, marks=pytest.mark.slow) for n in names]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@torch.no_grad()
def outputs(model: Strategy, image: Tensor, run: str) -> dict[str, Tensor]:
    """Everything of one run under the published names: at the size of the image at its scale."""
    seen: list[Tensor] = []
    if model.segmenter.attention is not None:
        model.segmenter.attention.register_forward_hook(lambda *call: seen.append(call[-1]))
    prediction = model(image, RUNS[run])
    attention = dict(zip(RUNS[run], seen, strict=False))  # lowest first; none of the highest
    size = (image.shape[2], image.shape[3])
    found = {"pred": prediction.logits_BKHW}
    for name, scale in SCALES.items():
        grid = scaled_size(size, scale)
        if scale in prediction.scale_logits:
            found[f"pred_{name}"] = resize(prediction.scale_logits[scale], grid)
        if scale in attention:
            found[f"attn_{name}"] = resize(attention[scale], grid)
    return found


@pytest.mark.parametrize("name", marked(FUSED))
def test_outputs_match_the_published_network(name: str) -> None:
    arrays, meta = load_golden(name)
    model = build_released(name)
    image = normalised(arrays["image_u8"])
    for run in RUNS:
        wanted = {key: entry for key, entry in meta.items() if key.startswith(f"{run}/")}
        found = outputs(model, image, run) if wanted else {}
        for key, entry in wanted.items():
            if key == "s1/attn_1.0x":
                continue  # published runs the highest scale's attention and throws it away
            source = entry.get("same_as", key)
            assert_matches(found[key.split("/")[1]], arrays[source], meta[source], key)


def assert_matches(got: Tensor, want: NDArray[Any], entry: dict[str, Any], key: str) -> None:
    assert list(got.shape) == entry["shape"], key
    step = entry["stride"]
    part = got[:, :, entry["row0"] :: step, entry["col0"] :: step].numpy()
    np.testing.assert_allclose(part, want, rtol=0, atol=5e-5 * max(1, entry["std"]), err_msg=key)


@pytest.mark.slow
def test_explicit_attention_matches_before_its_softmax() -> None:
    """The published explicit fusion takes raw attention; ours puts a softmax behind it."""
    arrays, meta = load_golden("attnscale_DeepV3R50_65")
    model = build_released("attnscale_DeepV3R50_65")
    image = normalised(arrays["image_u8"])
    seen: list[Tensor] = []
    model.attention.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        model(image, RUNS["s3"])
    # published with a ring of zeros around it
    largest = nn.functional.pad(seen[0][:, :1], (1, 1, 1, 1))
    entry = meta["s3/attn_last"]
    assert_matches(largest, arrays["s3/attn_last"], entry, "attn_last")


@pytest.mark.parametrize("name", marked(TRAINED))
@pytest.mark.parametrize("case", ["ce", "ce_sup0.05", "rmi", "rmi_sup0.05"])
def test_training_losses_match(name: str, case: str) -> None:
    arrays, meta = load_golden("train_loss")
    entry = meta.get(f"{name}/{case}")
    if entry is None:
        pytest.skip(f"no recorded {case} for {name}")
    model = frozen_training(build_released(name))
    image = normalised(arrays["image_u8"][:64, :128])
    label = torch.from_numpy(arrays["labels"][:1]).long()
    scales = (1.0,) if ARCHITECTURES[name][2] == "single" else (0.5, 1.0)
    loss = segmentation_loss(
        model(image, scales),
        label,
        loss="rmi" if "rmi" in case else "cross_entropy",
        scale_weight=0.05 if "sup" in case else 0.0,
    )
    assert loss.item() == pytest.approx(entry["loss"], abs=1e-4)
    if f"{name}/{case}/grad_l2" in arrays:
        loss.backward()
        norms = arrays[f"{name}/{case}/grad_l2"]
        wanted = dict(zip(arrays[f"{name}/param_names"], norms, strict=True))
        assert_gradients(model, wanted, rtol=5e-3)


def frozen_training(model: Strategy) -> Strategy:
    """Training mode with running statistics and without dropout, as recorded."""
    model.train()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
        elif isinstance(layer, nn.Dropout2d):
            layer.p = 0.0
    return model


def assert_gradients(model: Strategy, wanted: dict[str, float], rtol: float) -> None:
    """Compare the gradient norm of every parameter under its released name."""
    renamed, unknown = rename(
        {str(name): torch.tensor(float(norm)) for name, norm in wanted.items()},
        network_table(model),
    )
    assert not unknown
    for name, parameter in model.named_parameters():
        norm = 0.0 if parameter.grad is None else float(parameter.grad.norm())
        assert norm == pytest.approx(float(renamed[name]), rel=rtol, abs=1e-4), name


def test_batch_statistics_match() -> None:
    """Real training mode: both scales pass through every batch norm, the low one first."""
    arrays, meta = load_golden("train_loss")
    name = "mscale_DeepV3R50_65"
    model = build_released(name).train()
    image = arrays["image_u8"]
    pair = torch.cat([normalised(image[:64, :128]), normalised(image[64:, 128:])])
    loss = segmentation_loss(model(pair, (0.5, 1.0)), torch.from_numpy(arrays["labels"]).long())
    assert loss.item() == pytest.approx(meta[f"{name}/ce_batchstats_b2"]["loss"], abs=2e-4)
    buffers = dict(model.named_buffers())
    for statistic in ("running_mean", "running_var"):
        sums = arrays[f"{name}/bn_{statistic}_sum"]
        names = [f"{layer}.{statistic}" for layer in arrays[f"{name}/bn_names"]]
        state = {key: torch.tensor(float(value)) for key, value in zip(names, sums, strict=True)}
        renamed, unknown = rename(state, network_table(model))
        assert not unknown
        for here, wanted in renamed.items():
            if ".attention." not in here:  # published also runs the attention of the high scale
                total = float(buffers[here].double().sum())
                assert total == pytest.approx(float(wanted), rel=1e-3, abs=1e-2), here
