"""Ray Tune places the trials: resources, retries from the last checkpoint, many at once.

What a worker process does is in ``bench.attempt`` and ``bench.group``; what the driver does with
its reports goes through a ``Listener``.
"""

import json
import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import ray
from ray import tune

from bench.config import Runtime
from bench.cost import CostReport
from bench.errors import BenchError
from bench.plan import PlannedTraining
from bench.train import Progress

RETRIES = 2
PACKAGES = ("bench", "models", "sweeps", "reports")
ALLOCATOR = {
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_ARENA_MAX": "1",
}
"""glibc keeps freed memory instead of returning it after every step, in threads as well (Tune
trains in one): up to half of a step's time."""


class Listener(Protocol):
    """What the driver does with the trials' reports; ``identity`` names the training."""

    def started(self, identity: str) -> None:
        """A trial starts, or starts again."""

    def progressed(self, identity: str, progress: Progress) -> None:
        """A trial reports where it is."""

    def checkpointed(self, identity: str, uri: str) -> None:
        """A trial's checkpoint is in the storage folder."""

    def finished(self, identity: str, folder: Path, seconds: float) -> None:
        """A trial is done; ``folder`` holds its results, and it computed for ``seconds``."""

    def failed(self, identity: str, reason: str, mendable: bool) -> None:
        """A trial failed for good; ``mendable`` if the user can do something about it."""


@contextmanager
def ray_session(address: str | None) -> Iterator[None]:
    """Start Ray for this process alone, or join a running cluster; leave nothing behind.

    Raises:
        BenchError: no cluster answers at ``address``.
    """
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DISABLE_IMPORT_WARNING", "1")
    for name, value in ALLOCATOR.items():
        os.environ.setdefault(name, value)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {"include_dashboard": False, "num_cpus": os.cpu_count()}
    else:
        root = Path(__file__).resolve().parent.parent
        modules = [str(root / package) for package in PACKAGES]
        options |= {"address": address, "runtime_env": {"py_modules": modules}}
    try:
        if address and re.fullmatch(r"[^/]+:\d+", address):
            host, port = address.rsplit(":", 1)
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(**options)
    except (OSError, ValueError, RuntimeError) as error:
        raise BenchError(
            f"no Ray cluster answers at {address!r} ({str(error).splitlines()[0]}): "
            "start one with `ray start --head`, or leave --address out"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def check_resources(runtime: Runtime, devices: int = 1) -> int:
    """How many trials of so many workers fit at once.

    Raises:
        BenchError: not even one fits.
    """
    have = ray.cluster_resources()
    cpus, gpus = have.get("CPU", 0), have.get("GPU", 0)
    asked_cpus, asked_gpus = runtime.cpus * devices, runtime.gpus * devices
    if cpus < asked_cpus or gpus < asked_gpus:
        raise BenchError(
            f"a trial asks for {asked_cpus} CPUs and {asked_gpus:g} GPUs, but Ray has "
            f"{cpus:g} and {gpus:g}: take another --profile, --device cpu, or the --address of a "
            "larger cluster"
        )
    fit = cpus // asked_cpus
    return int(min(fit, gpus // asked_gpus) if asked_gpus else fit)


def run_trainings(
    trainings: Sequence[PlannedTraining],
    runtime: Runtime,
    storage: Path,
    listener: Listener,
) -> None:
    """Run trainings on the Ray session that is open, as many at once as fit.

    Args:
        trainings: what to run, in order of start.
        runtime: resources of a trial.
        storage: folder that all machines reach, for checkpoints.
        listener: hears of everything, in the driver.
    """
    specs = [
        json.dumps(
            {
                "identity": training.identity,
                "config": training.config.model_dump(mode="json"),
                "evaluations": [each.model_dump(mode="json") for each in training.remaining],
                "runtime": runtime.replace(labels=training.labels).model_dump(mode="json"),
                "resume": training.resume,
                "storage": str(storage),
            }
        )
        for training in trainings
    ]
    devices = max(training.config.devices for training in trainings)
    resources: Any = {"cpu": runtime.cpus, "gpu": runtime.gpus}
    if devices > 1:  # Ray Train places the workers; Tune wants at least something to ask for
        resources = tune.PlacementGroupFactory([{"memory": 2**20}])
    tuner = tune.Tuner(
        tune.with_resources(_trainable, resources),
        param_space={"spec": tune.grid_search(specs)},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=check_resources(runtime, devices) if devices > 1 else None,
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=storage.name,
            storage_path=str(storage.parent),
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
            callbacks=[_Forward(listener)],
            verbose=0,
        ),
    )
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    with _quiet():
        tuner.fit()


def run_alone(runtime: Runtime, function: Callable[..., CostReport], *arguments: Any) -> CostReport:
    """Call a function in a Ray worker that has all of a trial's devices and no neighbour."""
    cpus = max(node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"])
    remote = ray.remote(num_cpus=cpus, num_gpus=runtime.gpus, max_retries=0)(function)
    return ray.get(remote.remote(*arguments))


def _name(trial: Any) -> str:
    return str(json.loads(trial.config["spec"])["identity"])


def _trainable(config: dict[str, str]) -> None:
    """A trial in a Ray worker, on one device or by a group of workers."""
    spec = json.loads(config["spec"])
    if spec["config"]["devices"] > 1:
        from bench.group import run_group as run
    else:
        from bench.attempt import run_attempt as run
    try:
        run(spec)
    except BenchError as error:
        tune.report({"error": str(error)})


class _Forward(tune.Callback):
    """Passes Tune's events on to the listener.

    Tune pickles its callbacks when it saves its state; the listener stays out of that.
    """

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.errors: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self.listener.started(_name(trial))

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any
    ) -> None:
        if result.get("error"):
            self.errors[_name(trial)] = result["error"]
        if result.get("progress"):
            self.listener.progressed(_name(trial), Progress(**json.loads(result["progress"])))
        if result.get("checkpoint_path"):
            self.listener.checkpointed(_name(trial), result["checkpoint_path"])

    def on_checkpoint(
        self, iteration: int, trials: Any, trial: Any, checkpoint: Any, **info: Any
    ) -> None:
        self.listener.checkpointed(_name(trial), checkpoint.path)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        name = _name(trial)
        if name in self.errors:
            self.listener.failed(name, self.errors[name], mendable=True)
            return
        result = trial.last_result
        checkpoint = trial.checkpoint or tune.Checkpoint(result["checkpoint_path"])
        with checkpoint.as_directory() as folder:
            self.listener.finished(name, Path(folder), result["seconds"])

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        if trial.num_failures > RETRIES:
            self.listener.failed(_name(trial), _reason(trial), mendable=False)


def _reason(trial: Any) -> str:
    """The last line of a trial's traceback."""
    path = trial.error_file
    lines = Path(path).read_text().strip().splitlines() if path and Path(path).exists() else []
    return lines[-1] if lines else "the worker died without a word: out of memory?"


@contextmanager
def _quiet() -> Iterator[None]:
    """Tune prints banners of its own; the sweep has its own display."""
    stdout = sys.stdout
    with open(os.devnull, "w") as null:
        sys.stdout = null
        try:
            yield
        finally:
            sys.stdout = stdout
