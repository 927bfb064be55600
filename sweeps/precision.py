"""float32, bfloat16 and float16: what mixed precision saves, and whether it costs accuracy.

    python -m bench.sweep precision                                   # embedded data, two CPU cores
    python -m bench.sweep precision --profile cityscapes --data-root DIR --address auto

All rows are hierarchical and share every setting but the dtype of convolutions and matrix
products; see ``models.precision`` for what stays float32. float16 trains with loss scaling, needs
a GPU, and is left out of the plan on a CPU. The article states no numbers for this comparison.
"""

from dataclasses import replace

from bench.config import TrainingConfig
from sweeps.profiles import CITYSCAPES, MAPILLARY, QUICK
from sweeps.spec import Row, Sweep


def rows(base: TrainingConfig) -> list[Row]:
    """One row a dtype."""
    hierarchical = base.replace(strategy="hierarchical", train_scales=(0.5, 1.0))
    return [
        Row(
            name=precision,
            label=precision,
            training=hierarchical.replace(precision=precision),
            strategy="hierarchical",
            eval_scales=(0.5, 1.0, 2.0),
        )
        for precision in ("float32", "bfloat16", "float16")
    ]


SWEEP = Sweep(
    name="precision",
    title="Mixed precision: mean IoU, time and memory",
    rows=rows,
    profiles={
        "quick": replace(QUICK, cost_rounds=5),
        "mapillary": MAPILLARY,
        "cityscapes": CITYSCAPES,
    },
    baseline="float32",
    costs_of="trained",
)
