"""Trunk x decoder under one strategy: which network, at what cost in time and memory.

    python -m bench.sweep trunks                                      # embedded data, two CPU cores
    python -m bench.sweep trunks --profile cityscapes --data-root DIR --address auto

All rows are hierarchical (0.5 and 1.0 in training; 0.5, 1.0 and 2.0 in evaluation) and share every
setting but the network. ``quick`` trains small trunks from scratch for a few steps: it shows what
they cost and that they run, not which is best. The GPU profiles start from timm's ImageNet
weights. For WiderResNet-38 and Xception-71, which timm lacks, a sweep of your own sets
``pretrained`` to the released file. The article states no numbers for this comparison.
"""

from dataclasses import replace

from bench.config import TrainingConfig
from sweeps.profiles import CITYSCAPES, MAPILLARY, QUICK
from sweeps.spec import Row, Sweep

SMALL = ("mini", "efficientnet_lite0", "resnet50")
LARGE = ("resnet50", "efficientnet_b4", "hrnet_w48")
DECODERS = ("deeplabv3plus", "ocr", "deeperlab")


def rows(base: TrainingConfig) -> list[Row]:
    """Every trunk with every decoder: small trunks where the profile's own is ``mini``."""
    hierarchical = base.replace(strategy="hierarchical", train_scales=(0.5, 1.0))
    return [
        Row(
            name=f"{trunk}-{decoder}",
            label=f"{trunk}, {decoder}",
            training=hierarchical.replace(
                network=base.network.replace(
                    trunk=trunk,
                    decoder=decoder,
                    rates=None if decoder == "ocr" else base.network.rates,
                )
            ),
            strategy="hierarchical",
            eval_scales=(0.5, 1.0, 2.0),
        )
        for trunk in (SMALL if base.network.trunk == "mini" else LARGE)
        for decoder in DECODERS
    ]


SHORT = replace(
    QUICK,
    summary="procedural street scenes, small trunks from scratch, few steps; "
    "about 7 minutes on two CPU cores",
    base=QUICK.base.replace(
        network=QUICK.base.network.replace(output_stride=16, rates=(1, 2, 4)),
        optim=QUICK.base.optim.replace(steps=120),
    ),
    eval_images=50,
    cost_rounds=3,
)

SWEEP = Sweep(
    name="trunks",
    title="Trunks and decoders under hierarchical attention: mean IoU, time and memory",
    rows=rows,
    profiles={"quick": SHORT, "mapillary": MAPILLARY, "cityscapes": CITYSCAPES},
    baseline="resnet50-deeplabv3plus",
    costs_of="trained",
)
