"""HRNet-W48 (Wang et al., *Deep High-Resolution Representation Learning*, TPAMI 2020).

Four branches of stride 4, 8, 16 and 32 run side by side and exchange maps after every module.
timm's network of that name grows maps by nearest neighbours; for segmentation they are resized
bilinearly, to sizes of any parity.

Letters: B batch, C channels, H W height and width.
"""

from typing import Any

from torch import Tensor, nn

from models.contracts import Trunk
from models.layers import conv_bn, conv_bn_relu, initialise, resize, resize_and_join

WIDTHS = (48, 96, 192, 384)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 with a skip connection: the first stage's block."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        out_channels = 4 * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.downsample = conv_bn_relu(in_channels, out_channels, 1)[:2]

    def forward(self, x: Tensor) -> Tensor:
        y = conv_bn(x, self.conv1, self.bn1).relu_()
        y = conv_bn(y, self.conv2, self.bn2).relu_()
        y = conv_bn(y, self.conv3, self.bn3)
        return y.add_(self.downsample(x)).relu_()


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with a skip connection: the block of every branch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = conv_bn(x, self.conv1, self.bn1).relu_()
        return conv_bn(y, self.conv2, self.bn2).add_(x).relu_()


def _downsample(width: int, out_channels: int, steps: int) -> nn.Sequential:
    """Stride-2 convolutions from one branch to a lower one; the last has no ReLU."""
    return nn.Sequential(
        *(conv_bn_relu(width, width, stride=2) for _ in range(steps - 1)),
        conv_bn_relu(width, out_channels, stride=2)[:2],
    )


class Exchange(nn.Module):
    """Four blocks on every branch, then each branch adds what all the others send it."""

    def __init__(self, branches: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(4))) for width in WIDTHS[:branches]
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._path(source, target) for source in range(branches))
            for target in range(branches)
        )

    @staticmethod
    def _path(source: int, target: int) -> nn.Module:
        if source > target:
            return conv_bn_relu(WIDTHS[source], WIDTHS[target], 1)[:2]
        if source < target:
            return _downsample(WIDTHS[source], WIDTHS[target], target - source)
        return nn.Identity()

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        sizes = [x.shape[-2:] for x in maps]
        fused = []
        paths: Any
        for size, paths in zip(sizes, self.fuse_layers, strict=True):
            total = resize(paths[0](maps[0]), size)
            for path, x in zip(paths[1:], maps[1:], strict=True):
                total = total + resize(path(x), size)
            fused.append(total.relu_())
        return fused


class HRNet(Trunk):
    """HRNet-W48: fine map is the first branch, middle the second, deep all four at stride 4.

    Its output stride is always 4.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv_bn_relu(3, 64, stride=2)
        self.conv2 = conv_bn_relu(64, 64, stride=2)
        self.layer1 = nn.Sequential(Bottleneck(64, 64), *(Bottleneck(256, 64) for _ in range(3)))
        self.transition1 = nn.ModuleList(
            [conv_bn_relu(256, WIDTHS[0]), conv_bn_relu(256, WIDTHS[1], stride=2)]
        )
        self.transition2 = conv_bn_relu(WIDTHS[1], WIDTHS[2], stride=2)
        self.transition3 = conv_bn_relu(WIDTHS[2], WIDTHS[3], stride=2)
        self.stage2 = nn.Sequential(Exchange(2))
        self.stage3 = nn.Sequential(*(Exchange(3) for _ in range(4)))
        self.stage4 = nn.Sequential(*(Exchange(4) for _ in range(3)))
        self.channels = (WIDTHS[0], WIDTHS[1], sum(WIDTHS))
        self.strides = (4, 8, 4)
        initialise(self)
        # blocks begin as identities (Goyal et al., 2017): a hundred random ones would overflow
        for block in self.modules():
            if isinstance(block, Bottleneck):
                nn.init.zeros_(block.bn3.weight)
            elif isinstance(block, BasicBlock):
                nn.init.zeros_(block.bn2.weight)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        x = self.layer1(self.conv2(self.conv1(image_B3HW)))
        maps = self.stage2([transition(x) for transition in self.transition1])
        maps = self.stage3([*maps, self.transition2(maps[-1])])
        maps = self.stage4([*maps, self.transition3(maps[-1])])
        return [maps[0], maps[1], resize_and_join(maps)]
