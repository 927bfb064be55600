"""From names to a network: any trunk with any decoder with any strategy."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from models.checkpoint import import_trunk
from models.decoders import DECODERS
from models.multiscale import AvgPool, Explicit, Hierarchical, Single, Strategy
from models.precision import guard_dilated_depthwise
from models.recompute import checkpoint_blocks
from models.segmenter import AttentionHead, Segmenter
from models.trunks import TRUNKS

STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "single": Single,
    "avgpool": AvgPool,
    "explicit": Explicit,
    "hierarchical": Hierarchical,
}


def build_model(
    trunk: str,
    decoder: str,
    strategy: str,
    classes: int,
    *,
    train_scales: Sequence[float] = (1.0,),
    output_stride: int = 8,
    width: int = 256,
    rates: tuple[int, ...] | None = None,
    pretrained: bool | str | Path | None = None,
    checkpoint_trunk: bool = False,
) -> Strategy:
    """Build a network for one strategy, channels-last.

    Args:
        trunk: a name in ``TRUNKS``.
        decoder: a name in ``DECODERS``.
        strategy: a name in ``STRATEGIES``.
        classes: number of classes K.
        train_scales: the scales that ``explicit`` is bound to; the others do not read it.
        output_stride: stride of the trunk's deep map, 8 or 16; HRNet's is always 4.
        width: channels of the decoder and of the attention head.
        rates: ASPP dilation rates; ``None`` takes the published ones for the output stride.
        pretrained: ``True`` for timm's own ImageNet weights, or a released file of them.
        checkpoint_trunk: train with less memory and more time; see ``models.recompute``.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
    """
    for kind, name, table in (
        ("trunk", trunk, TRUNKS),
        ("decoder", decoder, DECODERS),
        ("strategy", strategy, STRATEGIES),
    ):
        if name not in table:
            raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(table)}")
    trunk_module = TRUNKS[trunk](output_stride, pretrained is True)
    trunk_module.name = trunk
    decoder_module = DECODERS[decoder](trunk_module, classes, width, rates)
    decoder_module.name = decoder
    if isinstance(pretrained, str | Path):
        import_trunk(trunk_module, pretrained)
    guard_dilated_depthwise(trunk_module)
    if checkpoint_trunk:
        checkpoint_blocks(trunk_module)
    attention = None
    if strategy == "hierarchical":
        attention = AttentionHead(decoder_module.features_channels, width)
    segmenter = Segmenter(trunk_module, decoder_module, attention)
    if strategy == "explicit":
        model: Strategy = Explicit(segmenter, train_scales)
    else:
        model = STRATEGIES[strategy](segmenter)
    return model.to(memory_format=torch.channels_last)
