"""Who labels: this process, or many workers of a Ray cluster."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from bench.errors import BenchError
from bench.labels.labelling import Labeller, Record

RESTARTS = 2


def label_here(labeller: Labeller, indices: Sequence[int]) -> Iterator[Record]:
    """Label in this process."""
    return map(labeller.label, indices)


class LabelWorkers:
    """Labels in Ray workers, on the Ray session that is open.

    Args:
        workers: how many; ``None`` takes as many as fit.
        device: ``cpu``, ``cuda`` or ``auto``, each worker's.
        cpus: CPU cores of each.
        gpus: GPUs of each.
    """

    def __init__(self, workers: int | None, device: str, cpus: float, gpus: float) -> None:
        self.workers = workers
        self.device = device
        self.resources = {"num_cpus": cpus, "num_gpus": gpus}

    def __call__(self, labeller: Labeller, indices: Sequence[int]) -> Iterator[Record]:
        """Label, as images get ready; a worker that dies is started again.

        Raises:
            BenchError: what the labeller raises, or workers keep dying.
        """
        import ray
        from ray.util import ActorPool

        shared = ray.put(replace(labeller, teacher=labeller.teacher.on("cpu")))
        remote = ray.remote(_Worker).options(
            **self.resources, max_restarts=RESTARTS, max_task_retries=RESTARTS
        )
        count = min(self.workers or self._fitting(), len(indices))
        threads = max(1, int(self.resources["num_cpus"]))
        pool: Any = ActorPool([remote.remote(self.device, threads) for _ in range(count)])
        try:
            for result in pool.map_unordered(
                lambda actor, index: actor.label.remote([shared], index), indices
            ):
                if isinstance(result, BenchError):
                    raise result
                yield result
        except ray.exceptions.RayError as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise BenchError(f"a labelling worker failed ({reason}); run it again") from error

    def _fitting(self) -> int:
        import ray

        have = ray.cluster_resources()
        needs = {"CPU": self.resources["num_cpus"], "GPU": self.resources["num_gpus"]}
        fit = min(int(have.get(kind, 0) / need) for kind, need in needs.items() if need)
        if not fit:
            raise BenchError(f"a labelling worker asks for {needs}, but Ray has {have}")
        return fit


class _Worker:
    """A Ray actor that fetches the teacher once; a restarted one fetches it again."""

    def __init__(self, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.device = device
        self.labeller: Labeller | None = None

    def label(self, shared: list[Any], index: int) -> Record | BenchError:
        import ray

        if self.labeller is None:
            labeller: Labeller = ray.get(shared[0])
            self.labeller = replace(labeller, teacher=labeller.teacher.on(self.device))
        try:
            return self.labeller.label(index)
        except BenchError as error:
            return error
