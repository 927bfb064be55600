"""Xception-71, aligned (Chen et al., DeepLabV3+, ECCV 2018, section 3.2).

timm's network of that name is another one, with five blocks before the middle flow instead of
three, and with skip connections that read a block's input before its first ReLU, not after it.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.contracts import Trunk
from models.layers import initialise


class SeparableConv(nn.Sequential):
    """Depthwise 3 x 3, batch norm, pointwise 1 x 1."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        depthwise = nn.Conv2d(
            in_channels,
            in_channels,
            3,
            stride,
            dilation,
            dilation,
            groups=in_channels,
            bias=False,
        )
        self.add_module("conv1", depthwise)
        self.add_module("bn", nn.BatchNorm2d(in_channels))
        self.add_module("pointwise", nn.Conv2d(in_channels, out_channels, 1, bias=False))


class Block(nn.Module):
    """Separable convolutions with batch norms, and a skip connection.

    Args:
        channels: of the input and of each convolution's output.
        stride: of the last convolution.
        dilations: of each convolution; ``None`` for 1.
        relu_first: begin with a ReLU, whose output the skip connection reads too.
    """

    def __init__(
        self,
        channels: Sequence[int],
        stride: int = 1,
        dilations: Sequence[int] | None = None,
        relu_first: bool = True,
    ) -> None:
        super().__init__()
        self.relu_first = relu_first
        convs = len(channels) - 1
        strides = [1] * (convs - 1) + [stride]
        layers: list[nn.Module] = []
        for widths, step, spread in zip(
            pairwise(channels), strides, dilations or [1] * convs, strict=True
        ):
            layers += [SeparableConv(*widths, step, spread), nn.BatchNorm2d(widths[1])]
            layers.append(nn.ReLU(inplace=True))
        self.convs = nn.Sequential(*layers[:-1])
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or channels[0] != channels[-1]:
            self.skip = nn.Sequential(
                nn.Conv2d(channels[0], channels[-1], 1, stride, bias=False),
                nn.BatchNorm2d(channels[-1]),
            )

    def forward(self, x: Tensor) -> Tensor:
        if self.relu_first:
            x = torch.relu(x)
        return self.convs(x) + self.skip(x)


class Xception71(Trunk):
    """Xception-71: fine map at stride 2, middle at 4, deep at ``output_stride``.

    Args:
        output_stride: 8 or 16; at 8 the blocks after the entry flow are dilated.
        pretrained: not available from timm; give a file to ``build_model`` instead.
    """

    def __init__(self, output_stride: int, pretrained: bool = False) -> None:
        super().__init__()
        if pretrained:
            raise ValueError(
                "trunk 'xception71' has no downloadable weights: "
                "set pretrained to the path of aligned_xception71.pth"
            )
        middle, last, exit_ = (2, 2, 4) if output_stride == 8 else (1, 1, 2)
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3, 1, 1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
        )
        self.block1 = Block((64, 128, 128, 128), stride=2, relu_first=False)
        entry = [
            Block((128, 256, 256), relu_first=False),
            Block((256, 728, 728, 728), stride=2),
        ]
        middle_flow = [Block([728] * 4, dilations=[middle] * 3) for _ in range(16)]
        final = Block((728, 728, 1024, 1024), output_stride // 8, dilations=[last, last, 1])
        blocks = enumerate([*entry, *middle_flow, final], start=2)
        self.blocks = nn.Sequential(OrderedDict((f"block{i}", block) for i, block in blocks))
        self.exit = nn.Sequential()
        for i, (width, out) in enumerate(pairwise((1024, 1536, 1536, 2048)), 3):
            self.exit.add_module(f"conv{i}", SeparableConv(width, out, dilation=exit_))
            self.exit.add_module(f"bn{i}", nn.BatchNorm2d(out))
            self.exit.add_module(f"relu{i}", nn.ReLU(inplace=True))
        self.channels = (64, 128, 2048)
        self.strides = (2, 4, output_stride)
        initialise(self)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        fine = self.stem(image_B3HW)
        middle = torch.relu(self.block1(fine))
        return [fine, middle, self.exit(torch.relu(self.blocks(middle)))]
