"""Cross-entropy or region mutual information (RMI), on the baseline and on hierarchical attention.

    python -m bench.sweep losses                                      # embedded data, two CPU cores
    python -m bench.sweep losses --profile cityscapes --data-root DIR --address auto

RMI after Zhao et al., NeurIPS 2019, with its defaults: radius 3, downsampling 4, lambda 0.5. The
article trains with it and states no numbers for this comparison.
"""

from dataclasses import replace

from bench.config import TrainingConfig
from sweeps.profiles import CITYSCAPES, MAPILLARY, QUICK
from sweeps.spec import Row, Sweep


def rows(base: TrainingConfig) -> list[Row]:
    """Two losses on two strategies."""
    hierarchical = base.replace(strategy="hierarchical", train_scales=(0.5, 1.0))
    found = []
    for short, loss, name in (("ce", "cross_entropy", "cross-entropy"), ("rmi", "rmi", "RMI")):
        chosen = base.loss.replace(name=loss)
        found += [
            Row(
                name=f"single-{short}",
                label=f"Baseline single scale, {name}",
                training=base.replace(loss=chosen),
                strategy="single",
                eval_scales=(1.0,),
            ),
            Row(
                name=f"hierarchical-{short}",
                label=f"Hierarchical, {name}",
                training=hierarchical.replace(loss=chosen),
                strategy="hierarchical",
                eval_scales=(0.5, 1.0, 2.0),
            ),
        ]
    return found


SWEEP = Sweep(
    name="losses",
    title="Cross-entropy and RMI: mean IoU, time and memory",
    rows=rows,
    profiles={
        "quick": replace(QUICK, cost_rounds=5),
        "mapillary": MAPILLARY,
        "cityscapes": CITYSCAPES,
    },
    baseline="single-ce",
    costs_of="trained",
)
