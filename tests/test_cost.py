"""Costs: hand-counted operations, the published ratios, nothing run that is not used."""

import pytest
import torch
from torch import nn

from bench.cost import count_article, count_gmacs, measure, random_batch
from bench.meters import interleaved_medians, peak_mib
from bench.plan import row_evaluation
from bench.trained import build_network
from models.precision import choose_precision
from sweeps.table3 import SWEEP

QUICK = SWEEP.profiles["quick"]
ROWS = {row.name: row for row in SWEEP.rows(QUICK.base)}
CPU = choose_precision("auto", torch.device("cpu"))


class Tiny(nn.Module):
    """Two convolutions under the strategies' call."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.second = nn.Conv2d(4, 5, 1)
        self.unused = nn.Conv2d(4, 5, 1)

    def forward(self, image: torch.Tensor, scales: tuple[float, ...]) -> object:
        features = self.first(image)
        self.unused(features)
        return type("P", (), {"logits_BKHW": self.second(features)})()


def test_counts_are_multiply_accumulates() -> None:
    counted = count_gmacs(Tiny(), (10, 20), (1.0,), choose_precision("float32", CPU.device))
    assert counted == pytest.approx(10 * 20 * (3 * 4 * 9 + 4 * 5) / 1e9)


def test_training_cost_of_the_article() -> None:
    baseline = count_article("single", (1.0,), CPU)
    assert baseline == pytest.approx(182.75, abs=0.01)
    assert 5.25 <= count_article("explicit", (0.5, 1.0, 2.0), CPU) / baseline <= 5.7
    assert 1.25 <= count_article("hierarchical", (0.5, 1.0), CPU) / baseline <= 1.30


@pytest.mark.parametrize("name", list(ROWS))
def test_what_is_counted_is_what_runs(name: str) -> None:
    """Hooks on the convolutions that run agree with the trace, which drops what is unused."""
    row = ROWS[name]
    model = build_network(row.training, classes=12).eval()
    executed = 0

    def count(module: nn.Conv2d, inputs: object, output: torch.Tensor) -> None:
        nonlocal executed
        executed += output.numel() * module.weight[0].numel()

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    scales = row.training.train_scales
    with torch.no_grad():
        model(torch.zeros(1, 3, 64, 96), scales)
    assert count_gmacs(model, (64, 96), scales, CPU) == pytest.approx(executed / 2 / 1e9)


def test_measure_reports_every_training_and_row() -> None:
    base = QUICK.base
    trainings = {
        name: ROWS[name].training.replace(
            augment=base.augment.replace(crop=(32, 64)),
            optim=base.optim.replace(batch_size=2),
        )
        for name in ("single", "hierarchical")
    }
    rules = {
        "avgpool": ("single", row_evaluation(ROWS["avgpool"], QUICK)),
        "hierarchical": ("hierarchical", row_evaluation(ROWS["hierarchical"], QUICK)),
    }
    report = measure(trainings, rules, classes=5, image_size=(32, 64), rounds=1)
    assert set(report.trainings) == set(trainings)
    assert set(report.evaluations) == set(rules)
    for cost in report.trainings.values():
        assert cost.minibatch > 0
        assert cost.peak_mib > 0
    parameters = sum(p.numel() for p in build_network(trainings["single"], 5).parameters())
    assert report.trainings["single"].parameters == parameters
    assert report.trainings["hierarchical"].gmacs > report.trainings["single"].gmacs


def test_every_training_is_measured_in_its_own_precision_crop_and_share() -> None:
    base = QUICK.base.replace(optim=QUICK.base.optim.replace(batch_size=4), device="cpu")
    small = base.augment.replace(crop=(32, 64))
    trainings = {
        "low": base.replace(precision="bfloat16", augment=small, devices=2),
        "full": base.replace(precision="float32", augment=base.augment.replace(crop=(64, 64))),
    }
    rules = {name: (name, row_evaluation(ROWS["single"], QUICK)) for name in trainings}
    report = measure(trainings, rules, classes=5, image_size=(32, 64), rounds=1)
    low, full = report.trainings["low"], report.trainings["full"]
    assert (low.precision, full.precision) == ("bfloat16", "float32")
    assert report.precision == "bfloat16, float32"
    assert full.gmacs == pytest.approx(2 * low.gmacs, rel=1e-3)
    assert report.batch_size == 2
    assert random_batch(trainings["low"], 5)[0].shape == (2, 3, 32, 64)
    assert full.peak_mib > low.peak_mib


def test_peak_memory_is_that_of_live_tensors() -> None:
    def action() -> None:
        for _ in range(3):
            torch.ones(256, 1024, 4)

    assert peak_mib(action, CPU.device) == pytest.approx(4, rel=0.1)


def test_medians_are_interleaved() -> None:
    order: list[str] = []
    actions = {name: (lambda name=name: order.append(name)) for name in "ab"}
    interleaved_medians(actions, 2, CPU.device)
    assert order == list("abab" * 2)
