"""Table 2 of the article: the Mapillary Vistas leaderboard, with ours beside the published entries.

    python -m bench.sweep table2 --data-root DIR --address auto --out SHARED_DIR

Ours is HRNet-OCR with RMI loss and hierarchical attention on Vistas 1.2 (65 classes), trained with
the settings of the article's released code (NVIDIA/semantic-segmentation,
scripts/train_mapillary.yml): 16 crops of 1024 x 1024 a step, 200 epochs, evaluated over 0.25, 0.5,
1 and 2. That code first shrinks images to 2177 pixels on the longer side and adds flipped images
in evaluation; here images and labels keep their own size, and nothing is flipped.

Without the data it prints the published entries, with ours not measured.
"""

from dataclasses import replace

from bench.config import TrainingConfig
from sweeps.profiles import MAPILLARY
from sweeps.spec import Rival, Row, Sweep
from sweeps.table1 import HRNET_OCR, RMI

PROFILE = replace(
    MAPILLARY,
    summary="Mapillary Vistas val, HRNet-OCR with RMI, the released code's set-up; weeks on GPUs",
    base=MAPILLARY.base.replace(
        network=HRNET_OCR,
        loss=RMI.replace(scale_weight=0.0),
        optim=MAPILLARY.base.optim.replace(lr=5e-3, power=1.0, steps=200 * 18_000 // 16),
    ),
)


def rows(base: TrainingConfig) -> list[Row]:
    """The article's entry."""
    return [
        Row(
            name="hierarchical",
            label="Hierarchical (the article)",
            training=base.replace(strategy="hierarchical", train_scales=(0.5, 1.0)),
            strategy="hierarchical",
            eval_scales=(0.25, 0.5, 1.0, 2.0),
            published={"iou": 61.1},
        )
    ]


SWEEP = Sweep(
    name="table2",
    title="Mapillary Vistas leaderboard: mean IoU",
    rows=rows,
    profiles={"mapillary": PROFILE},
    baseline="hierarchical",
    source="Table 2 of the article: Mapillary Vistas val",
    rivals=(
        Rival("Panoptic-DeepLab (ensemble)", 58.7),
        Rival("DeepLabV3+", 52.0),
        Rival("Seamless", 50.4),
    ),
)
