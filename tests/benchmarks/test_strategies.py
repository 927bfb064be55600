"""Training step and inference pass of each strategy at the quick profile's size.

    nox -s benchmarks        or        python -m pytest --benchmark-only tests/benchmarks

Compare ratios within one run; machines are noisy.
"""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.cost import evaluation_pass, random_batch
from bench.plan import row_evaluation
from bench.train import Training
from bench.trained import build_network
from models.precision import choose_precision
from sweeps.spec import Row
from sweeps.table3 import SWEEP

QUICK = SWEEP.profiles["quick"]
CLASSES = 12
ROWS = SWEEP.rows(QUICK.base)
TRAININGS = {row.training.strategy: row for row in ROWS}.values()


@pytest.fixture(autouse=True)
def _threads() -> None:
    torch.set_num_threads(QUICK.base.threads)


@pytest.mark.parametrize("row", TRAININGS, ids=lambda row: row.training.strategy)
def test_training_step(row: Row, benchmark: BenchmarkFixture) -> None:
    precision = choose_precision("auto", torch.device("cpu"))
    training = Training(row.training, build_network(row.training, CLASSES), precision)
    batch = random_batch(row.training, CLASSES)
    benchmark.group = "training step"
    benchmark.pedantic(training.run_step, args=(batch,), rounds=7, warmup_rounds=2)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_inference_pass(row: Row, benchmark: BenchmarkFixture) -> None:
    precision = choose_precision("auto", torch.device("cpu"))
    rule = row_evaluation(row, QUICK)
    run = evaluation_pass(build_network(row.training, CLASSES), (160, 320), rule, precision)
    benchmark.group = "inference pass"
    benchmark.pedantic(run, rounds=9, warmup_rounds=2)
