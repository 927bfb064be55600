"""Trunks: image in, feature maps from high to low resolution out.

The trunk contract, tested once for every entry of ``TRUNKS``:

- ``forward(image_B3HW)`` returns a list of maps, the highest resolution first;
- ``channels`` and ``strides`` name the channels and the output stride of each map;
- any image of at least 32 x 32 pixels works: a map of stride s has ceil(H / s) rows.

Letters: B batch, C channels, H W height and width.
"""

from collections.abc import Callable
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from models.layers import conv_bn_relu, initialise


class Trunk(nn.Module):
    """What every trunk offers; see the module's contract."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]


class TimmTrunk(Trunk):
    """A network of timm, reduced to the feature maps that a decoder reads.

    Args:
        name: timm's name of the network.
        output_stride: stride of the last map; deeper stages are dilated instead of strided.
        keep: indices of timm's feature maps to return.
        weights: ``True`` for timm's own download, a path for a local state dict, or ``None``.
    """

    def __init__(
        self,
        name: str,
        output_stride: int,
        keep: tuple[int, ...],
        weights: bool | Path | None = None,
    ) -> None:
        super().__init__()
        overlay = {"file": str(weights)} if isinstance(weights, Path) else None
        self.network = timm.create_model(
            name,
            features_only=True,
            out_indices=keep,
            output_stride=output_stride,
            pretrained=bool(weights),
            pretrained_cfg_overlay=overlay,
        )
        self.channels = tuple(self.network.feature_info.channels())
        self.strides = tuple(self.network.feature_info.reduction())

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        return self.network(image_B3HW)


def resnet50(output_stride: int, weights: bool | Path | None = None) -> Trunk:
    """ResNet-50 whose dilated stages use one dilation in all their blocks, as published.

    timm keeps the previous stage's dilation in the first block of a dilated stage.
    """
    trunk = TimmTrunk("resnet50", output_stride, keep=(1, 4), weights=weights)
    for stage, dilation in (("layer3", 16 // output_stride), ("layer4", 32 // output_stride)):
        for name, conv in trunk.network[stage].named_modules():
            if name.endswith("conv2") and dilation > 1:
                conv.dilation = conv.padding = (dilation, dilation)
    return trunk


def efficientnet_lite0(output_stride: int, weights: bool | Path | None = None) -> Trunk:
    """EfficientNet-Lite0, a small ImageNet trunk for machines without a GPU."""
    return TimmTrunk("tf_efficientnet_lite0", output_stride, keep=(1, 4), weights=weights)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm and a skip connection (He et al., CVPR 2016)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = conv_bn_relu(in_channels, out_channels, 3, stride, dilation)
        self.conv2 = conv_bn_relu(out_channels, out_channels, 3, 1, dilation)[:2]
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.skip = conv_bn_relu(in_channels, out_channels, 1, stride)[:2]

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv2(self.conv1(x)) + self.skip(x))


class Mini(Trunk):
    """A residual trunk that trains from scratch in a minute on two CPU cores.

    Channel counts are multiples of 16, which the bfloat16 kernels of CPUs want.
    """

    def __init__(self, output_stride: int = 8) -> None:
        super().__init__()
        self.stem = conv_bn_relu(3, 16, stride=2)
        self.stage1 = ResidualBlock(16, 32, stride=2, dilation=1)
        self.stage2 = nn.Sequential(
            ResidualBlock(32, 64, stride=2, dilation=1), ResidualBlock(64, 64, 1, 1)
        )
        last = output_stride // 8
        self.stage3 = nn.Sequential(
            ResidualBlock(64, 64, stride=last, dilation=2 // last), ResidualBlock(64, 64, 1, 2)
        )
        self.channels = (32, 64)
        self.strides = (4, output_stride)
        initialise(self)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        high = self.stage1(self.stem(image_B3HW))
        return [high, self.stage3(self.stage2(high))]


def mini(output_stride: int, weights: bool | Path | None = None) -> Trunk:
    """The ``mini`` trunk; it has no pretrained weights."""
    if weights:
        raise ValueError("trunk 'mini' has no pretrained weights: leave pretrained unset")
    return Mini(output_stride)


TRUNKS: dict[str, Callable[..., Trunk]] = {
    "mini": mini,
    "efficientnet_lite0": efficientnet_lite0,
    "resnet50": resnet50,
}
