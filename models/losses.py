"""Training losses: the fused prediction, each scale's own logits, and auxiliary logits.

Letters: B batch, K classes, H W the label's grid.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from models.layers import resize, scaled_size
from models.multiscale import Prediction
from models.rmi import binary_cross_entropy, rmi_loss

IGNORE = 255


def cross_entropy(logits_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
    """Mean cross-entropy over the pixels whose label is not 255, in float32; 0 if there is none.

    Labels may be B x H x W x K probabilities as well, which are all 0 where a pixel is ignored.
    """
    logits_BHWK = logits_BKHW.float().permute(0, 2, 3, 1)
    if label_BHW.ndim == 4:
        total = -(label_BHW.float() * logits_BHWK.log_softmax(-1)).sum()
        return total / label_BHW.sum(dtype=logits_BHWK.dtype).clamp_min(1)
    if logits_BHWK.device.type == "cpu":
        # rows of whole SIMD registers take a third of the time; exp(-1e4) is 0, so is its gradient
        logits_BHWK = F.pad(logits_BHWK, (0, -logits_BHWK.shape[-1] % 16), value=-1e4)
    total = F.cross_entropy(
        logits_BHWK.flatten(0, 2),
        label_BHW.long().flatten(),
        ignore_index=IGNORE,
        reduction="sum",
    )
    return total / (label_BHW != IGNORE).sum().clamp_min(1)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "rmi": rmi_loss,
}
PIXELWISE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "rmi": binary_cross_entropy,
}
"""The pixel-wise part of each loss, for logits that only assist."""


def segmentation_loss(
    prediction: Prediction,
    label_BHW: Tensor,
    *,
    loss: str = "cross_entropy",
    scale_weight: float = 0.0,
    aux_weight: float = 0.4,
) -> Tensor:
    """Combine what training minimises into one scalar.

    Args:
        prediction: what a strategy returned.
        label_BHW: class indices; 255 is ignored. Cross-entropy takes B x H x W x K
            probabilities as well.
        loss: a name in ``LOSSES``, applied to the fused logits.
        scale_weight: weight of the pixel-wise loss of every scale's own logits; 0.05 as published.
        aux_weight: weight of the pixel-wise loss of the auxiliary logits, where there are any.

    Raises:
        ValueError: an unknown loss; the message lists the known ones.
    """
    if loss not in LOSSES:
        raise ValueError(f"unknown loss {loss!r}; known: {', '.join(LOSSES)}")
    size = (label_BHW.shape[1], label_BHW.shape[2])
    total = LOSSES[loss](prediction.logits_BKHW, label_BHW)
    if scale_weight:
        for scale, logits_BKhw in prediction.scale_logits.items():
            # as when scales are fused: first to the image at that scale
            logits_BKHW = resize(resize(logits_BKhw.float(), scaled_size(size, scale)), size)
            total = total + scale_weight * PIXELWISE[loss](logits_BKHW, label_BHW)
    if prediction.aux_logits_BKHW is not None:
        total = total + aux_weight * PIXELWISE[loss](prediction.aux_logits_BKHW, label_BHW)
    return total
