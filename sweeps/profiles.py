"""On what sweeps run: ``quick``, ``camvid``, ``mapillary`` and ``cityscapes``."""

from bench.config import (
    AugmentConfig,
    DataConfig,
    NetworkConfig,
    OptimConfig,
    Runtime,
    TrainingConfig,
)
from sweeps.spec import Profile

QUICK = Profile(
    summary="procedural street scenes, mini trunk; about 5 minutes on two CPU cores",
    base=TrainingConfig(
        data=DataConfig(dataset="streets", train_images=400, scene_size=(160, 320)),
        augment=AugmentConfig(crop=(128, 256), scale=(0.5, 2.2), color_jitter=0.0, blur=0.0),
        network=NetworkConfig(trunk="mini", width=48, rates=(2, 4, 8)),
        optim=OptimConfig(name="adamw", lr=3e-3, steps=680, batch_size=4, schedule="onecycle"),
    ),
    runtime=Runtime(cpus=1, checkpoint_seconds=15),
    split="test",
    eval_images=100,
)

CAMVID = Profile(
    summary="CamVid photographs, ImageNet EfficientNet-Lite0 trunk; an hour on two CPU cores",
    base=TrainingConfig(
        data=DataConfig(dataset="camvid"),
        augment=AugmentConfig(crop=(256, 320), color_jitter=0.2, blur=0.0),
        network=NetworkConfig(
            trunk="efficientnet_lite0",
            output_stride=16,
            width=64,
            rates=(3, 6, 9),
            pretrained=True,
        ),
        optim=OptimConfig(name="adamw", lr=1e-3, steps=600, batch_size=8, schedule="onecycle"),
        threads=2,
    ),
    runtime=Runtime(cpus=2, checkpoint_seconds=60),
    split="val",
    cost_rounds=5,
)

_ARTICLE_OPTIM = OptimConfig(
    name="sgd", lr=1e-2, steps=175_000, batch_size=16, schedule="poly", power=2.0
)
_ARTICLE_RUNTIME = Runtime(
    cpus=8, loader_workers=6, checkpoint_seconds=600, val_points=20, val_images=200
)

MAPILLARY = Profile(
    summary="Mapillary Vistas, ResNet-50 DeepLabV3+, the article's set-up; days on 8 GPUs each",
    base=TrainingConfig(
        data=DataConfig(dataset="mapillary"),
        augment=AugmentConfig(crop=(1024, 1024)),
        network=NetworkConfig(trunk="resnet50", pretrained=True),
        optim=_ARTICLE_OPTIM,
        devices=8,
    ),
    runtime=_ARTICLE_RUNTIME,
)

CITYSCAPES = Profile(
    summary="Cityscapes, ResNet-50 DeepLabV3+, the article's set-up; a day on 8 GPUs each",
    base=TrainingConfig(
        data=DataConfig(dataset="cityscapes"),
        augment=AugmentConfig(crop=(1024, 1024)),
        network=NetworkConfig(trunk="resnet50", pretrained=True),
        optim=_ARTICLE_OPTIM.replace(steps=65_000),
        devices=8,
    ),
    runtime=_ARTICLE_RUNTIME,
)
