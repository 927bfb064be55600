"""RMI: the published value and gradient, a slow float64 version, hard cases, and memory."""

import pytest
import torch
from golden_weights import load_golden
from torch import Tensor
from torch.nn import functional as F

from models.losses import cross_entropy, segmentation_loss
from models.multiscale import Prediction
from models.rmi import FLOOR, RIDGE, binary_cross_entropy, rmi_loss


def slow_rmi(logits: Tensor, label: Tensor) -> Tensor:
    """The formula as it is written, in float64, one map after the other."""
    batch, classes, _, _ = logits.shape
    logits = logits.double()
    valid = label < classes
    total = binary = torch.zeros((), dtype=torch.float64)
    for b in range(batch):
        for k in range(classes):
            truth = (label[b] == k).double()
            point = F.binary_cross_entropy_with_logits(logits[b, k], truth, reduction="none")
            binary = binary + point[valid[b]].sum() / (valid.sum() + 1)
            guess = logits[b, k].sigmoid() * valid[b] + FLOOR
            y, p = (
                F.unfold(F.avg_pool2d(each[None, None], 4, 4, padding=2), 3)[0]
                for each in (truth, guess)
            )
            y, p = (each - each.mean(1, keepdim=True) for each in (y, p))
            ridge = RIDGE * torch.eye(9, dtype=torch.float64)
            left = y @ y.T - y @ p.T @ torch.linalg.inv(p @ p.T + ridge) @ p @ y.T
            total = total + 0.5 * torch.logdet(left + ridge) / 9 / batch
    return 0.5 * binary + 0.5 * total


def test_published_value_and_gradient() -> None:
    arrays, meta = load_golden("rmi")
    logits = torch.from_numpy(arrays["logits"]).requires_grad_()
    label = torch.from_numpy(arrays["labels"])
    loss = rmi_loss(logits, label)
    loss.backward()
    assert loss.item() == pytest.approx(meta["random"]["loss"], abs=2e-5)
    wanted = torch.from_numpy(arrays["random/grad"])
    torch.testing.assert_close(logits.grad[:, :, 1::2, ::2], wanted, rtol=1e-3, atol=1e-9)
    assert float(logits.grad.norm()) == pytest.approx(meta["random"]["grad_l2"], rel=1e-4)
    assert binary_cross_entropy(logits, label).item() == pytest.approx(meta["random"]["bce"])
    ignored = rmi_loss(logits, torch.full_like(label, 255))
    assert ignored.item() == pytest.approx(meta["all_ignored"]["loss"], abs=1e-4)
    assert cross_entropy(logits, label).item() == pytest.approx(meta["cross_entropy"]["random"])


@pytest.mark.parametrize("size", [(33, 47), (64, 66), (35, 40)])
def test_equals_the_formula_in_float64(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    logits = (3 * torch.randn(2, 4, *size)).requires_grad_()
    label = torch.randint(0, 5, (2, *size))
    label[label == 4] = 255
    loss, slow = rmi_loss(logits, label), slow_rmi(logits, label)
    assert loss.item() == pytest.approx(slow.item(), abs=1e-5)
    (got,) = torch.autograd.grad(loss, logits)
    (wanted,) = torch.autograd.grad(slow, logits)
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1e3, 1e30])
def test_singular_covariances_and_ignored_batches_stay_finite(scale: float) -> None:
    torch.manual_seed(0)
    logits = (scale * torch.randn(2, 3, 40, 40)).requires_grad_()
    for label in (
        torch.full((2, 40, 40), 255),
        torch.zeros(2, 40, 40, dtype=torch.long),
        torch.randint(0, 3, (2, 40, 40)),
    ):
        logits.grad = None
        loss = rmi_loss(logits, label)
        loss.backward()
        assert loss.isfinite()
        assert logits.grad.isfinite().all()


def test_float32_inside_autocast() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 32, 32, requires_grad=True)
    label = torch.randint(0, 3, (1, 32, 32))
    plain = rmi_loss(logits, label)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(rmi_loss(logits, label), plain)
        low = rmi_loss(logits.bfloat16(), label)
    assert low.dtype == torch.float32
    low.backward()
    assert logits.grad.isfinite().all()


def test_all_ignored_cross_entropy_is_zero() -> None:
    logits = torch.randn(1, 3, 8, 8, requires_grad=True)
    loss = cross_entropy(logits, torch.full((1, 8, 8), 255))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_terms_of_the_loss_add_up() -> None:
    torch.manual_seed(0)
    label = torch.randint(0, 3, (1, 32, 32))
    fused, aux, low = torch.randn(1, 3, 32, 32), torch.randn(1, 3, 32, 32), torch.randn(1, 3, 4, 4)
    prediction = Prediction(fused, {0.5: low}, {}, aux)
    grown = F.interpolate(F.interpolate(low, (16, 16), mode="bilinear"), (32, 32), mode="bilinear")
    for loss, main, pixelwise in (
        ("cross_entropy", cross_entropy, cross_entropy),
        ("rmi", rmi_loss, binary_cross_entropy),
    ):
        wanted = main(fused, label) + 0.05 * pixelwise(grown, label) + 0.4 * pixelwise(aux, label)
        got = segmentation_loss(prediction, label, loss=loss, scale_weight=0.05)
        assert got.item() == pytest.approx(wanted.item(), rel=1e-5)
    with pytest.raises(ValueError, match="unknown loss 'dice'; known: cross_entropy, rmi"):
        segmentation_loss(prediction, label, loss="dice")


def test_memory_is_at_most_twice_that_of_cross_entropy() -> None:
    logits = torch.randn(2, 19, 256, 256, requires_grad=True)
    label = torch.randint(0, 19, (2, 256, 256))
    assert peak_bytes(rmi_loss, logits, label) <= 2 * peak_bytes(cross_entropy, logits, label)


def peak_bytes(loss, logits: Tensor, label: Tensor) -> int:
    """Most bytes of live tensors above those before, over value and gradient."""
    logits.grad = None
    with torch.profiler.profile(profile_memory=True) as profile:
        loss(logits, label).backward()
    live = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak
