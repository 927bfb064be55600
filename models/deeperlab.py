"""DeeperLab's decoder (Yang et al., *DeeperLab*, 2019, section 3.1), semantic head only."""

import torch
from torch import Tensor, nn

from models.contracts import Decoded, Decoder, Trunk
from models.layers import ASPP, conv_bn_relu, initialise, resize


class DeeperLab(Decoder):
    """ASPP, then two 5 x 5 convolutions that take in the middle and the fine map.

    Args:
        trunk: gives the channels of its three maps.
        classes: number of classes K.
        width: channels of every intermediate map; 256 is the published size.
        rates: ASPP dilation rates; ``None`` takes 12, 24, 36 at output stride 8, half at 16.
    """

    def __init__(
        self, trunk: Trunk, classes: int, width: int = 256, rates: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        fine, middle, deep = trunk.channels
        fine_width, middle_width = max(16, width // 8), max(16, width // 4)
        self.features_channels = width
        self.aspp = ASPP(deep, width, rates or ASPP.published_rates(trunk.strides[-1]))
        self.reduce = nn.Conv2d(self.aspp.out_channels, width, 1, bias=False)
        self.middle = nn.Conv2d(middle, middle_width, 1, bias=False)
        self.fine = nn.Conv2d(fine, fine_width, 1, bias=False)
        self.join_middle = conv_bn_relu(width + middle_width, width, 5)
        self.join_fine = conv_bn_relu(width + fine_width, width, 5)
        self.head = nn.Conv2d(width, classes, 1, bias=False)
        initialise(self)

    def forward(self, maps: list[Tensor]) -> Decoded:
        fine, middle = self.fine(maps[0]), self.middle(maps[1])
        x = resize(self.reduce(self.aspp(maps[2])), middle.shape[-2:])
        x = resize(self.join_middle(torch.cat([x, middle], 1)), fine.shape[-2:])
        features = self.join_fine(torch.cat([x, fine], 1))
        return Decoded(features, self.head(features))
