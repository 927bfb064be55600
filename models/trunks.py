"""Trunks: image in, a fine, a middle and a deep feature map out (see ``models.contracts``).

``TRUNKS`` maps a name to a function of (output stride, pretrained). Networks that timm has as
they were published come from timm; the others have a file of their own. timm is imported when it
is needed: with torchvision behind it, it takes seconds and 200 MB.

Letters: B batch, C channels, H W height and width.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoint import import_trunk
from models.contracts import Trunk
from models.hrnet import HRNet
from models.layers import conv_bn_relu, initialise
from models.pretrained import packaged_weights
from models.wider_resnet import WiderResNet38
from models.xception import Xception71


class TimmTrunk(Trunk):
    """A network of timm, reduced to the three feature maps that decoders read.

    Args:
        name: timm's name of the network.
        output_stride: stride of the last map; deeper stages are dilated instead of strided.
        pretrained: load ImageNet weights, from an installed package or timm's own download.
        keep: indices of timm's feature maps to return.
    """

    def __init__(
        self,
        name: str,
        output_stride: int,
        pretrained: bool = False,
        keep: tuple[int, int, int] = (1, 2, 4),
    ) -> None:
        import timm

        super().__init__()
        packaged = packaged_weights(name) if pretrained else None
        self.network: nn.Module = timm.create_model(
            name,
            features_only=True,
            out_indices=keep,
            output_stride=output_stride,
            pretrained=pretrained and packaged is None,
        )
        if packaged is not None:
            features = self.network.state_dict()
            self.network.load_state_dict({name: packaged[name] for name in features})
        info: Any = self.network.feature_info
        self.channels = tuple(info.channels())
        self.strides = tuple(info.reduction())

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        return self.network(image_B3HW)


def resnet50(output_stride: int, pretrained: bool = False) -> Trunk:
    """ResNet-50 (He et al., CVPR 2016) whose dilated stages use one dilation in all blocks.

    So it was published for segmentation; timm keeps the previous stage's dilation in the first
    block of a dilated stage.
    """
    trunk = TimmTrunk("resnet50", output_stride, pretrained)
    for stage, dilation in (("layer3", 16 // output_stride), ("layer4", 32 // output_stride)):
        for name, conv in trunk.network.get_submodule(stage).named_modules():
            if isinstance(conv, nn.Conv2d) and name.endswith("conv2") and dilation > 1:
                conv.dilation = conv.padding = (dilation, dilation)
    return trunk


def efficientnet_b4(output_stride: int, pretrained: bool = False) -> Trunk:
    """EfficientNet-B4 (Tan and Le, ICML 2019)."""
    return TimmTrunk("efficientnet_b4", output_stride, pretrained)


def efficientnet_lite0(output_stride: int, pretrained: bool = False) -> Trunk:
    """EfficientNet-Lite0, a small ImageNet trunk for machines without a GPU."""
    return TimmTrunk("tf_efficientnet_lite0", output_stride, pretrained)


def hrnet_w48(output_stride: int, pretrained: bool = False) -> Trunk:
    """HRNet-W48, whose output stride is 4 whatever is asked; see ``models.hrnet``."""
    trunk = HRNet()
    if pretrained:
        import timm

        trunk.name = "hrnet_w48"
        import_trunk(trunk, timm.create_model("hrnet_w48", pretrained=True).state_dict())
    return trunk


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
        self.channels = (32, 64, 64)
        self.strides = (4, 8, output_stride)
        initialise(self)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        fine = self.stage1(self.stem(image_B3HW))
        middle = self.stage2(fine)
        return [fine, middle, self.stage3(middle)]


def mini(output_stride: int, pretrained: bool = False) -> Trunk:
    """The ``mini`` trunk; it has no pretrained weights."""
    if pretrained:
        raise ValueError("trunk 'mini' has no pretrained weights: leave pretrained unset")
    return Mini(output_stride)


TRUNKS: dict[str, Callable[[int, bool], Trunk]] = {
    "mini": mini,
    "efficientnet_lite0": efficientnet_lite0,
    "efficientnet_b4": efficientnet_b4,
    "resnet50": resnet50,
    "hrnet_w48": hrnet_w48,
    "wider_resnet38": WiderResNet38,
    "xception71": Xception71,
}
