"""Data sets, transforms and sampling: what they promise, and what they say about bad input."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trees
from PIL import Image
from torch.utils.data import DataLoader

from bench.datasets import (
    DATASETS,
    IGNORE_INDEX,
    SegmentationDataset,
    check_label,
    coarsen,
    open_dataset,
)
from bench.datasets.camvid import CamVid
from bench.datasets.sampling import ClassCenters, ClassUniformSampler, CropDataset, Draw
from bench.datasets.streets import COUNTS, Streets
from bench.datasets.transforms import TrainTransform, normalize
from bench.errors import BenchError

PINNED = {
    ("train", 0, (160, 320)): "4ef82849cb83b678",
    ("val", 7, (160, 320)): "00877a7fe9a1a085",
    ("coarse", 3, (96, 200)): "1fc9a29c7e88418b",
}
"""Hashes of scenes; they change only together with `bench.datasets.streets.VERSION`."""


def scene_hash(split: str, index: int, size: tuple[int, int]) -> str:
    sample = Streets(split, size=size)[index]
    return hashlib.sha256(sample.image.tobytes() + sample.label.tobytes()).hexdigest()[:16]


# Streets


@pytest.mark.parametrize("key", PINNED)
def test_scene_is_pinned(key):
    assert scene_hash(*key) == PINNED[key]


def test_scene_is_the_same_in_another_process_and_order():
    code = (
        "import sys; sys.path.insert(0, 'tests');"
        "from test_datasets import scene_hash;"
        "print(scene_hash('val', 7, (160, 320)), scene_hash('train', 0, (160, 320)))"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.split() == [PINNED["val", 7, (160, 320)], PINNED["train", 0, (160, 320)]]


def test_streets_shapes_ids_and_sizes():
    for split, count in COUNTS.items():
        assert len(Streets(split)) == count
    assert COUNTS["coarse"] == 7 * COUNTS["train"]
    for size in ((16, 16), (97, 61), (256, 512)):
        sample = Streets("val", count=2, size=size)[1]
        assert sample.image.shape == (*size, 3) and sample.image.dtype == np.uint8
        assert sample.label.shape == size and sample.label.dtype == np.uint8
        assert sample.id == "val/000001"


def test_every_class_occurs_and_nothing_else():
    dataset = Streets("train", count=60)
    counts = sum(np.bincount(dataset[i].label.ravel(), minlength=256) for i in range(60))
    assert (counts[: len(dataset.classes)] > 0).all()
    assert counts[len(dataset.classes) :].sum() == 0
    assert set(dataset.thin) <= set(dataset.classes)
    assert len(set(dataset.colors)) == len(dataset.classes) >= 10


def test_splits_and_seeds_are_disjoint():
    datasets = [Streets(split, count=6) for split in COUNTS] + [Streets("train", 6, seed=1)]
    images = {dataset[i].image.tobytes() for dataset in datasets for i in range(6)}
    assert len(images) == 6 * len(datasets)
    assert len({dataset.fingerprint() for dataset in datasets}) == len(datasets)
    assert Streets("val").fingerprint() == Streets("val").fingerprint()


def test_poles_are_thin():
    pole = Streets.classes.index("pole")
    for i in range(10):
        label = Streets("train")[i].label
        clear = coarsen(label, radius=2)  # what is left is at least 5 pixels wide
        assert not (clear == pole).any()


def test_streets_index_out_of_range_ends_iteration():
    assert len(list(Streets("val", count=3, size=(32, 64)))) == 3
    with pytest.raises(IndexError):
        Streets("val", count=3)[3]


# Coarse labels


def test_coarsen_ignores_everything_near_another_class():
    label = np.zeros((20, 30), np.uint8)
    label[:, 10:] = 1
    label[5, 20] = 2
    coarse = coarsen(label, radius=2)
    assert (coarse[:, :8] == 0).all() and (coarse[:, 8:12] == IGNORE_INDEX).all()
    assert (coarse[3:8, 18:23] == IGNORE_INDEX).all()
    assert (coarse == IGNORE_INDEX).sum() == 4 * 20 + 25
    assert (coarsen(label, radius=0) == label).all()


def test_coarse_split_agrees_where_labelled_and_misses_thin_things(monkeypatch):
    coarse = Streets("coarse", count=8)
    rough = [coarse[i].label for i in range(8)]
    monkeypatch.setattr("bench.datasets.streets.coarsen", lambda label: label)
    fine = [coarse[i].label for i in range(8)]
    thin = [coarse.classes.index(name) for name in coarse.thin]
    for a, b in zip(rough, fine, strict=True):
        labelled = a != IGNORE_INDEX
        assert (a[labelled] == b[labelled]).all()
        assert 0.5 < labelled.mean() < 0.95
    before, after = (np.isin(np.stack(labels), thin).sum() for labels in (fine, rough))
    assert before > 1000 and after < 0.1 * before


# Opening, and bad input


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("street", "val"), {}, "unknown data set 'street': choose one of streets, camvid"),
        (("streets", "dev"), {}, "unknown split of streets 'dev': choose one of train, val"),
        (("streets", "val"), {"sizes": 3}, "unknown option of data set streets 'sizes'.*count"),
        (("streets", "val"), {"count": 0}, "count must be at least 1"),
        (("streets", "val"), {"size": (8, 99)}, "at least 16"),
        (("streets", "val", Path("/x")), {}, "leave out --data-root"),
        (("camvid", "val"), {}, "--data-root"),
        (("camvid", "dev", Path("/x")), {}, "choose one of train, val, test"),
        (("camvid", "val", Path("/no/where")), {}, "/no/where/val: no such folder.*--data-root"),
    ],
)
def test_bad_arguments(arguments, options, message):
    with pytest.raises(BenchError, match=message) as error:
        open_dataset(*arguments, **options)
    assert "\n" not in str(error.value)


def test_table_opens_what_it_names():
    assert set(DATASETS) == {
        "streets",
        "camvid",
        "cityscapes",
        "mapillary",
        "mapillary2",
        "folder",
    }
    assert open_dataset("streets", "val", count=4, size=(32, 64)).name == "streets"


def test_label_out_of_range_names_file_id_and_range():
    check_label(np.array([[0, 10, IGNORE_INDEX]], np.uint8), 11, "a.png")
    with pytest.raises(BenchError, match=r"a\.png: label id 11 .*0 to 10"):
        check_label(np.array([[0, 11]], np.uint8), 11, "a.png")


# CamVid


@pytest.fixture
def camvid(tmp_path):
    return trees.camvid(tmp_path)


def test_camvid_reads_png_and_jpeg(camvid):
    for split, ids in (("train", ["train/a", "train/b", "train/c"]), ("val", ["val/d", "val/e"])):
        dataset = open_dataset("camvid", split, camvid)
        samples = [dataset[i] for i in range(len(dataset))]
        assert [sample.id for sample in samples] == ids
        stored = np.array(Image.open(camvid / f"{split}annot" / f"{ids[0][-1]}.png"))
        assert (samples[0].label == np.where(stored == 11, IGNORE_INDEX, stored)).all()
        assert samples[0].image.shape == (12, 16, 3)
    stored = np.array(Image.open(camvid / "train/a.png"))
    assert (CamVid("train", camvid)[0].image == stored).all()


def test_camvid_list_chooses_files(camvid):
    before = CamVid("train", camvid).fingerprint()
    (camvid / "train.txt").write_text(
        "/SegNet/CamVid/train/c.png /SegNet/CamVid/trainannot/c.png\n\n/x/train/a.png y\n"
    )
    dataset = CamVid("train", camvid)
    assert [dataset[i].id for i in range(len(dataset))] == ["train/c", "train/a"]
    assert dataset.fingerprint() != before


@pytest.mark.skipif(
    "SCALEBENCH_CAMVID" not in os.environ, reason="SCALEBENCH_CAMVID names no folder"
)
def test_camvid_photographs():
    dataset = CamVid("val", Path(os.environ["SCALEBENCH_CAMVID"]))
    assert len(dataset) == 101
    assert dataset[0].image.shape == (360, 480, 3)


# Transforms


def cut(transform, image, label, seed=0, center=None):
    return transform(image, label, np.random.default_rng(seed), center)


def test_transform_is_decided_by_its_generator():
    sample = Streets("train")[0]
    transform = TrainTransform((64, 96), blur=0.5)
    crops = [cut(transform, sample.image, sample.label, seed) for seed in (1, 1, 2)]
    assert all(torch.equal(a, b) for a, b in zip(crops[0], crops[1], strict=True))
    assert not torch.equal(crops[0][0], crops[2][0])
    image, label = crops[0]
    assert image.shape == (3, 64, 96) and image.dtype == torch.uint8
    assert label.shape == (64, 96) and label.dtype == torch.int64


@pytest.mark.parametrize("seed", range(12))
def test_image_and_label_move_together_and_show_the_center(seed):
    """A square with a label of its own stays where the label says, at any scale and flip."""
    rng = np.random.default_rng(seed)
    row, column = int(rng.integers(5, 95)), int(rng.integers(5, 145))
    image, label = np.zeros((100, 150, 3), np.uint8), np.zeros((100, 150), np.uint8)
    image[row - 4 : row + 5, column - 4 : column + 5] = 255
    label[row - 4 : row + 5, column - 4 : column + 5] = 1
    transform = TrainTransform((48, 64), color_jitter=0, blur=0)
    crop, target = cut(transform, image, label, seed, (row, column))
    bright, marked = crop[0] > 200, target == 1
    assert marked.any()
    assert (bright & marked).sum() > 0.6 * marked.sum()
    inside = target != IGNORE_INDEX
    assert ((crop[0] > 128) & inside & ~marked).sum() <= 0.3 * marked.sum()


def test_identity_scale_is_an_exact_crop_and_flip():
    sample = Streets("train", size=(64, 96))[1]
    plain = TrainTransform((64, 96), (1, 1), flip=0, color_jitter=0, blur=0)
    image, label = cut(plain, sample.image, sample.label)
    assert (image.permute(1, 2, 0).numpy() == sample.image).all()
    assert (label.numpy() == sample.label).all()
    flipped, _ = cut(TrainTransform((64, 96), (1, 1), 1, 0, 0), sample.image, sample.label)
    assert torch.equal(flipped, image.flip(-1))


def test_outside_of_the_image_is_mean_colour_and_ignored():
    image, label = np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.uint8)
    plain = TrainTransform((40, 50), (1, 1), flip=0, color_jitter=0, blur=0)
    crop, target = cut(plain, image, label)
    outside = target == IGNORE_INDEX
    assert outside.sum() == 40 * 50 - 20 * 30
    assert crop.permute(1, 2, 0)[outside].unique(dim=0).tolist() == [[124, 116, 104]]
    assert (crop.permute(1, 2, 0)[~outside] == 0).all()


def test_color_jitter_changes_colours_only():
    sample = Streets("train", size=(64, 96))[1]
    image, label = cut(TrainTransform((64, 96), (1, 1), 0, 0.4, 1), sample.image, sample.label)
    assert (image.permute(1, 2, 0).numpy() != sample.image).mean() > 0.5
    assert (label.numpy() == sample.label).all()


def test_normalize():
    out = normalize(torch.tensor([124, 116, 104], dtype=torch.uint8).view(1, 3, 1, 1))
    assert out.dtype == torch.float32 and out.abs().max() < 0.01
    white = normalize(torch.full((2, 3, 4, 5), 255, dtype=torch.uint8))
    torch.testing.assert_close(white[0, 0, 0, 0].item(), (1 - 0.485) / 0.229)


# Sampling


@pytest.fixture(scope="module")
def streets() -> SegmentationDataset:
    return Streets("train", count=12, size=(48, 96))


@pytest.fixture(scope="module")
def centers(streets) -> ClassCenters:
    return ClassCenters.of(streets[i].label for i in range(len(streets)))


def test_centers_lie_on_their_class(streets, centers):
    assert centers.images == 12
    for class_id, images in centers.places.items():
        for index, positions in images:
            assert 1 <= len(positions) <= 16
            assert (streets[index].label[tuple(positions.T)] == class_id).all()


def test_centers_leave_out_ignored_pixels():
    label = np.array([[IGNORE_INDEX, 3]], np.uint8)
    assert list(ClassCenters.of([label]).places) == [3]
    nothing = ClassCenters.of([np.full((2, 2), IGNORE_INDEX, np.uint8)])
    assert all(d.center is None for d in ClassUniformSampler(nothing, 4, 2).batch(0))
    with pytest.raises(BenchError, match="no image"):
        ClassCenters.of([])


def test_batches_depend_on_seed_and_step_only(centers):
    whole = list(ClassUniformSampler(centers, 6, 20, seed=3))
    rest = ClassUniformSampler(centers, 6, 20, seed=3, start=13)
    assert len(whole) == 20 and len(rest) == 7 and list(rest) == whole[13:]
    assert whole == list(ClassUniformSampler(centers, 6, 20, seed=3))
    assert whole != list(ClassUniformSampler(centers, 6, 20, seed=4))
    assert len({draw.seed for batch in whole for draw in batch}) == 120
    parts = [list(ClassUniformSampler(centers, 6, 20, 3, rank=r, world=2)) for r in (0, 1)]
    for batch, even, odd in zip(whole, *parts, strict=True):
        assert batch[::2] == even and batch[1::2] == odd


def test_uniform_draws_take_every_image_once_an_epoch(centers):
    draws = [d for b in ClassUniformSampler(centers, 4, 24, class_uniform=0.5) for d in b]
    uniform = [draw.index for draw in draws if draw.center is None]
    assert len(uniform) == 48
    for start in range(0, 48, 12):
        assert sorted(uniform[start : start + 12]) == list(range(12))


def test_centred_draws_are_uniform_over_classes(streets, centers):
    draws = [d for b in ClassUniformSampler(centers, 8, 300) for d in b if d.center]
    assert len(draws) == 1200
    labels = [streets[i].label for i in range(len(streets))]
    counts = np.bincount([labels[d.index][d.center] for d in draws])
    expected = 1200 / len(centers.places)
    assert (np.abs(counts[counts > 0] - expected) < 5 * expected**0.5).all()
    assert (counts > 0).sum() == len(centers.places)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 3, "world": 2}, "multiple of 2"),
        ({"batch_size": 0}, "batch size 0"),
        ({"batch_size": 2, "class_uniform": 1.5}, "class_uniform 1.5"),
    ],
)
def test_sampler_rejects(centers, options, message):
    with pytest.raises(BenchError, match=message):
        ClassUniformSampler(centers, steps=1, **options)


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_workers(streets, centers, workers):
    def batches(count: int, cache: int) -> list[list[torch.Tensor]]:
        crops = CropDataset(streets, TrainTransform((32, 48), blur=0.5), cache)
        sampler = ClassUniformSampler(centers, 4, 4, seed=5)
        return list(DataLoader(crops, batch_sampler=sampler, num_workers=count))

    expected = batches(0, 2**20)
    assert expected[0][0].shape == (4, 3, 32, 48) and expected[0][1].shape == (4, 32, 48)
    for want, got in zip(expected, batches(workers, 0), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(want, got, strict=True))


def test_cache_decodes_once_what_fits(streets):
    class Counting:
        reads = 0

        def __len__(self):
            return len(streets)

        def __getitem__(self, index):
            Counting.reads += 1
            return streets[index]

    size = 48 * 96 * 4
    crops = CropDataset(Counting(), TrainTransform((16, 16)), cache_bytes=2 * size)
    for _ in range(5):
        for index in (0, 1, 2):
            crops[Draw(index, None, 0)]
    assert Counting.reads == 2 + 5 and len(crops) == 12
