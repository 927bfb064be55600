"""A trial on several devices: shares of a batch, means of gradients, and a sweep that does it."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_resume import tiny_training
from tiny import ROOT, environment

from bench.config import Runtime, TrainingConfig
from bench.datasets import open_split
from bench.train import Training, load_batches
from bench.trained import build_network
from bench.workers import Workers, synchronise_norms
from models import build_model
from models.losses import segmentation_loss
from models.precision import choose_precision

STEPS = 3
FLOAT32 = choose_precision("float32", torch.device("cpu"))
WORKER = """
import sys
import torch
import torch.distributed as dist
from test_workers import STEPS, train_worker
from bench.workers import Workers

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
train_worker(Workers(rank, 2), f"{folder}/{rank}.pt")
dist.destroy_process_group()
"""


def config() -> TrainingConfig:
    base = tiny_training(STEPS)
    sgd = base.optim.replace(name="sgd", lr=0.01, schedule="poly", batch_size=4)
    return base.replace(optim=sgd, precision="float32", devices=2)


def begin(workers: Workers) -> tuple[Training, list[tuple[torch.Tensor, torch.Tensor]]]:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    dataset = open_split(config().data, "train")
    model = build_network(config(), len(dataset.classes))
    training = Training(config(), model, FLOAT32, workers)
    return training, list(load_batches(dataset, config(), Runtime(), 0, workers))


def train_worker(workers: Workers, path: str) -> None:
    training, batches = begin(workers)
    losses = []
    for batch in batches:
        losses.append(float(workers.mean(training.run_step(batch))))
        training.scheduler.step()
    said = workers.agree(workers.first)
    weights = dict(training.model.named_parameters())
    torch.save({"weights": weights, "losses": losses, "said": said}, path)


@pytest.mark.slow
def test_two_workers_take_the_mean_of_their_shares(tmp_path: Path) -> None:
    """Two processes against one that adds up what each share gives."""
    environ = environment() | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    commands = [[sys.executable, "-c", WORKER, str(rank), str(tmp_path)] for rank in (0, 1)]
    workers = [subprocess.Popen(command, env=environ) for command in commands]
    assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert first["said"] and second["said"], "the first worker decides"
    assert first["losses"] == second["losses"]
    for name, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][name]), name

    training, whole = begin(Workers())
    shares = [begin_share(rank) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        images, labels = zip(*(share[step] for share in shares), strict=True)
        assert torch.equal(torch.stack(images, 1).flatten(0, 1), batch[0]), "ranks take turns"
        assert torch.equal(torch.stack(labels, 1).flatten(0, 1), batch[1])
        loss = step_by_hand(training, [share[step] for share in shares])
        assert loss == pytest.approx(first["losses"][step], rel=1e-4)
    for name, weight in training.model.named_parameters():
        torch.testing.assert_close(first["weights"][name], weight, rtol=1e-3, atol=1e-5)


def begin_share(rank: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    dataset = open_split(config().data, "train")
    return list(load_batches(dataset, config(), Runtime(), 0, Workers(rank, 2)))


def step_by_hand(training: Training, shares: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """A step on the mean of the shares' losses, each with batch statistics of its own."""
    from bench.datasets.transforms import normalize

    training.model.train()
    total = torch.zeros(())
    for images, labels in shares:
        prediction = training.model(normalize(images), training.config.train_scales)
        loss = segmentation_loss(prediction, labels, loss=training.config.loss.name)
        total = total + loss / len(shares)
    training.optimizer.zero_grad()
    total.backward()
    training.optimizer.step()
    training.scheduler.step()
    return float(total.detach())


@pytest.mark.parametrize("trunk", ["mini", "efficientnet_lite0"])
def test_synchronised_norms_leave_the_network_what_it_is(trunk: str) -> None:
    model = build_model(trunk, "deeplabv3plus", "hierarchical", 4, width=16, rates=(1, 2)).eval()
    names, image = list(model.state_dict()), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = model(image, (0.5, 1.0)).logits_BKHW
        synchronise_norms(model)
        after = model(image, (0.5, 1.0)).logits_BKHW
    assert list(model.state_dict()) == names
    norms = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert not norms
    torch.testing.assert_close(after, before)


@pytest.mark.slow
def test_a_sweep_with_two_workers_a_trial(
    tmp_path: Path,
    write_sweep: Callable[..., Path],
    run_cli: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    shared = """
quick = SWEEP.profiles["quick"]
optim = quick.base.optim.replace(batch_size=4)
quick = replace(quick, base=quick.base.replace(optim=optim, devices=2))
SWEEP = replace(SWEEP, profiles={"quick": quick})
"""
    path = write_sweep(steps=4, checkpoint_seconds=1000, extra=shared)
    done = run_cli(path, "--rows", "single")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 devices" in done.stdout
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        losses = store.execute("select count(*) from metrics where key = 'loss'").fetchone()[0]
        keys = {row[0] for row in store.execute("select distinct key from metrics")}
    assert losses == 4
    assert {"val_miou", "miou/test_3_single_1.0", "train_seconds"} <= keys
    again = run_cli(path, "--rows", "single")
    assert "0 to run" in again.stdout
