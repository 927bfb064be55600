"""Gradient checkpointing: blocks of a trunk forget their inner maps and compute them again.

Training then holds only what goes from block to block, for about a third more time (Chen et al.,
*Training Deep Nets with Sublinear Memory Cost*, 2016).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def checkpoint_blocks(trunk: nn.Module) -> None:
    """Make the residual blocks of a trunk compute their inner maps again in the backward pass.

    Values, gradients and running statistics stay what they are.
    """
    for block in list(_blocks(trunk)):
        block.forward = partial(_forward, block, block.forward)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Outermost items of sequences with two convolutions or more: what networks call blocks."""
    for child in module.children():
        convolutions = sum(isinstance(layer, nn.Conv2d) for layer in child.modules())
        is_item = isinstance(module, nn.Sequential) and not isinstance(child, nn.Sequential)
        if is_item and convolutions > 1:
            yield child
        else:
            yield from _blocks(child)


def _forward(block: nn.Module, forward: Callable[..., Any], *inputs: Any) -> Any:
    if not (block.training and torch.is_grad_enabled()):
        return forward(*inputs)
    return checkpoint(
        forward,
        *inputs,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _frozen_statistics(block)),
    )


@contextmanager
def _frozen_statistics(block: nn.Module) -> Iterator[None]:
    """Keep batch norms from counting a batch twice."""
    norms = [layer for layer in block.modules() if isinstance(layer, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    counters = [norm.num_batches_tracked for norm in norms]
    counts = [None if counter is None else counter.clone() for counter in counters]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for counter, count in zip(counters, counts, strict=True):
            if counter is not None and count is not None:
                counter.copy_(count)
