"""Training losses: the fused prediction, each scale's own logits, and auxiliary logits.

Letters: B batch, K classes, H W the label's grid, h w a decoder's grid.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from models.layers import resize
from models.multiscale import Prediction

IGNORE = 255


def cross_entropy(logits_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
    """Mean cross-entropy over the pixels whose label is not 255, in float32."""
    return F.cross_entropy(
        logits_BKHW.float().contiguous(), label_BHW.long(), ignore_index=IGNORE
    )


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"cross_entropy": cross_entropy}


def segmentation_loss(
    prediction: Prediction,
    label_BHW: Tensor,
    *,
    loss: str = "cross_entropy",
    scale_weight: float = 0.0,
    aux_weight: float = 0.4,
) -> Tensor:
    """The scalar that training minimises.

    Args:
        prediction: what a strategy returned.
        label_BHW: class indices; 255 is ignored.
        loss: a name in ``LOSSES``, applied to the fused logits and to each scale's own.
        scale_weight: weight of the loss of every scale's own logits; 0.05 as published.
        aux_weight: weight of the cross-entropy of the auxiliary logits.

    Raises:
        ValueError: an unknown loss; the message lists the known ones.
    """
    if loss not in LOSSES:
        raise ValueError(f"unknown loss {loss!r}; known: {', '.join(LOSSES)}")
    criterion = LOSSES[loss]
    size = label_BHW.shape[-2:]
    total = criterion(prediction.logits_BKHW, label_BHW)
    if scale_weight:
        for logits in prediction.scale_logits.values():
            total = total + scale_weight * criterion(resize(logits.float(), size), label_BHW)
    for logits in prediction.aux_logits.values():
        total = total + aux_weight * cross_entropy(resize(logits.float(), size), label_BHW)
    return total
