"""What trunks and decoders promise, so that any of one works with any of the other.

A trunk's ``forward(image_B3HW)`` returns three maps: a fine one that restores detail, a middle
one no finer than it, and a deep one for context. ``channels`` and ``strides`` name the channels
and the output stride of each; any image of at least 32 x 32 pixels works, and a map of stride s
has ceil(H / s) rows.

A decoder's ``forward(maps)`` returns ``Decoded``; ``features_channels`` names the channels of
the features that attention heads read. Its output has the stride of the fine map.

Letters: B batch, C channels, K classes, H W the image's grid, h w the decoder's own grid.
"""

from typing import NamedTuple

from torch import Tensor, nn


class Trunk(nn.Module):
    """What every trunk offers; see the module's contract.

    Attributes:
        name: its name in ``TRUNKS``.
        channels: channels of the fine, middle and deep map.
        strides: their output strides.
    """

    name: str
    channels: tuple[int, ...]
    strides: tuple[int, ...]


class Decoded(NamedTuple):
    """A decoder's output at one image scale."""

    features_BChw: Tensor
    logits_BKhw: Tensor
    aux_logits_BKhw: Tensor | None = None


class Decoder(nn.Module):
    """What every decoder offers; see the module's contract.

    Attributes:
        name: its name in ``DECODERS``.
        features_channels: channels of ``Decoded.features_BChw``.
    """

    name: str
    features_channels: int
