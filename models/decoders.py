"""Decoders: a trunk's maps in, features and logits out (see ``models.contracts``)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.contracts import Decoded, Decoder, Trunk
from models.deeperlab import DeeperLab
from models.layers import ASPP, conv_bn_relu, initialise, resize
from models.ocr import OCR


class DeepLabV3Plus(Decoder):
    """DeepLabV3+ (Chen et al., ECCV 2018): ASPP fused with high-resolution trunk features.

    Args:
        trunk: gives the channels of its fine and deep map.
        classes: number of classes K.
        width: channels of every intermediate map; 256 is the published size.
        rates: ASPP dilation rates; ``None`` takes 12, 24, 36 at output stride 8, half at 16.
    """

    def __init__(
        self, trunk: Trunk, classes: int, width: int = 256, rates: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        high_width = max(16, width * 48 // 256)
        rates = rates or ASPP.published_rates(trunk.strides[-1])
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


DECODERS: dict[str, Callable[..., Decoder]] = {
    "deeplabv3plus": DeepLabV3Plus,
    "ocr": OCR,
    "deeperlab": DeeperLab,
}
