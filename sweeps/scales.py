"""Which scales to evaluate over, once trained: the scale sets of averaging and of the hierarchy.

    python -m bench.sweep scales                                    # embedded data, two CPU cores
    python -m bench.sweep scales --profile camvid --data-root DIR   # real photographs

Ten rows come from two trainings, those of Table 3: a store that holds them trains nothing. The
article adds scale 0.25 to the hierarchy after training (51.6 to 52.2 on Mapillary Vistas val);
explicit attention is bound to the scales that it was trained with, so it has no row here.
"""

from bench.config import Scales, TrainingConfig
from sweeps import table3
from sweeps.profiles import CAMVID, CITYSCAPES, MAPILLARY
from sweeps.spec import Row, Sweep

AVGPOOL: tuple[Scales, ...] = ((0.5, 1.0), (1.0, 2.0), (0.5, 1.0, 2.0), (0.25, 0.5, 1.0, 2.0))
HIERARCHICAL: tuple[Scales, ...] = (*AVGPOOL, (0.5, 1.0, 1.5, 2.0))


def rows(base: TrainingConfig) -> list[Row]:
    """The baseline, then every scale set under averaging and under the hierarchy."""
    known = {row.name: row for row in table3.rows(base)}
    published = {
        (row.strategy, row.eval_scales): {"iou": row.published["iou"]} for row in known.values()
    }

    def over(like: Row, scales: Scales) -> Row:
        listed = "-".join(f"{scale:g}" for scale in scales)
        return Row(
            name=f"{like.strategy}-{listed}",
            label=like.label,
            training=like.training,
            strategy=like.strategy,
            eval_scales=scales,
            published=published.get((like.strategy, scales), {}),
        )

    return [
        over(known["single"], (1.0,)),
        *(over(known["avgpool"], scales) for scales in AVGPOOL),
        *(over(known["hierarchical"], scales) for scales in HIERARCHICAL),
    ]


SWEEP = Sweep(
    name="scales",
    title="Scale sets: mean IoU and evaluation cost",
    rows=rows,
    profiles={
        "quick": table3.QUICK,
        "camvid": CAMVID,
        "mapillary": MAPILLARY,
        "cityscapes": CITYSCAPES,
    },
    baseline="single-1",
    source=table3.SWEEP.source,
)
