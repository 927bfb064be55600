"""Small building blocks that several networks share."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """Convolution and batch norm.

    In float32 evaluation without gradients the batch norm works in place, which saves a copy of
    the map where memory peaks; the result differs by rounding.
    """
    y = conv(x)
    mean, variance = norm.running_mean, norm.running_var
    trains = norm.training or torch.is_grad_enabled()
    if trains or y.dtype != torch.float32 or mean is None or variance is None:
        return norm(y)
    scale = norm.weight * (variance + norm.eps).rsqrt()
    shift = norm.bias - mean * scale
    return torch.addcmul(shift[:, None, None], y, scale[:, None, None], out=y)


class ConvBN(nn.Sequential):
    """A convolution, its batch norm, and perhaps a ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply them; see ``conv_bn``."""
        layers: list[Any] = list(self)
        conv, norm, *activation = layers
        x = conv_bn(x, conv, norm)
        return activation[0](x) if activation else x


def conv_bn_relu(
    in_channels: int,
    out_channels: int,
    kernel: int = 3,
    stride: int = 1,
    dilation: int = 1,
    *,
    bias: bool = False,
) -> ConvBN:
    """Convolution, batch norm, ReLU; padded so that stride 1 keeps the size."""
    padding = dilation * (kernel // 2)
    return ConvBN(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, bias=bias),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling with image pooling (Chen et al., DeepLabV3, section 3.3)."""

    def __init__(self, in_channels: int, width: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.pool = conv_bn_relu(in_channels, width, kernel=1)
        self.branches = nn.ModuleList(
            [conv_bn_relu(in_channels, width, kernel=1)]
            + [conv_bn_relu(in_channels, width, dilation=rate) for rate in rates]
        )
        self.out_channels = width * (2 + len(rates))

    @staticmethod
    def published_rates(output_stride: int) -> tuple[int, ...]:
        """12, 24, 36 at output stride 8; in proportion elsewhere."""
        return tuple(rate * 8 // output_stride for rate in (12, 24, 36))

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pool(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        return torch.cat([pooled] + [branch(x) for branch in self.branches], 1)


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resizing of B x C x h x w maps to ``size`` (H, W), ``align_corners=False``."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


def resize_and_join(maps: list[Tensor]) -> Tensor:
    """All maps' channels side by side on the grid of the first."""
    size = (maps[0].shape[2], maps[0].shape[3])
    if torch.is_grad_enabled():
        return torch.cat([resize(each, size) for each in maps], 1)
    # one resized map at a time, which torch.cat could not do
    channels = [each.shape[1] for each in maps]
    joined = maps[0].new_empty(len(maps[0]), *size, sum(channels)).permute(0, 3, 1, 2)
    for part, each in zip(joined.split(channels, 1), maps, strict=True):
        part.copy_(resize(each, size))
    return joined


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Height and width of an image at another scale, rounded down as published."""
    return int(size[0] * scale), int(size[1] * scale)


def initialise(module: nn.Module) -> None:
    """Kaiming-normal convolutions, unit batch norms: for the parts that start untrained."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
