"""Table 4 of the article: a teacher's labels of coarse images beat the coarse labels themselves.

    python -m bench.sweep table4                                     # embedded data, two CPU cores
    python -m bench.sweep table4 --profile camvid --data-root DIR    # real photographs
    python -m bench.sweep table4 --profile cityscapes --data-root DIR --address auto

The article (Cityscapes val, HRNet-OCR, hierarchical): 85.4 mean IoU with the fine and the coarse
images as they are labelled, 86.3 with auto-generated labels of the coarse images. Here the teacher
is the network of the row without coarse images. All three rows have one schedule; half of the
students' crops come from coarse images.
"""

from dataclasses import replace

from bench.config import ExtraData, TrainingConfig
from sweeps import profiles
from sweeps.spec import Row, Sweep
from sweeps.table1 import HRNET_OCR, RMI

SCALES = (0.5, 1.0, 2.0)
PROBABILITY = 0.5
"""Share of the students' crops that come from coarse images, as published."""
COARSE_FOR_FINE = 7
"""Coarse images for each fine one; Cityscapes has 20,000 and 2,975."""


def rows(base: TrainingConfig) -> list[Row]:
    """Fine images only, with ground-truth coarse labels, and with a teacher's."""
    fine = base.replace(strategy="hierarchical", train_scales=(0.5, 1.0))
    count = base.data.train_images
    images = None if count is None else COARSE_FOR_FINE * count

    def row(name: str, label: str, extra: ExtraData | None, published: dict[str, float]) -> Row:
        return Row(
            name=name,
            label=label,
            training=fine.replace(data=fine.data.replace(extra=extra)),
            strategy="hierarchical",
            eval_scales=SCALES,
            published=published,
        )

    coarse = ExtraData(images=images, probability=PROBABILITY)
    auto = coarse.replace(labels="auto", teacher=fine, scales=SCALES)
    return [
        row("fine", "Fine only", None, {}),
        row("coarse", "Fine + ground-truth coarse", coarse, {"iou": 85.4}),
        row("auto", "Fine + auto-generated coarse", auto, {"iou": 86.3}),
    ]


QUICK = replace(
    profiles.QUICK,
    summary="100 fine and 700 coarse street scenes, mini trunk; 4 minutes a seed on two CPU cores",
    base=profiles.QUICK.base.replace(
        data=profiles.QUICK.base.data.replace(train_images=100),
        optim=profiles.QUICK.base.optim.replace(steps=500),
    ),
)
CAMVID = replace(
    profiles.CAMVID,
    summary="CamVid, an eighth of its training images fine; an hour on two CPU cores",
    base=profiles.CAMVID.base.replace(data=profiles.CAMVID.base.data.replace(split="fine")),
)
CITYSCAPES = replace(
    profiles.CITYSCAPES,
    summary="Cityscapes, HRNet-W48 with OCR, train_extra as coarse images; days on GPUs",
    base=profiles.CITYSCAPES.base.replace(network=HRNET_OCR, loss=RMI),
)
SWEEP = Sweep(
    name="table4",
    title="Coarsely labelled images: their labels against a teacher's",
    question="Given fine labels of few images and coarse ones of many, is it better to train on "
    "the coarse labels or on what a teacher, trained on the fine ones, makes of their images?",
    rows=rows,
    profiles={"quick": QUICK, "camvid": CAMVID, "cityscapes": CITYSCAPES},
    baseline="fine",
    source="Table 4 of the article: Cityscapes val, HRNet-OCR, hierarchical",
)
