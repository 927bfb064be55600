"""What evaluating an image of streets takes: predicting it, and counting what it got right.

nox -s benchmarks        or        python -m pytest --benchmark-only tests/benchmarks

Boundaries and object sizes should stay small beside the prediction.
"""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.datasets import Sample, open_split
from bench.inference import apply_rule, segment
from bench.metrics import image_counts
from bench.plan import row_evaluation
from bench.regions import boundary_counts, size_counts
from bench.trained import build_network
from models.precision import choose_precision
from sweeps.spec import Row
from sweeps.table3 import SWEEP

QUICK = SWEEP.profiles["quick"]
CLASSES = 11


@pytest.fixture(scope="module")
def sample() -> Sample:
    return open_split(QUICK.base.data, "test")[0]


@pytest.mark.parametrize("row", SWEEP.rows(QUICK.base), ids=lambda row: row.name)
def test_prediction(row: Row, sample: Sample, benchmark: BenchmarkFixture) -> None:
    precision = choose_precision("auto", torch.device("cpu"))
    rule = row_evaluation(row, QUICK)
    model = apply_rule(build_network(row.training, CLASSES), rule.strategy)
    benchmark.group = "evaluate an image"
    benchmark.pedantic(
        segment, (model, sample.image, rule.scales, precision), rounds=9, warmup_rounds=2
    )


@pytest.mark.parametrize("count", ["classes", "boundaries", "sizes"])
def test_counting(count: str, sample: Sample, benchmark: BenchmarkFixture) -> None:
    label = torch.from_numpy(sample.label)
    counters = {
        "classes": lambda: image_counts(label, label, CLASSES),
        "boundaries": lambda: boundary_counts(sample.label, sample.label, CLASSES),
        "sizes": lambda: size_counts(sample.label, sample.label, CLASSES),
    }
    benchmark.group = "evaluate an image"
    benchmark.pedantic(counters[count], rounds=9, warmup_rounds=2)
