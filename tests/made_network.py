"""A small finished network, as a trial leaves it, for the commands that use one."""

from collections.abc import Sequence
from pathlib import Path

from bench.config import Evaluation, Runtime, TrainingConfig
from bench.trial import run_trial
from sweeps.table3 import SWEEP


def small_training(strategy: str = "hierarchical", steps: int = 6) -> TrainingConfig:
    """Table 3's quick training, on small scenes and for a few steps."""
    base = SWEEP.profiles["quick"].base
    return base.replace(
        strategy=strategy,
        train_scales=(1.0,) if strategy == "single" else (0.5, 1.0),
        optim=base.optim.replace(steps=steps, batch_size=2),
        augment=base.augment.replace(crop=(64, 128)),
        data=base.data.replace(train_images=8, scene_size=(64, 128)),
    )


def trained_folder(
    folder: Path, rules: Sequence[Evaluation] = (), strategy: str = "hierarchical"
) -> Path:
    """The folder of a finished trial."""
    run_trial(small_training(strategy), rules, Runtime(val_points=1, val_images=1), folder)
    return folder
