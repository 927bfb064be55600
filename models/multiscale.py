"""The four ways to combine image scales, side by side.

Each strategy maps an image and a tuple of scales to a ``Prediction``: the fused logits on the
image's own grid, every scale's own logits at the decoder's stride, and the effective attention
of every scale, which sums to 1 at each pixel. All scales share one set of weights.

Letters: B batch, K classes, C channels, S scales, H W the image's grid, h w a decoder's grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.layers import initialise, resize
from models.segmenter import ScaleOutput, Segmenter


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a strategy returns.

    Attributes:
        logits_BKHW: fused logits on the image's grid; their softmax is the class probability.
        scale_logits: scale -> B x K x h x w logits of that scale alone, at the decoder's stride.
        attention: scale -> B x 1 x H x W effective weight in [0, 1]; the weights sum to 1.
        aux_logits: scale -> B x K x h x w auxiliary logits, where the decoder has them.
    """

    logits_BKHW: Tensor
    scale_logits: dict[float, Tensor]
    attention: dict[float, Tensor]
    aux_logits: dict[float, Tensor]


class Strategy(nn.Module):
    """Runs the segmenter at several scales; a subclass says how the outputs are fused."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, image_B3HW: Tensor, scales: Sequence[float] = (1.0,)) -> Prediction:
        """Predict ``image_B3HW`` (normalised) from all ``scales``; 1.0 must be among them."""
        if 1.0 not in scales:
            raise ValueError(f"scales {tuple(scales)} lack 1.0, the grid of the prediction")
        ordered = sorted(scales, reverse=True)
        outputs = {scale: self.run_scale(image_B3HW, scale, ordered) for scale in ordered}
        size = (image_B3HW.shape[-2], image_B3HW.shape[-1])
        logits, attention = self.fuse(outputs, size)
        return Prediction(
            logits,
            {scale: out.logits_BKhw for scale, out in outputs.items()},
            attention,
            {s: out.aux_logits_BKhw for s, out in outputs.items() if out.aux_logits_BKhw is not None},
        )

    def run_scale(self, image_B3HW: Tensor, scale: float, ordered: Sequence[float]) -> ScaleOutput:
        height, width = image_B3HW.shape[-2:]
        scaled = resize(image_B3HW, (int(height * scale), int(width * scale)))
        return self.segmenter(scaled, attend=self.needs_attention(scale, ordered))

    def needs_attention(self, scale: float, ordered: Sequence[float]) -> bool:
        """Whether the one-channel attention of ``scale`` enters the result."""
        return False

    def fuse(
        self, outputs: dict[float, ScaleOutput], size: tuple[int, int]
    ) -> tuple[Tensor, dict[float, Tensor]]:
        """Fused logits and effective attention on the grid ``size``; highest scale first."""
        raise NotImplementedError


class Single(Strategy):
    """l_1: one network, one scale."""

    def fuse(
        self, outputs: dict[float, ScaleOutput], size: tuple[int, int]
    ) -> tuple[Tensor, dict[float, Tensor]]:
        if list(outputs) != [1.0]:
            raise ValueError(f"strategy 'single' predicts at scale 1.0 only, not {list(outputs)}")
        logits = resize(outputs[1.0].logits_BKhw.float(), size)
        return logits, {1.0: torch.ones_like(logits[:, :1])}


class AvgPool(Strategy):
    """Mean of the softmax probabilities of all scales: a rule for evaluation, nothing learnt."""

    def fuse(
        self, outputs: dict[float, ScaleOutput], size: tuple[int, int]
    ) -> tuple[Tensor, dict[float, Tensor]]:
        mean = torch.zeros(())
        for out in outputs.values():
            mean = mean + resize(out.logits_BKhw.float().contiguous(), size).softmax(1) / len(outputs)
        weight = torch.full_like(mean[:, :1], 1 / len(outputs))
        return mean.clamp_min(1e-30).log(), {scale: weight for scale in outputs}


class Explicit(Strategy):
    """Attention to Scale (Chen et al., CVPR 2016): softmax attention over the trained scales.

    The features of all scales, on the grid of scale 1.0, give one attention channel a scale.
    """

    def __init__(self, segmenter: Segmenter, train_scales: Sequence[float]) -> None:
        super().__init__(segmenter)
        self.train_scales = tuple(sorted(train_scales, reverse=True))
        channels = segmenter.decoder.features_channels * len(self.train_scales)
        width = max(16, segmenter.decoder.features_channels * 512 // 304 // 16 * 16)
        self.attention = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, len(self.train_scales), 1, bias=False),
        )
        initialise(self.attention)

    def fuse(
        self, outputs: dict[float, ScaleOutput], size: tuple[int, int]
    ) -> tuple[Tensor, dict[float, Tensor]]:
        if tuple(outputs) != self.train_scales:
            raise ValueError(
                f"strategy 'explicit' is bound to its train scales {self.train_scales}, "
                f"not {tuple(outputs)}"
            )
        grid = outputs[1.0].features_BChw.shape[-2:]
        features = torch.cat([resize(out.features_BChw, grid) for out in outputs.values()], 1)
        weights_BSHW = resize(self.attention(features).float().softmax(1), size)
        attention = dict(zip(outputs, weights_BSHW.split(1, dim=1), strict=True))
        logits = torch.zeros(())
        for scale, out in outputs.items():
            logits = logits + attention[scale] * resize(out.logits_BKhw.float().contiguous(), size)
        return logits, attention


class Hierarchical(Strategy):
    """The article's chain: each scale's attention decides between it and the next higher one.

    With a_r and l_r the attention and logits of scale r, and U, D resizing up and down, from the
    highest scale to the lowest: at r >= 1 the result is a_r l_r + (1 - a_r) D(previous); at
    r < 1 it is U(a_r l_r) + (1 - U(a_r)) previous. The highest scale's attention is not run.
    """

    def needs_attention(self, scale: float, ordered: Sequence[float]) -> bool:
        return scale != ordered[0]

    def fuse(
        self, outputs: dict[float, ScaleOutput], size: tuple[int, int]
    ) -> tuple[Tensor, dict[float, Tensor]]:
        fused: Tensor | None = None
        attention: dict[float, Tensor] = {}
        for scale, out in outputs.items():
            logits = resize(out.logits_BKhw.float().contiguous(), out.image_size)
            if fused is None:
                fused = logits
                attention[scale] = torch.ones_like(logits[:, :1])
                continue
            assert out.attention_B1hw is not None
            weight = resize(out.attention_B1hw.float(), out.image_size)
            grid = out.image_size if scale >= 1 else size
            rest = 1 - resize(weight, grid)
            fused = resize(weight * logits, grid) + rest * resize(fused, grid)
            attention = {s: rest * resize(a, grid) for s, a in attention.items()}
            attention[scale] = 1 - rest
        assert fused is not None
        return resize(fused, size), {s: resize(a, size) for s, a in attention.items()}
