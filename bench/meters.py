"""Meters: time in interleaved rounds, and the peak memory of live tensors."""

import weakref
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


def interleaved_medians(
    actions: Mapping[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, float]:
    """Median seconds of each action over rounds that run all of them in turn, after a warm-up."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(rounds + 2):
        for name, action in actions.items():
            _synchronise(device)
            start = perf_counter()
            action()
            _synchronise(device)
            if turn >= 2:
                times[name].append(perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def peak_mib(action: Callable[[], object], device: torch.device) -> float:
    """Highest sum of live tensors that an action allocates, in MiB."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        action()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    with _LiveTensors() as live:
        action()
    return live.peak / 2**20


class _LiveTensors(TorchDispatchMode):
    """Follows the storages that operators return, from their birth to their death."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor):
                self._born(tensor.untyped_storage())
        return result

    def _born(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.known:
            return

        def died(_: object) -> None:
            self.known.pop(key, None)
            self.live -= size

        self.known[key] = weakref.ref(storage, died)
        self.live += size
        self.peak = max(self.peak, self.live)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
