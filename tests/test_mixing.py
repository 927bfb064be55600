"""Extra images in a training: which crop comes from where, and labels that are probabilities."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from teachers import SIZE, tiny_config

from bench.config import ExtraData, TrainingConfig
from bench.datasets import IGNORE_INDEX
from bench.datasets.centers import ClassCenters
from bench.datasets.label_folder import LabelFolder, write_manifest
from bench.datasets.mixing import MixedSampler, one_hot, open_extra
from bench.datasets.sampling import ClassUniformSampler
from bench.datasets.streets import COUNTS, Streets
from bench.datasets.transforms import TrainTransform
from bench.errors import BenchError
from bench.train import load_batches
from models.losses import cross_entropy, segmentation_loss
from models.multiscale import Prediction
from sweeps.table4 import SWEEP

RUNTIME = SWEEP.profiles["quick"].runtime


def student(**changes: object) -> TrainingConfig:
    config = tiny_config()
    extra = ExtraData(images=5, **changes)  # type: ignore[arg-type]
    return config.replace(
        data=config.data.replace(train_images=3, extra=extra),
        augment=config.augment.replace(crop=(16, 32)),
        optim=config.optim.replace(steps=6, batch_size=4),
    )


def sampler(images: int, steps: int = 10, rank: int = 0, world: int = 1) -> ClassUniformSampler:
    return ClassUniformSampler(
        ClassCenters(images, {}), 4, steps, seed=3, class_uniform=0.0, rank=rank, world=world
    )


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0])
def test_the_stated_share_of_crops_is_extra(probability: float) -> None:
    batches = list(MixedSampler(sampler(3), sampler(7), probability))
    draws = [draw for batch in batches for draw in batch]
    extra = [draw.index - 3 for draw in draws if draw.index >= 3]
    assert len(draws) == 40 and len(extra) == int(40 * probability)
    assert all(draw.index < 10 for draw in draws)
    if len(extra) >= 7:
        assert sorted(extra[:7]) == list(range(7)), "every image once before any comes again"


def test_a_mixed_batch_depends_on_its_step_alone() -> None:
    whole = MixedSampler(sampler(3), sampler(7), 0.5)
    later = sampler(3)
    later.start = 6
    assert list(MixedSampler(later, sampler(7), 0.5)) == list(whole)[6:]
    halves = [MixedSampler(sampler(3, 10, rank, 2), sampler(7), 0.5) for rank in (0, 1)]
    first, second = (list(half)[4] for half in halves)
    assert [first[0], second[0], first[1], second[1]] == whole.batch(4)


def test_coarse_truth_is_what_coarse_labels_are_made_of() -> None:
    coarse, truth = (Streets(split, count=3, size=SIZE) for split in ("coarse", "coarse-truth"))
    assert len(Streets("coarse-truth")) == COUNTS["coarse"]
    assert coarse.truth_split == truth.split and truth.truth_split is None
    for index in range(3):
        assert (coarse[index].image == truth[index].image).all()
        known = coarse[index].label != IGNORE_INDEX
        assert (coarse[index].label == truth[index].label)[known].all()
        assert 0 < known.sum() < known.size
        assert (truth[index].label != IGNORE_INDEX).all()


def test_coarse_images_are_trained_on() -> None:
    config = student(probability=0.5, class_uniform=0.5)
    dataset = Streets("train", count=3, size=SIZE)
    batches = list(load_batches(dataset, config, RUNTIME, start=0))
    labelled = torch.stack([labels != IGNORE_INDEX for _, labels in batches]).float()
    shares = labelled.mean((-1, -2)).mean(0)
    assert shares[[1, 3]].max() < shares[[0, 2]].min(), "every second crop is coarse"
    resumed = list(load_batches(dataset, config, RUNTIME, start=4))
    for one, other in zip(batches[4:], resumed, strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_labels_of_a_teacher_replace_those_of_the_data_set(tmp_path: Path) -> None:
    config = student(labels="auto", teacher=tiny_config())
    images = Streets("coarse", count=5, size=SIZE)
    folder = LabelFolder(tmp_path, images)
    for index in range(5):
        folder.write(images.sample_id(index), np.full(SIZE, index, np.uint8))
    with pytest.raises(BenchError, match="not finished"):
        open_extra(config.data, None, tmp_path)
    write_manifest(tmp_path, {"complete": True, "skipped": [{"reason": "a.png: broken"}]})
    with pytest.raises(BenchError, match=r"a\.png: broken"):
        open_extra(config.data, None, tmp_path)
    write_manifest(tmp_path, {"complete": True, "skipped": []})
    extra = open_extra(config.data, None, tmp_path)
    assert extra is not None
    for index in range(5):
        assert (extra[index].label == index).all()
        assert (extra[index].image == images[index].image).all()
    with pytest.raises(BenchError, match="run the sweep"):
        open_extra(config.data, None, None)


def test_soft_and_hard_labels_share_a_batch(tmp_path: Path) -> None:
    config = student(labels="soft", teacher=tiny_config(), class_uniform=0.5)
    images, classes = Streets("coarse", count=5, size=SIZE), len(Streets.classes)
    folder = LabelFolder(tmp_path, images, soft=True)
    for index in range(5):
        folder.write(images.sample_id(index), np.full((*SIZE, classes), 1 / classes, np.float16))
    write_manifest(tmp_path, {"complete": True, "skipped": []})
    runtime = RUNTIME.replace(labels=tmp_path)
    dataset = Streets("train", count=3, size=SIZE)
    _, labels = next(load_batches(dataset, config, runtime, start=0))
    assert labels.shape == (4, 16, 32, classes)
    tops = labels.amax((1, 2, 3))
    assert tops[[0, 2]].tolist() == [1, 1] and tops[[1, 3]].max() < 0.1


def test_certain_probabilities_cost_what_their_classes_do() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 6, 7, generator=generator, requires_grad=True)
    label = torch.randint(0, 5, (2, 6, 7), generator=generator)
    label[0, :3] = IGNORE_INDEX
    soft = one_hot(label, 5)
    hard_loss, soft_loss = cross_entropy(logits, label), cross_entropy(logits, soft)
    torch.testing.assert_close(hard_loss, soft_loss)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (hard_loss, soft_loss)]
    torch.testing.assert_close(*gradients)
    assert cross_entropy(logits, torch.zeros_like(soft)) == 0
    prediction = Prediction(logits, {1.0: logits}, {})
    torch.testing.assert_close(
        segmentation_loss(prediction, label, scale_weight=0.1),
        segmentation_loss(prediction, soft, scale_weight=0.1),
    )


def test_soft_crops_are_where_hard_ones_are() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    label = rng.integers(0, 5, SIZE, dtype=np.uint8)
    soft = one_hot(torch.from_numpy(label), 5).numpy()
    transform = TrainTransform((64, 96))  # larger than the image: the outside is ignored
    for seed in range(6):
        one, hard = transform(image, label, np.random.default_rng(seed))
        other, probabilities = transform(image, soft, np.random.default_rng(seed))
        assert torch.equal(one, other)
        assert torch.equal(one_hot(hard, 5), probabilities)


def test_every_field_of_extra_data_is_part_of_the_identity() -> None:
    base = student(labels="auto", teacher=tiny_config())
    assert base.data.extra
    changes = {
        "split": "coarse-truth",
        "images": 6,
        "labels": "soft",
        "teacher": tiny_config().replace(seed=9),
        "threshold": 0.7,
        "scales": (0.5, 1.0),
        "probability": 0.4,
        "class_uniform": 0.1,
    }
    assert set(changes) == set(ExtraData.model_fields)
    identities = {base.identity("x")}
    for field, value in changes.items():
        extra = base.data.extra.replace(**{field: value})
        identities.add(base.replace(data=base.data.replace(extra=extra)).identity("x"))
    assert len(identities) == len(changes) + 1
    assert TrainingConfig(**json.loads(base.model_dump_json())) == base


def test_wrong_extra_data_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="needs a teacher"):
        ExtraData(labels="auto")
    with pytest.raises(ValueError, match="takes no teacher"):
        ExtraData(labels="coarse", teacher=tiny_config())
    soft = student(labels="soft", teacher=tiny_config())
    with pytest.raises(ValueError, match="soft labels need loss 'cross_entropy'"):
        soft.replace(loss=soft.loss.replace(name="rmi"))


def test_a_seed_is_the_teachers_too() -> None:
    seeded = student(labels="auto", teacher=tiny_config()).with_seed(4)
    assert seeded.seed == 4 and seeded.teacher and seeded.teacher.seed == 4
