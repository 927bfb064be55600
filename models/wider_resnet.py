"""WiderResNet-38, layout A2 (Wu et al., *Wider or Deeper*, Pattern Recognition 2019).

Pre-activation residual blocks: batch norm and ReLU come before each convolution. The deep map is
the bare sum of the last block, without a final batch norm, as the released weights expect.
"""

from itertools import pairwise

from torch import Tensor, nn

from models.contracts import Trunk
from models.layers import initialise

# stage -> (blocks, channels of each convolution of a block); kernels 3, or 1-3-1 where three
STAGES: dict[str, tuple[int, tuple[int, ...]]] = {
    "mod2": (3, (128, 128)),
    "mod3": (3, (256, 256)),
    "mod4": (6, (512, 512)),
    "mod5": (3, (512, 1024)),
    "mod6": (1, (512, 1024, 2048)),
    "mod7": (1, (1024, 2048, 4096)),
}


def _bn_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


class Block(nn.Module):
    """A pre-activation residual block of two 3 x 3, or of 1 x 1, 3 x 3, 1 x 1 convolutions."""

    def __init__(
        self, in_channels: int, channels: tuple[int, ...], stride: int, dilation: int
    ) -> None:
        super().__init__()
        kernels = (3, 3) if len(channels) == 2 else (1, 3, 1)
        widths = (in_channels, *channels)
        self.bn1 = _bn_relu(in_channels)
        self.convs = nn.Sequential()
        for i, ((width, out), kernel) in enumerate(
            zip(pairwise(widths), kernels, strict=True), start=1
        ):
            spread = dilation if kernel == 3 else 1
            if i > 1:
                self.convs.add_module(f"bn{i}", _bn_relu(width))
            self.convs.add_module(
                f"conv{i}",
                nn.Conv2d(
                    width,
                    out,
                    kernel,
                    stride if i == 1 else 1,
                    spread * (kernel // 2),
                    spread,
                    bias=False,
                ),
            )
        self.proj_conv: nn.Module | None = None
        if stride != 1 or in_channels != channels[-1]:
            self.proj_conv = nn.Conv2d(in_channels, channels[-1], 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = self.bn1(x)
        skip = x if self.proj_conv is None else self.proj_conv(active)
        return self.convs(active) + skip


class WiderResNet38(Trunk):
    """WiderResNet-38: fine map at stride 2, middle at 4, deep at ``output_stride``.

    Args:
        output_stride: 8 or 16; stages beyond it are dilated.
        pretrained: not available from timm; give a file to ``build_model`` instead.
    """

    mod2: nn.Module
    mod3: nn.Module
    mod4: nn.Module
    mod5: nn.Module
    mod6: nn.Module
    mod7: nn.Module

    def __init__(self, output_stride: int, pretrained: bool = False) -> None:
        super().__init__()
        if pretrained:
            raise ValueError(
                "trunk 'wider_resnet38' has no downloadable weights: "
                "set pretrained to the path of wider_resnet38.pth.tar"
            )
        self.mod1 = nn.Sequential()
        self.mod1.add_module("conv1", nn.Conv2d(3, 64, 3, padding=1, bias=False))
        self.pool = nn.MaxPool2d(3, 2, 1)
        strides = {"mod4": 2, "mod5": 2, "mod6": 2}
        reached, dilation, width = 4, 1, 64
        for name, (blocks, channels) in STAGES.items():
            stride = strides.get(name, 1)
            if stride > 1 and reached >= output_stride:
                stride, dilation = 1, dilation * stride
            reached *= stride
            stage = nn.Sequential()
            for i in range(blocks):
                block = Block(width, channels, stride if i == 0 else 1, dilation)
                stage.add_module(f"block{i + 1}", block)
                width = channels[-1]
            self.add_module(name, stage)
        self.channels = (128, 256, 4096)
        self.strides = (2, 4, output_stride)
        initialise(self)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        fine = self.mod2(self.pool(self.mod1(image_B3HW)))
        middle = self.mod3(self.pool(fine))
        return [fine, middle, self.mod7(self.mod6(self.mod5(self.mod4(middle))))]
