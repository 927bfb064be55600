"""What end-to-end tests share: tiny sweeps, how to run commands, the peak memory of a program."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

TINY = """
from dataclasses import replace
from sweeps.table3 import SWEEP as TABLE3

quick = TABLE3.profiles["quick"]
base = quick.base.replace(
    optim=quick.base.optim.replace(steps={steps}, batch_size=2),
    augment=quick.base.augment.replace(crop=(64, 128)),
    data=quick.base.data.replace(train_images=12, scene_size=(64, 128)),
)
runtime = quick.runtime.replace(val_images=2, checkpoint_seconds={checkpoint_seconds})
SWEEP = replace(
    TABLE3,
    name="tiny",
    profiles={{"quick": replace(quick, base=base, runtime=runtime, eval_images=3, cost_rounds=1)}},
)
"""


def command(*arguments: object, module: str = "bench.sweep") -> list[str]:
    """A command line of the product, run by this interpreter."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def environment() -> dict[str, str]:
    """The process environment with the project on the path and the default store."""
    return {
        **{k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"},
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
    }


TINY4 = """
from dataclasses import replace
from sweeps.table4 import SWEEP as TABLE4

quick = TABLE4.profiles["quick"]
base = quick.base.replace(
    optim=quick.base.optim.replace(steps={steps}, batch_size=2),
    augment=quick.base.augment.replace(crop=(32, 64)),
    data=quick.base.data.replace(train_images=4, scene_size=(64, 128)),
)
runtime = quick.runtime.replace(val_images=2, val_points=1, checkpoint_seconds=1)
SWEEP = replace(
    TABLE4,
    name="tiny4",
    profiles={{"quick": replace(quick, base=base, runtime=runtime, eval_images=3, cost_rounds=1)}},
)
"""


PRINT_PEAK = """
from pathlib import Path
status = Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""
"""Ends a program by printing its own peak resident MiB; ``ru_maxrss`` holds its parent's too."""
