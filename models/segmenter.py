"""One network at one image scale: trunk, decoder and, where a strategy asks, attention.

Letters: B batch, K classes, H W the image's grid, h w the decoder's grid.
"""

from typing import NamedTuple

from torch import Tensor, nn

from models.contracts import Decoder, Trunk
from models.layers import conv_bn_relu, initialise


class ScaleOutput(NamedTuple):
    """What the network says about an image at one scale, at the decoder's stride.

    Attributes:
        logits_BKhw: the scale's own logits.
        features_BChw: what attention heads read, where it was asked for.
        attention_B1hw: in (0, 1), where it was asked for.
        aux_logits_BKhw: where the decoder has them.
        image_size: height and width of the image at this scale.
    """

    logits_BKhw: Tensor
    features_BChw: Tensor | None
    attention_B1hw: Tensor | None
    aux_logits_BKhw: Tensor | None
    image_size: tuple[int, int]


class AttentionHead(nn.Sequential):
    """conv3x3-BN-ReLU twice, conv1x1, sigmoid: one attention channel in (0, 1).

    Hierarchical Multi-Scale Attention, section "Multi-scale attention".
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__(
            conv_bn_relu(in_channels, width),
            conv_bn_relu(width, width),
            nn.Conv2d(width, 1, 1, bias=False),
            nn.Sigmoid(),
        )
        initialise(self)


class Segmenter(nn.Module):
    """Trunk and decoder shared by all scales.

    Args:
        trunk: an entry of ``TRUNKS``, built.
        decoder: an entry of ``DECODERS``, built for that trunk.
        attention: head for one attention channel, or ``None``.
    """

    def __init__(self, trunk: Trunk, decoder: Decoder, attention: nn.Module | None = None) -> None:
        super().__init__()
        self.trunk = trunk
        self.decoder = decoder
        self.attention = attention

    def forward(
        self, image_B3HW: Tensor, attend: bool = False, keep_features: bool = False
    ) -> ScaleOutput:
        """Run one scale.

        Args:
            image_B3HW: normalised image.
            attend: also run the attention head; it must exist.
            keep_features: also return the decoder's features.
        """
        decoded = self.decoder(self.trunk(image_B3HW))
        attention = None
        if attend:
            assert self.attention is not None, "this segmenter has no attention head"
            attention = self.attention(decoded.features_BChw)
        return ScaleOutput(
            decoded.logits_BKhw,
            decoded.features_BChw if keep_features else None,
            attention,
            decoded.aux_logits_BKhw,
            (image_B3HW.shape[2], image_B3HW.shape[3]),
        )
