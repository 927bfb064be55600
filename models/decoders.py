"""Decoders: a trunk's feature maps in, logits at the decoder's stride out.

The decoder contract, tested once for every entry of ``DECODERS``: ``forward(maps)`` returns
``Decoded``; ``features_channels`` names the channels of the features that attention heads read.

Letters: B batch, C channels, K classes, h w the decoder's own grid.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.layers import conv_bn_relu, initialise, resize
from models.trunks import Trunk


class Decoded(NamedTuple):
    """A decoder's output at one image scale."""

    features_BChw: Tensor
    logits_BKhw: Tensor
    aux_logits_BKhw: Tensor | None = None


class Decoder(nn.Module):
    """What every decoder offers; see the module's contract."""

    features_channels: int


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

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pool(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        return torch.cat([pooled] + [branch(x) for branch in self.branches], 1)


class DeepLabV3Plus(Decoder):
    """DeepLabV3+ (Chen et al., ECCV 2018): ASPP fused with high-resolution trunk features.

    Args:
        trunk: gives the channels; its first map is the high-resolution one.
        classes: number of classes K.
        width: channels of every intermediate map; 256 is the published size.
        rates: ASPP dilation rates; ``None`` takes 12, 24, 36 at output stride 8, half at 16.
    """

    def __init__(
        self, trunk: Trunk, classes: int, width: int = 256, rates: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        rates = rates or tuple(rate * 8 // trunk.strides[-1] for rate in (12, 24, 36))
        high_width = max(16, width * 48 // 256)
        self.aspp = ASPP(trunk.channels[-1], width, rates)
        self.reduce = nn.Conv2d(self.aspp.out_channels, width, 1, bias=False)
        self.high = nn.Conv2d(trunk.channels[0], high_width, 1, bias=False)
        self.features_channels = width + high_width
        self.head = nn.Sequential(
            conv_bn_relu(self.features_channels, width),
            conv_bn_relu(width, width),
            nn.Conv2d(width, classes, 1, bias=False),
        )
        initialise(self)

    def forward(self, maps: list[Tensor]) -> Decoded:
        high = self.high(maps[0])
        low = resize(self.reduce(self.aspp(maps[-1])), high.shape[-2:])
        features = torch.cat([high, low], 1)
        return Decoded(features, self.head(features))


DECODERS: dict[str, Callable[..., Decoder]] = {"deeplabv3plus": DeepLabV3Plus}
