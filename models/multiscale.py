"""The four ways to combine image scales, side by side.

Each strategy maps an image and a set of scales to a ``Prediction``: the fused logits on the
image's own grid, every scale's own logits at the decoder's stride, and the effective attention
of every scale, which sums to 1 at each pixel. All scales share one set of weights.

What differs is ``fuse``, whose formula serves training and evaluation. In training its maps are
tensors. Without gradients they are ``Strips``, evaluated some rows at a time, so that full-size
logits exist once, fused, and never for each scale; and not at all where ``lazily`` is asked.

Letters: B batch, K classes, C channels, S scales, H W the image's grid, h w a decoder's grid.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

from models import layers
from models.bands import BandLogits, Bands
from models.layers import initialise
from models.segmenter import ScaleOutput, Segmenter
from models.strips import Map, Source, Strips, pointwise, resize

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a strategy returns.

    Attributes:
        logits_BKHW: fused logits on the image's grid; their softmax is the class probability.
        scale_logits: scale -> B x K x h x w logits of that scale alone, at the decoder's stride.
        attention: scale -> B x 1 x H x W effective weight in [0, 1]; the weights sum to 1.
        aux_logits_BKHW: auxiliary logits, fused as the logits are; in training, where the decoder
            has them.
    """

    logits_BKHW: Tensor
    scale_logits: dict[float, Tensor]
    attention: dict[float, Tensor]
    aux_logits_BKHW: Tensor | None = None


@dataclass(frozen=True, slots=True)
class LazyPrediction:
    """A prediction whose fused logits are not computed yet; see ``Strategy.lazily``.

    Attributes:
        logits: fused logits on the image's grid.
        attention: scale -> B x 1 x H x W effective weight in [0, 1].
        banded: the scales that were not run whole.
    """

    logits: Strips
    attention: dict[float, Tensor]
    banded: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ScaleMaps:
    """What ``fuse`` reads of one scale.

    Attributes:
        logits: B x K x h x w.
        attention_B1hw: B x 1 x h x w in [0, 1], where the strategy has any.
        image_size: height and width of the image at this scale.
    """

    logits: Map
    attention_B1hw: Tensor | None
    image_size: Size

    def weight(self, size: Size) -> Tensor:
        """Attention on another grid, B x 1 x H x W in float32."""
        assert self.attention_B1hw is not None, "this strategy has no attention"
        return resize(self.attention_B1hw.float(), size)


Fused = tuple[Map, dict[float, Tensor]]


class Strategy(nn.Module):
    """Runs the segmenter at several scales; a subclass says how the outputs are fused."""

    joint_attention = False
    """Whether attention is computed from the features of all scales together."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, image_B3HW: Tensor, scales: Sequence[float] = (1.0,)) -> Prediction:
        """Predict an image from several scales.

        Args:
            image_B3HW: normalised images.
            scales: factors of the image's size in any order; 1.0 is among them.

        Raises:
            ValueError: a set of scales that lacks 1.0, or that the strategy is not made for.
        """
        ordered = self.order(scales)
        # lowest first, as published: running statistics weigh the scale that came last most
        outputs = {s: self.run_scale(image_B3HW, s, ordered) for s in reversed(ordered)}
        outputs = self.attend({scale: outputs[scale] for scale in ordered})
        size = (image_B3HW.shape[2], image_B3HW.shape[3])
        logits_BKHW, attention = self.fuse_maps(outputs, "logits_BKhw", size)
        aux_BKHW = None
        if self.training and outputs[1.0].aux_logits_BKhw is not None:
            aux_BKHW, _ = self.fuse_maps(outputs, "aux_logits_BKhw", size)
        scale_logits = {scale: out.logits_BKhw for scale, out in outputs.items()}
        return Prediction(logits_BKHW, scale_logits, attention, aux_BKHW)

    def lazily(
        self, image_B3HW: Tensor, scales: Sequence[float], band_pixels: int | None = None
    ) -> LazyPrediction:
        """Predict without gradients, and leave the fused logits to be computed as they are read.

        Args:
            image_B3HW: normalised images.
            scales: as for ``forward``.
            band_pixels: run a scale's image in bands where it has more pixels than this, which
                changes results a little (see ``models.bands``); ``None`` runs all whole.

        Raises:
            ValueError: as for ``forward``.
        """
        assert not torch.is_grad_enabled(), "strips carry no gradients"
        ordered, size = self.order(scales), (image_B3HW.shape[2], image_B3HW.shape[3])
        grids = {scale: layers.scaled_size(size, scale) for scale in ordered}
        most = math.inf if band_pixels is None else band_pixels
        banded = tuple(scale for scale in ordered if math.prod(grids[scale]) > most)
        outputs, late = {}, {}
        for scale in reversed(ordered):
            if scale not in banded:
                outputs[scale] = self.run_scale(image_B3HW, scale, ordered)
                continue
            attend = self.needs_attention(scale, ordered)
            scaled = Source(image_B3HW).resize(grids[scale])
            bands = Bands(self.segmenter, scaled, int(most), attend, self.joint_attention)
            if attend or self.joint_attention:
                outputs[scale] = bands.run_all()
            else:
                late[scale] = ScaleMaps(BandLogits(bands), None, grids[scale])
        outputs = self.attend({scale: outputs[scale] for scale in ordered if scale in outputs})
        late |= {scale: _maps(out, out.logits_BKhw) for scale, out in outputs.items()}
        fused, attention = self.fuse({scale: late[scale] for scale in ordered}, size)
        assert isinstance(fused, Strips)
        return LazyPrediction(fused, attention, banded)

    def order(self, scales: Sequence[float]) -> tuple[float, ...]:
        """Distinct scales, highest first.

        Raises:
            ValueError: scales that the strategy can't fuse.
        """
        ordered = tuple(sorted(set(scales), reverse=True))
        self.check_scales(ordered)
        return ordered

    def check_scales(self, ordered: tuple[float, ...]) -> None:
        """Refuse scales that the strategy cannot fuse."""
        if 1.0 not in ordered:
            raise ValueError(f"scales {ordered} lack 1.0, the grid of the prediction")

    def run_scale(
        self, image_B3HW: Tensor, scale: float, ordered: tuple[float, ...]
    ) -> ScaleOutput:
        """Run the network on the image resized by ``scale``, sizes rounded down."""
        size = (image_B3HW.shape[2], image_B3HW.shape[3])
        scaled = layers.resize(image_B3HW, layers.scaled_size(size, scale))
        attend = self.needs_attention(scale, ordered)
        return self.segmenter(scaled, attend=attend, keep_features=self.joint_attention)

    def needs_attention(self, scale: float, ordered: tuple[float, ...]) -> bool:
        """Whether the one-channel attention of ``scale`` enters the result."""
        return False

    def attend(self, outputs: dict[float, ScaleOutput]) -> dict[float, ScaleOutput]:
        """Add attention that needs all scales at once."""
        return outputs

    def fuse_maps(
        self, outputs: dict[float, ScaleOutput], field: str, size: Size
    ) -> tuple[Tensor, dict[float, Tensor]]:
        """Fuse one kind of logits: whole in training, by strips without gradients."""
        maps = {scale: _maps(out, getattr(out, field)) for scale, out in outputs.items()}
        fused, attention = self.fuse(maps, size)
        return fused.whole() if isinstance(fused, Strips) else fused, attention

    def fuse(self, outputs: dict[float, ScaleMaps], size: Size) -> Fused:
        """Fuse the scales.

        Args:
            outputs: scale -> its maps, highest scale first.
            size: grid of the result.

        Returns:
            Fused logits and the effective attention of every scale, both on that grid.
        """
        raise NotImplementedError


class Single(Strategy):
    """l_1: one network, one scale."""

    def check_scales(self, ordered: tuple[float, ...]) -> None:
        """Allow 1.0 alone."""
        if ordered != (1.0,):
            raise ValueError(f"strategy 'single' predicts at scale 1.0 only, not {ordered}")

    def fuse(self, outputs: dict[float, ScaleMaps], size: Size) -> Fused:
        """Resize the logits."""
        out = outputs[1.0]
        return resize(out.logits, size), {1.0: _ones(out.logits, size)}


class AvgPool(Strategy):
    """Mean of the softmax probabilities of all scales: a rule for evaluation, nothing learnt."""

    def fuse(self, outputs: dict[float, ScaleMaps], size: Size) -> Fused:
        """Return the logarithm of the mean probability, a set of logits with that softmax."""
        logits = [resize(out.logits, size) for out in outputs.values()]
        weight = _ones(logits[0], size) / len(outputs)
        return pointwise(_log_mean_probability, *logits), dict.fromkeys(outputs, weight)


class Explicit(Strategy):
    """Attention to Scale (Chen et al., CVPR 2016): softmax attention over the trained scales.

    The features of all scales, on the grid of scale 1.0, give one attention channel a scale.

    Args:
        segmenter: the network of every scale.
        train_scales: the only scales that the attention can weigh.
    """

    joint_attention = True

    def __init__(self, segmenter: Segmenter, train_scales: Sequence[float]) -> None:
        super().__init__(segmenter)
        self.train_scales = tuple(sorted(set(train_scales), reverse=True))
        channels = segmenter.decoder.features_channels * len(self.train_scales)
        width = max(16, segmenter.decoder.features_channels * 512 // 304 // 16 * 16)
        self.attention = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, len(self.train_scales), 1, bias=False),
        )
        initialise(self.attention)

    def check_scales(self, ordered: tuple[float, ...]) -> None:
        """Allow the train scales alone."""
        super().check_scales(ordered)
        if ordered != self.train_scales:
            raise ValueError(
                f"strategy 'explicit' is bound to its train scales {self.train_scales}, "
                f"not {ordered}"
            )

    def attend(self, outputs: dict[float, ScaleOutput]) -> dict[float, ScaleOutput]:
        """Give every scale its channel of the softmax."""
        features = {
            scale: out.features_BChw
            for scale, out in outputs.items()
            if out.features_BChw is not None
        }
        grid = features[1.0].shape[-2:]
        joint = torch.cat([layers.resize(each, grid) for each in features.values()], 1)
        weights = self.attention(joint).float().softmax(1).split(1, dim=1)
        return {
            scale: out._replace(attention_B1hw=weight, features_BChw=None)
            for (scale, out), weight in zip(outputs.items(), weights, strict=True)
        }

    def fuse(self, outputs: dict[float, ScaleMaps], size: Size) -> Fused:
        """Weigh the logits: the sum over scales of a_r l_r."""
        attention = {scale: out.weight(size) for scale, out in outputs.items()}
        terms = (attention[scale] * resize(out.logits, size) for scale, out in outputs.items())
        return reduce(add, terms), attention


class Hierarchical(Strategy):
    """The article's chain: each scale's attention decides between it and the next higher one.

    With a_r and l_r the attention and logits of scale r, and U, D resizing up and down, from the
    highest scale to the lowest: at r >= 1 the result is a_r l_r + (1 - a_r) D(previous); at
    r < 1 it is U(a_r l_r) + (1 - U(a_r)) previous. The highest scale's attention is not run.
    """

    def needs_attention(self, scale: float, ordered: tuple[float, ...]) -> bool:
        """Leave out the highest scale's."""
        return scale != ordered[0]

    def fuse(self, outputs: dict[float, ScaleMaps], size: Size) -> Fused:
        """Follow the chain down."""
        (highest, first), *lower = outputs.items()
        fused = resize(first.logits, first.image_size)
        attention = {highest: _ones(first.logits, first.image_size)}
        for scale, out in lower:
            grid = out.image_size if scale >= 1 else size
            logits = resize(out.logits, out.image_size)
            weight = out.weight(out.image_size)
            rest = 1 - resize(weight, grid)
            fused = resize(weight * logits, grid) + rest * resize(fused, grid)
            attention = {s: rest * resize(a, grid) for s, a in attention.items()}
            attention[scale] = 1 - rest
        return resize(fused, size), {s: resize(a, size) for s, a in attention.items()}


def _maps(out: ScaleOutput, logits_BKhw: Tensor) -> ScaleMaps:
    """Logits as float32: a tensor in training, strips without gradients."""
    logits = logits_BKhw.float() if torch.is_grad_enabled() else Source(logits_BKhw)
    return ScaleMaps(logits, out.attention_B1hw, out.image_size)


def _ones(like: Map, size: Size) -> Tensor:
    """A B x 1 x H x W map of ones."""
    maps = like.rows(0, 1) if isinstance(like, Strips) else like
    return maps.new_ones(len(maps), 1, *size)


def _log_mean_probability(*logits_BKHW: Tensor) -> Tensor:
    total = reduce(add, (logits.softmax(1) for logits in logits_BKHW))
    return (total / len(logits_BKHW)).clamp_min(1e-30).log()
