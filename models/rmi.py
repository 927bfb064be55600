"""Region mutual information loss (Zhao et al., NeurIPS 2019).

Each pixel is described by the 3 x 3 window around it. The loss raises a lower bound of the mutual
information between the windows of the label and those of the prediction, class by class, and
adds the usual pixel-wise binary cross-entropy.

Both are sums over the maps of single classes, so value and gradient are computed together, a few
maps at a time: memory beyond the gradient does not grow with batch or classes.

Letters: B batch, K classes, M maps of one image, H W the label's grid, h w the pooled grid,
D = 9 pixels of a window, N windows of a map.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

RADIUS = 3
POOL = 4
WEIGHT = 0.5
FLOOR = 1e-6
"""Smallest probability that enters the windows."""
RIDGE = 5e-4
"""Added to the diagonal of covariances, so that even a constant map has a determinant."""
CHUNK = 2**18
"""Pixels of all maps that are worked on at once."""


def rmi_loss(logits_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
    """Half binary cross-entropy, half negative region mutual information; can be negative.

    Computed in float32, the covariances in float64, also under autocast.

    Args:
        logits_BKHW: one logit a class; each class has its own sigmoid.
        label_BHW: class indices; values of K and more are ignored.

    Returns:
        A scalar; finite even where every pixel is ignored.
    """
    with torch.autocast(logits_BKHW.device.type, enabled=False):
        return _RegionLoss.apply(logits_BKHW.float(), label_BHW)


def binary_cross_entropy(logits_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
    """Sigmoid cross-entropy, summed over classes, averaged over the valid pixels plus one."""
    with torch.autocast(logits_BKHW.device.type, enabled=False):
        logits_BKHW = logits_BKHW.float()
        valid_BHW = label_BHW < logits_BKHW.shape[1]
        own_BHW = logits_BKHW.gather(1, (label_BHW * valid_BHW)[:, None].long())[:, 0]
        loss_BHW = F.softplus(logits_BKHW).sum(1) - own_BHW
        return (loss_BHW * valid_BHW).sum() / (valid_BHW.sum() + 1)


class _RegionLoss(torch.autograd.Function):
    """The loss as one node of the graph, whose gradient is ready when its value is."""

    @staticmethod
    def forward(ctx: Any, logits_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
        batch, classes, height, width = logits_BKHW.shape
        maps = max(1, CHUNK // (height * width))
        pixels = (label_BHW < classes).sum() + 1
        gradient = torch.empty_like(logits_BKHW) if ctx.needs_input_grad[0] else None
        loss = logits_BKHW.new_zeros((), dtype=torch.float64)
        for b, label_HW in enumerate(label_BHW):
            valid_HW = label_HW < classes
            for k in range(0, classes, maps):
                logits_MHW = logits_BKHW[b, k : k + maps]
                index_M = torch.arange(k, k + len(logits_MHW), device=label_BHW.device)
                truth_MHW = (label_HW == index_M[:, None, None]).float()
                value, slope = _maps_loss(logits_MHW, truth_MHW, valid_HW, pixels, batch)
                loss += value
                if gradient is not None:
                    gradient[b, k : k + maps] = slope
        ctx.save_for_backward(gradient)
        return loss.float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_loss, None


def _maps_loss(
    logits_MHW: Tensor, truth_MHW: Tensor, valid_HW: Tensor, pixels: Tensor, batch: int
) -> tuple[Tensor, Tensor]:
    """What some maps of one image add to the loss, and their gradient, M x H x W."""
    p_MHW = logits_MHW.sigmoid()
    # log(1 + exp(x)) = max(x, 0) - log(sigmoid(|x|)), which never overflows
    softplus_MHW = logits_MHW.relu() - logits_MHW.abs().sigmoid().log()
    entropy = ((softplus_MHW - logits_MHW * truth_MHW) * valid_HW).sum() / pixels
    entropy_slope_MHW = (p_MHW - truth_MHW) * valid_HW / pixels

    guess_Mhw = _pool(p_MHW * valid_HW + FLOOR).requires_grad_()
    with torch.enable_grad():
        unexplained = _unexplained(guess_Mhw, _pool(truth_MHW)) / batch
    (slope_Mhw,) = torch.autograd.grad(unexplained, guess_Mhw)
    region_slope_MHW = _unpool(slope_Mhw, valid_HW.shape) * p_MHW * (1 - p_MHW) * valid_HW

    value = WEIGHT * entropy + (1 - WEIGHT) * unexplained.detach()
    return value, WEIGHT * entropy_slope_MHW + (1 - WEIGHT) * region_slope_MHW


def _pool(maps_MHW: Tensor) -> Tensor:
    """Means of blocks of pixels, M x h x w; zeros surround the image."""
    return F.avg_pool2d(maps_MHW, POOL, POOL, padding=POOL // 2)


def _unexplained(guess_Mhw: Tensor, truth_Mhw: Tensor) -> Tensor:
    """Entropy of the label's windows that the prediction's do not explain, summed over maps.

    Half the log determinant of the Schur complement of the joint covariance (sections 3.2 and
    3.3), which is the lower right part of that covariance's Cholesky factor.
    """
    maps = torch.stack([guess_Mhw, truth_Mhw], 1).double()
    windows = maps.unfold(2, RADIUS, 1).unfold(3, RADIUS, 1)
    windows_MDN = windows.permute(0, 1, 4, 5, 2, 3).flatten(4).flatten(1, 3)
    centred_MDN = windows_MDN - windows_MDN.mean(2, keepdim=True)
    covariance_MDD = centred_MDN @ centred_MDN.mT
    ridge_DD = RIDGE * torch.eye(2 * RADIUS**2, dtype=maps.dtype, device=maps.device)
    factor_MDD, _ = torch.linalg.cholesky_ex(covariance_MDD + ridge_DD)
    diagonal_MD = factor_MDD.diagonal(dim1=1, dim2=2)[:, RADIUS**2 :]
    return diagonal_MD.log().sum() / RADIUS**2


def _unpool(slope_Mhw: Tensor, size: Sequence[int]) -> Tensor:
    """Gradient of ``_pool``: every pixel gets its share of its block's."""
    padded = F.pad(slope_Mhw / POOL**2, (0, 1, 0, 1))
    spread = F.interpolate(padded[None], scale_factor=POOL, mode="nearest")[0]
    return spread[:, POOL // 2 :, POOL // 2 :][:, : size[0], : size[1]]
