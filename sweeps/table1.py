"""Table 1 of the article: the Cityscapes leaderboard, with ours beside the published entries.

    python -m bench.sweep table1 --data-root DIR --address auto --out SHARED_DIR

The labels of the test set are not public, so ours is measured on val; `bench.evaluate --submit`
writes the files that the test server takes. Ours is HRNet-OCR with RMI loss and hierarchical
attention, trained on the fine set with the settings of the article's released code
(NVIDIA/semantic-segmentation, scripts/train_cityscapes_sota.yml): 16 crops of 1024 x 2048 a step,
175 epochs. The published entry was trained on more: weights from Mapillary Vistas, and the coarse
set with automatic labels (table4).

Without the data it prints the published entries, with ours not measured.
"""

from dataclasses import replace

from bench.config import AugmentConfig, LossConfig, NetworkConfig, TrainingConfig
from sweeps.profiles import CITYSCAPES
from sweeps.spec import Rival, Row, Sweep

HRNET_OCR = NetworkConfig(trunk="hrnet_w48", decoder="ocr", output_stride=4, pretrained=True)
RMI = LossConfig(name="rmi", scale_weight=0.05)
PROFILE = replace(
    CITYSCAPES,
    summary="Cityscapes val, HRNet-OCR with RMI, the released code's set-up; days on GPUs",
    base=CITYSCAPES.base.replace(
        augment=AugmentConfig(crop=(1024, 2048)),
        network=HRNET_OCR,
        loss=RMI,
        optim=CITYSCAPES.base.optim.replace(steps=175 * 2975 // 16),
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
            eval_scales=(0.5, 1.0, 2.0),
            published={"iou": 85.4},
        )
    ]


SWEEP = Sweep(
    name="table1",
    title="Cityscapes leaderboard: mean IoU",
    rows=rows,
    profiles={"cityscapes": PROFILE},
    baseline="hierarchical",
    source="Table 1 of the article: Cityscapes test, whose labels are not public; ours is on val",
    rivals=(
        Rival("Panoptic-DeepLab", 85.2),
        Rival("HRNet-OCR SegFix", 84.5),
        Rival("iFlytek-CV", 84.4),
        Rival("MoKu Lab", 84.3),
    ),
)
