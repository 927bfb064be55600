"""What a strategy costs: operation counts, minibatch time, peak memory.

Conventions:

- Operations are multiply-accumulates (fvcore counts one for a multiply-add) of convolutions and
  matrix products in one forward pass; resizing, normalisation and activations are left out.
- fvcore traces the pass, and a trace drops what the output does not use. Strategies run nothing
  that their output does not use, so what is counted is what runs.
- "Training cost" is the ratio of a strategy's training pass to the baseline's.
- Every training runs in its own precision, at its own crop and its share of the batch on one
  device.
- Times and memory are those of ``bench.meters``; a training step is forward, loss, backward and
  update.
"""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from bench.config import Evaluation, TrainingConfig
from bench.inference import apply_rule
from bench.meters import interleaved_medians, peak_mib
from bench.train import Training
from bench.trained import build_network
from models import build_model
from models.multiscale import Strategy
from models.precision import Precision, choose_precision

COUNTED = ("conv", "addmm", "bmm", "matmul", "linear", "einsum")


class TrainingCost(BaseModel):
    """Cost of a training: a forward pass counted, a step timed.

    Attributes:
        gmacs: 10^9 multiply-accumulates of one image's training pass at the crop's size.
        article_gmacs: the same for the article's network, 3 x 512 x 512 and 65 classes.
        minibatch: median seconds of a training step at the configured batch and crop.
        peak_mib: peak of live tensors in a step, MiB.
        parameters: number of weights.
        precision: dtype that convolutions ran in.
    """

    gmacs: float
    article_gmacs: float
    minibatch: float
    peak_mib: float
    parameters: int
    precision: str


class EvaluationCost(BaseModel):
    """Cost of predicting one image of the scene's or crop's size.

    Attributes:
        training: key of the training whose network predicts.
        gmacs: 10^9 multiply-accumulates.
        seconds: median seconds.
    """

    training: str
    gmacs: float
    seconds: float


class CostReport(BaseModel):
    """All costs of a sweep's rows, measured in one process.

    Attributes:
        trainings: key of a training -> cost.
        evaluations: row name -> cost.
        device: where it was measured.
        precision: dtypes that convolutions ran in.
        batch_size: images of the first training's step on one device.
        crop: their height and width.
        threads: CPU threads.
        rounds: interleaved rounds that the medians are of.
    """

    trainings: dict[str, TrainingCost]
    evaluations: dict[str, EvaluationCost]
    device: str
    precision: str
    batch_size: int
    crop: tuple[int, int]
    threads: int
    rounds: int


ARTICLE_CLASSES, ARTICLE_SIZE = 65, 512


def count_gmacs(
    model: Strategy, size: tuple[int, int], scales: Sequence[float], precision: Precision
) -> float:
    """10^9 multiply-accumulates of one forward pass of one 3 x H x W image, by fvcore."""
    from fvcore.nn import FlopCountAnalysis

    class Pass(nn.Module):
        """The pass with its fused logits as the only output."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, image_B3HW: Tensor) -> Tensor:
            with precision.autocast():
                return self.model(image_B3HW, scales).logits_BKHW

    image = torch.zeros(1, 3, *size, device=precision.device)
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(
            Pass().eval(), image.contiguous(memory_format=torch.channels_last)
        )
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        operators = analysis.by_operator()
    return sum(n for name, n in operators.items() if name in COUNTED) / 1e9


def count_article(strategy: str, train_scales: Sequence[float], precision: Precision) -> float:
    """GMACs of the training pass of the article's network under a strategy."""
    model = build_model(
        "resnet50", "deeplabv3plus", strategy, ARTICLE_CLASSES, train_scales=train_scales
    )
    size = (ARTICLE_SIZE, ARTICLE_SIZE)
    return count_gmacs(model.to(precision.device), size, train_scales, precision)


def measure(
    trainings: Mapping[str, TrainingConfig],
    rows: Mapping[str, tuple[str, Evaluation]],
    classes: int,
    image_size: tuple[int, int],
    rounds: int,
) -> CostReport:
    """Measure everything, interleaved, in this process; nothing else should run meanwhile.

    Args:
        trainings: key -> configuration; they share device and threads.
        rows: row name -> (key of its training, evaluation rule).
        classes: number of classes.
        image_size: height and width of an evaluated image.
        rounds: timing rounds.
    """
    first = next(iter(trainings.values()))
    device = torch.device(first.device)
    auto = choose_precision("auto", device)
    article = cache(lambda strategy, scales: count_article(strategy, scales, auto))
    counted = {key: article(each.strategy, each.train_scales) for key, each in trainings.items()}
    torch.set_num_threads(first.threads)  # counting takes all that there are
    built = {key: _build(config, classes) for key, config in trainings.items()}
    steps = {
        key: partial(training.run_step, random_batch(training.config, classes))
        for key, training in built.items()
    }
    passes = {
        name: evaluation_pass(built[key].model, image_size, rule, built[key].precision)
        for name, (key, rule) in rows.items()
    }
    step_times = interleaved_medians(steps, rounds, device)
    pass_times = interleaved_medians(passes, rounds, device)
    return CostReport(
        trainings={
            key: _training_cost(
                training, counted[key], step_times[key], peak_mib(steps[key], device)
            )
            for key, training in built.items()
        },
        evaluations={
            name: EvaluationCost(
                training=key,
                gmacs=count_gmacs(
                    apply_rule(built[key].model, rule.strategy),
                    image_size,
                    rule.scales,
                    built[key].precision,
                ),
                seconds=pass_times[name],
            )
            for name, (key, rule) in rows.items()
        },
        device=device.type,
        precision=", ".join(dict.fromkeys(each.precision.name for each in built.values())),
        batch_size=first.optim.batch_size // first.devices,
        crop=first.augment.crop,
        threads=first.threads,
        rounds=rounds,
    )


def _build(config: TrainingConfig, classes: int) -> Training:
    precision = choose_precision(config.precision, torch.device(config.device))
    return Training(config, build_network(config, classes).to(precision.device), precision)


def _training_cost(
    training: Training, article_gmacs: float, minibatch: float, peak: float
) -> TrainingCost:
    config, model = training.config, training.model
    return TrainingCost(
        gmacs=count_gmacs(model, config.augment.crop, config.train_scales, training.precision),
        article_gmacs=article_gmacs,
        minibatch=minibatch,
        peak_mib=peak,
        parameters=sum(weight.numel() for weight in model.parameters()),
        precision=training.precision.name,
    )


def random_batch(config: TrainingConfig, classes: int) -> tuple[Tensor, Tensor]:
    """One device's share of a batch, of noise: B x 3 x H W uint8 images, B x H x W labels."""
    generator = torch.Generator().manual_seed(0)
    shape = (config.optim.batch_size // config.devices, *config.augment.crop)
    images = torch.randint(0, 256, (shape[0], 3, *shape[1:]), generator=generator)
    return images.to(torch.uint8), torch.randint(0, classes, shape, generator=generator)


def evaluation_pass(
    model: Strategy, size: tuple[int, int], rule: Evaluation, precision: Precision
) -> Callable[[], object]:
    """A function that predicts one random image of ``size`` under an evaluation rule."""
    ruled = apply_rule(model, rule.strategy)
    image = torch.randn(1, 3, *size, device=precision.device)

    def run() -> None:
        ruled.eval()
        with torch.inference_mode(), precision.autocast():
            ruled(image, rule.scales)

    return run
