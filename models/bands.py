"""Images too large to run whole: the network runs on bands of rows, one at a time.

A band is run with ``HALO`` more rows of the image above and below, which are cut off its result,
so what lies within that distance is seen as in the whole image. What a network draws from the
whole image (ASPP's image pooling, the regions of OCR) it draws from the band instead, and
receptive fields end at the halo: results are near those of the whole image, not equal to them.

Letters: B batch, K classes, H W the image's grid at this scale, h w the decoder's grid.
"""

import torch
from torch import Tensor

from models.segmenter import ScaleOutput, Segmenter
from models.strips import Size, Strips

HALO = 256
"""Rows of the image at its scale that a band sees beyond its own, on either side."""

ALIGN = 32
"""Bands begin at multiples of this, which all output strides divide."""

FIELDS = ("logits_BKhw", "features_BChw", "attention_B1hw")


class Bands:
    """One scale's image, cut into bands of equal height.

    Args:
        segmenter: the network.
        image: B x 3 x H x W, normalised, at this scale.
        pixels: a band and its halo have at most this many, where the width allows it.
        attend: also run the attention head.
        keep_features: also return the decoder's features.
    """

    def __init__(
        self, segmenter: Segmenter, image: Strips, pixels: int, attend: bool, keep_features: bool
    ) -> None:
        self.segmenter, self.image = segmenter, image
        self.attend, self.keep_features = attend, keep_features
        rows, width = image.size
        most = max(ALIGN, (pixels // width - 2 * HALO) // ALIGN * ALIGN)
        self.height = -(-rows // -(-rows // most) // ALIGN) * ALIGN
        self.count = -(-rows // self.height)

    def run(self, index: int) -> tuple[ScaleOutput, int]:
        """Run a band.

        Returns:
            Its own rows alone, and the decoder's stride.
        """
        top, bottom = index * self.height, min((index + 1) * self.height, self.image.size[0])
        first, last = max(0, top - HALO), min(self.image.size[0], bottom + HALO)
        out = self.segmenter(self.image.rows(first, last), self.attend, self.keep_features)
        stride = round((last - first) / out.logits_BKhw.shape[2])
        own = slice((top - first) // stride, -(-(bottom - first) // stride))
        cut = {
            field: maps[:, :, own].clone()
            for field in FIELDS
            if (maps := getattr(out, field)) is not None
        }
        return self._output(cut), stride

    def run_all(self) -> ScaleOutput:
        """Run all bands and put their rows together."""
        out, stride = self.run(0)
        joined: dict[str, Tensor] = {}
        for index in range(self.count):
            if index:
                out, _ = self.run(index)
            start = index * self.height // stride
            for field in FIELDS:
                if (maps := getattr(out, field)) is None:
                    continue
                if field not in joined:
                    batch, channels, _, width = maps.shape
                    size = (-(-self.image.size[0] // stride), width)
                    joined[field] = torch.empty(
                        (batch, channels, *size),
                        dtype=maps.dtype,
                        device=maps.device,
                        memory_format=torch.channels_last,
                    )
                joined[field][:, :, start : start + maps.shape[2]] = maps
        return self._output(joined)

    def _output(self, maps: dict[str, Tensor]) -> ScaleOutput:
        logits, features, attention = (maps.get(field) for field in FIELDS)
        assert logits is not None
        return ScaleOutput(logits, features, attention, None, self.image.size)


class BandLogits(Strips):
    """Logits B x K x h x w, of which only the bands last read are held; read from top to bottom."""

    def __init__(self, bands: Bands) -> None:
        self.bands = bands
        out, stride = bands.run(0)
        self.band_rows = bands.height // stride
        self.size: Size = (-(-bands.image.size[0] // stride), out.logits_BKhw.shape[3])
        self.held = {0: out.logits_BKhw}

    def rows(self, start: int, stop: int) -> Tensor:
        """Run the bands that hold the rows, where they are not at hand."""
        wanted = range(start // self.band_rows, (stop - 1) // self.band_rows + 1)
        self.held = {index: maps for index, maps in self.held.items() if index >= wanted[0]}
        parts = []
        for index in wanted:
            if index not in self.held:
                self.held[index] = self.bands.run(index)[0].logits_BKhw
            top = index * self.band_rows
            parts.append(self.held[index][:, :, max(0, start - top) : stop - top])
        return torch.cat(parts, 2).float() if len(parts) > 1 else parts[0].float()
