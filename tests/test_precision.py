"""What mixed precision must not change: gradients stay numbers, and stay close to float32's."""

from pathlib import Path

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from bench.config import Runtime
from bench.errors import BenchError
from bench.trial import run_trial
from models.precision import guard_dilated_depthwise
from sweeps.table3 import SWEEP


@pytest.mark.parametrize("convolution", [nn.Conv2d, Conv2dSame])
@pytest.mark.parametrize("kernel", [3, 5])
def test_dilated_depthwise_weight_gradients(convolution: type[nn.Conv2d], kernel: int) -> None:
    torch.manual_seed(0)
    layer = convolution(64, 64, kernel, padding=kernel - 1, dilation=2, groups=64, bias=False)
    image = torch.randn(4, 64, 32, 40).contiguous(memory_format=torch.channels_last)
    layer(image).square().sum().backward()
    assert layer.weight.grad is not None
    expected = layer.weight.grad.clone()
    guard_dilated_depthwise(nn.Sequential(layer))
    for _ in range(3):
        poison = [torch.full((2**18,), float("nan")) for _ in range(40)]
        del poison
        layer.weight.grad = None
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = layer(image.bfloat16())
        assert out.dtype == torch.bfloat16
        out.float().square().sum().backward()
        assert (layer.weight.grad - expected).abs().max() < 0.02 * expected.abs().max()


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    base = SWEEP.profiles["quick"].base
    config = base.replace(
        data=base.data.replace(train_images=4, scene_size=(64, 128)),
        augment=base.augment.replace(crop=(64, 128)),
        optim=base.optim.replace(steps=3, batch_size=2, lr=1e30),
        precision="float32",
    )
    with pytest.raises(BenchError, match=r"the loss is (nan|inf) at step \d of 3: lower optim\.lr"):
        run_trial(config, [], Runtime(val_points=1, val_images=1), tmp_path)
    assert not (tmp_path / "model.pt").exists()
