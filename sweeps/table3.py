"""Table 3 of the article: which strategy wins, and what it costs to train.

    python -m bench.sweep table3                                     # embedded data, two CPU cores
    python -m bench.sweep table3 --profile camvid --data-root DIR    # real photographs
    python -m bench.sweep table3 --profile mapillary --data-root DIR --address auto

The article (Mapillary Vistas val, DeepLabV3+ with a ResNet-50 trunk): 47.7, 49.4, 51.4, 51.6 and
52.2 mean IoU at 1.00, 1.00, 5.25, 1.25 and 1.25 times the baseline's training cost. Five rows
come from three trainings: avgpool evaluates the baseline's network, and both hierarchical rows
evaluate one.

The `quick` profile trains with the article's primary loss, RMI.
"""

from dataclasses import replace

from bench.config import LossConfig, TrainingConfig
from sweeps import profiles
from sweeps.profiles import CAMVID, CITYSCAPES, MAPILLARY
from sweeps.spec import Row, Sweep

QUICK = replace(
    profiles.QUICK,
    summary="procedural street scenes, mini trunk; about 4 minutes on two CPU cores",
    base=profiles.QUICK.base.replace(
        loss=LossConfig(name="rmi"),
        optim=profiles.QUICK.base.optim.replace(steps=500),
    ),
)


def rows(base: TrainingConfig) -> list[Row]:
    """The five rows of Table 3."""
    explicit = base.replace(strategy="explicit", train_scales=(0.5, 1.0, 2.0))
    hierarchical = base.replace(strategy="hierarchical", train_scales=(0.5, 1.0))
    return [
        Row(
            name="single",
            label="Baseline single scale",
            training=base,
            strategy="single",
            eval_scales=(1.0,),
            published={"iou": 47.7, "cost": 1.0, "minibatch": 0.8},
        ),
        Row(
            name="avgpool",
            label="Baseline avgpool",
            training=base,
            strategy="avgpool",
            eval_scales=(0.5, 1.0, 2.0),
            published={"iou": 49.4, "cost": 1.0, "minibatch": 0.8},
        ),
        Row(
            name="explicit",
            label="Explicit",
            training=explicit,
            strategy="explicit",
            eval_scales=(0.5, 1.0, 2.0),
            published={"iou": 51.4, "cost": 5.25, "minibatch": 3.1},
        ),
        Row(
            name="hierarchical",
            label="Hierarchical",
            training=hierarchical,
            strategy="hierarchical",
            eval_scales=(0.5, 1.0, 2.0),
            published={"iou": 51.6, "cost": 1.25, "minibatch": 1.2},
        ),
        Row(
            name="hierarchical-4",
            label="Hierarchical",
            training=hierarchical,
            strategy="hierarchical",
            eval_scales=(0.25, 0.5, 1.0, 2.0),
            published={"iou": 52.2, "cost": 1.25, "minibatch": 1.2},
        ),
    ]


SWEEP = Sweep(
    name="table3",
    title="Multi-scale strategies: mean IoU and training cost",
    rows=rows,
    profiles={
        "quick": QUICK,
        "camvid": CAMVID,
        "mapillary": MAPILLARY,
        "cityscapes": CITYSCAPES,
    },
    baseline="single",
    source="Table 3 of the article: Mapillary Vistas val, DeepLabV3+ with a ResNet-50 trunk",
)
