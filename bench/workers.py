"""The processes of one trial: each has a device and trains on its share of every batch.

Gradients are means over the workers (DistributedDataParallel). On GPUs batch norm takes its
statistics from all shares, as one device would from the whole batch; PyTorch has no such batch
norm for CPUs, where each worker's statistics are of its own share and the first worker's running
statistics are kept. The first worker evaluates, saves and reports; the others wait for it.
"""

from dataclasses import dataclass

import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Workers:
    """This process among those of its trial, whose process group is open if there are several.

    Attributes:
        rank: number of this process.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process evaluates, saves and reports."""
        return self.rank == 0

    def join(self, model: nn.Module) -> nn.Module:
        """The model as a training step calls it; its weights stay those of ``model``."""
        if self.world == 1:
            return model
        if next(model.parameters()).is_cuda:
            synchronise_norms(model)
        return DistributedDataParallel(model)

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a number over the workers."""
        if self.world > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value / self.world

    def agree(self, value: bool) -> bool:
        """What the first worker says; all must ask at the same point."""
        if self.world == 1:
            return value
        said = [value]
        dist.broadcast_object_list(said)
        return said[0]


def synchronise_norms(model: nn.Module) -> None:
    """Replace the batch norms inside a model by synchronised ones with the same weights."""
    from timm.layers.norm_act import convert_sync_batchnorm

    # timm's own function keeps the activation that its batch norms hold
    convert_sync_batchnorm(model)
