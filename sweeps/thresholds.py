"""How sure must a teacher be? Labels and students against the threshold, and soft labels.

    python -m bench.sweep thresholds                                     # embedded data
    python -m bench.sweep thresholds --profile camvid --data-root DIR    # real photographs

The article takes 0.5 without a comparison and rejects soft labels for their size. Every row is a
student of one teacher, trained on the fine images and on the same coarse images with other labels.
"""

from dataclasses import replace

from bench.config import ExtraData, TrainingConfig
from sweeps import table4
from sweeps.spec import Row, Sweep

THRESHOLDS = (0.0, 0.3, 0.5, 0.7, 0.9)
COARSE_FOR_FINE = 2
"""Few coarse images: soft labels of a scene take a megabyte."""


def rows(base: TrainingConfig) -> list[Row]:
    """One row a threshold, then soft labels."""
    teacher = base.replace(strategy="hierarchical", train_scales=(0.5, 1.0))
    count = base.data.train_images
    auto = ExtraData(
        labels="auto",
        teacher=teacher,
        scales=table4.SCALES,
        images=None if count is None else COARSE_FOR_FINE * count,
        probability=table4.PROBABILITY,
    )

    def row(name: str, label: str, extra: ExtraData) -> Row:
        return Row(
            name=name,
            label=label,
            training=teacher.replace(data=base.data.replace(extra=extra)),
            strategy="hierarchical",
            eval_scales=table4.SCALES,
        )

    hard = [
        row(f"t{each:g}", f"Threshold {each:g}", auto.replace(threshold=each))
        for each in THRESHOLDS
    ]
    return [*hard, row("soft", "Soft labels", auto.replace(labels="soft"))]


SWEEP = Sweep(
    name="thresholds",
    title="Threshold of auto-generated labels: coverage, accuracy and what students make of them",
    rows=rows,
    profiles={
        "quick": replace(
            table4.QUICK,
            summary="100 fine and 200 coarse street scenes, mini trunk; 7 minutes a seed on two "
            "CPU cores",
        ),
        "camvid": replace(
            table4.CAMVID,
            summary="CamVid, an eighth of its training images fine; two hours on two CPU cores",
        ),
    },
    baseline="t0.5",
    question="How sure must a teacher be of a pixel, and are its probabilities worth their bytes?",
)
