"""OCR: object-contextual representations (Yuan et al., ECCV 2020).

Letters: B batch, K classes, C D channels, h w the trunk's grid, N = h w its pixels.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.contracts import Decoded, Decoder, Trunk
from models.layers import conv_bn_relu, initialise
from models.strips import by_rows


class OCR(Decoder):
    """Every pixel's features, joined by those of the object region it most belongs to.

    A coarse segmentation (the auxiliary head) gathers one feature vector a class; each pixel
    attends to these K vectors. Works on the deep map alone.

    Args:
        trunk: gives the channels of the deep map.
        classes: number of classes K.
        width: channels of keys and values; 256 is the published size. Features have twice it.
        rates: unused by this decoder; must be ``None``.
    """

    def __init__(
        self, trunk: Trunk, classes: int, width: int = 256, rates: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        if rates is not None:
            raise ValueError("decoder 'ocr' has no dilation rates: leave rates unset")
        deep, features = trunk.channels[-1], 2 * width
        self.features_channels = features
        self.scale = width**-0.5
        self.reduce = conv_bn_relu(deep, features, bias=True)
        self.aux_head = nn.Sequential(
            conv_bn_relu(deep, deep, 1, bias=True), nn.Conv2d(deep, classes, 1)
        )
        self.query = nn.Sequential(conv_bn_relu(features, width, 1), conv_bn_relu(width, width, 1))
        self.key = nn.Sequential(conv_bn_relu(features, width, 1), conv_bn_relu(width, width, 1))
        self.value = conv_bn_relu(features, width, 1)
        self.up = conv_bn_relu(width, features, 1)
        self.join = nn.Sequential(conv_bn_relu(2 * features, features, 1), nn.Dropout2d(0.05))
        self.head = nn.Conv2d(features, classes, 1)
        initialise(self)

    def forward(self, maps: list[Tensor]) -> Decoded:
        """Decode the deep map; takes the maps out of the list, so that their memory goes early.

        Everything but ``reduce`` treats pixels one by one, so evaluation goes by rows.
        """
        deep = maps.pop()
        maps.clear()
        aux_BKhw = self._by_rows(self.aux_head, deep)
        pixels_BChw = self.reduce(deep)
        del deep
        regions_BCK1 = _regions(pixels_BChw, aux_BKhw)
        key_BDK, value_BDK = self.key(regions_BCK1)[..., 0], self.value(regions_BCK1)[..., 0]
        features = self._by_rows(lambda rows: self._attend(rows, key_BDK, value_BDK), pixels_BChw)
        return Decoded(features, self.head(features), aux_BKhw)

    def _by_rows(self, function: Callable[[Tensor], Tensor], maps_BChw: Tensor) -> Tensor:
        """Apply a function of single pixels: to all in training, else to some rows at a time."""
        if self.training or torch.is_grad_enabled():
            return function(maps_BChw)
        return by_rows(function, maps_BChw)

    def _attend(self, pixels_BChw: Tensor, key_BDK: Tensor, value_BDK: Tensor) -> Tensor:
        """Join each pixel's features and its mixture of the regions' (section 3.2)."""
        query_BDN = self.query(pixels_BChw).flatten(2)
        scores_BNK = torch.einsum("bdn,bdk->bnk", query_BDN, key_BDK).float() * self.scale
        weights_BNK = scores_BNK.softmax(2).to(value_BDK.dtype)
        context_BDN = torch.einsum("bnk,bdk->bdn", weights_BNK, value_BDK)
        context_BChw = self.up(context_BDN.unflatten(2, pixels_BChw.shape[-2:]))
        return self.join(torch.cat([context_BChw, pixels_BChw], 1))


def _regions(pixels_BChw: Tensor, aux_BKhw: Tensor) -> Tensor:
    """One feature vector a class, B x C x K x 1: the mean of the pixels it claims."""
    shares_BKN = aux_BKhw.float().flatten(2).softmax(2).to(pixels_BChw.dtype)
    return torch.einsum("bkn,bcn->bck", shares_BKN, pixels_BChw.flatten(2))[..., None]
