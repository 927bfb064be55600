"""Loading for training: the same batches with any number of workers, and the kept class centres."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
import trees
from PIL import Image
from torchvision.transforms.v2 import functional as tv

from bench.config import AugmentConfig
from bench.datasets import open_dataset, transforms
from bench.datasets.centers import ClassCenters, cache_folder, cached_centers
from bench.datasets.files import PairedFiles
from bench.errors import BenchError
from bench.train import load_batches
from sweeps.table3 import SWEEP

BASE = SWEEP.profiles["quick"].base


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALEBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def vistas(tmp_path):
    return open_dataset("mapillary", "train", trees.vistas(tmp_path / "vistas", "mapillary"))


def batches(dataset, workers=0, start=0, class_uniform=0.5):
    config = BASE.replace(
        augment=AugmentConfig(crop=(8, 10), color_jitter=0.3, class_uniform=class_uniform),
        optim=BASE.optim.replace(steps=4, batch_size=3),
    )
    runtime = SWEEP.profiles["quick"].runtime.replace(loader_workers=workers)
    return list(load_batches(dataset, config, runtime, start))


def same(a, b):
    pairs = [pair for batches in zip(a, b, strict=True) for pair in zip(*batches, strict=True)]
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_do_not_depend_on_workers_nor_on_the_cache(vistas, workers, cache):
    expected = batches(vistas)
    assert len(expected) == 4 and expected[0][0].shape == (3, 3, 8, 10)
    for path in cache.iterdir():
        path.unlink()
    assert same(batches(vistas, workers), expected)
    assert same(batches(vistas, workers), expected), "with kept centres"
    assert same(batches(vistas, workers, start=2), expected[2:])


def test_kept_centres_are_those_that_were_found(vistas, cache):
    found = cached_centers(vistas, workers=0)
    direct = ClassCenters.of(sample.label for sample in vistas)
    for centers in (found, cached_centers(vistas, workers=0)):
        assert centers.images == direct.images == 3
        assert list(centers.places) == list(direct.places), "the order decides draws"
        for class_id, listed in direct.places.items():
            for (index, positions), (other, same_positions) in zip(
                listed, centers.places[class_id], strict=True
            ):
                assert index == other
                np.testing.assert_array_equal(positions, same_positions)
    assert len(list(cache.iterdir())) == 1


def test_labels_are_decoded_once_and_images_not_at_all(vistas, monkeypatch):
    reads = []
    original = PairedFiles.read_label

    def counted(dataset, index):
        reads.append(index)
        return original(dataset, index)

    monkeypatch.setattr(PairedFiles, "read_label", counted)
    monkeypatch.setattr(PairedFiles, "__getitem__", None)
    for _ in range(2):
        cached_centers(vistas, workers=0)
    assert reads == [0, 1, 2]


def test_no_labels_are_read_for_uniform_crops(vistas, monkeypatch, cache):
    monkeypatch.setattr("bench.train.cached_centers", None)
    assert len(batches(vistas, class_uniform=0)) == 4
    assert not cache.exists()


def test_changed_data_has_centres_of_its_own(tmp_path):
    root = trees.folder(tmp_path / "data")
    before = cached_centers(open_dataset("folder", "train", root), 0)
    trees.index_image(root / "train/labels/a.png", np.zeros((12, 16)))
    after = cached_centers(open_dataset("folder", "train", root), 0)
    assert sorted(index for index, _ in before.places[1]) == [0, 1, 2]
    assert sorted(index for index, _ in after.places[1]) == [1, 2]
    assert len(list(cache_folder().iterdir())) == 2


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "other", "misfit"])
def test_damaged_cache_is_built_again(vistas, cache, damage, caplog):
    expected = cached_centers(vistas, 0)
    path = next(cache.iterdir())
    content = path.read_bytes()
    if damage == "other":
        replace(expected, images=99).save(path)
    elif damage == "misfit":
        np.savez_compressed(path, images=3, entries=[[0, 0, 5]], positions=[[1, 1]])
    else:
        path.write_bytes({"truncated": content[:-50], "empty": b"", "text": b"no"}[damage])
    with caplog.at_level(logging.WARNING):
        again = cached_centers(vistas, 0)
    assert list(again.places) == list(expected.places)
    assert "built again" in caplog.text and str(path) in caplog.text
    caplog.clear()
    cached_centers(vistas, 0)
    assert not caplog.text


def test_a_cache_that_cannot_be_written_is_said(vistas, cache, caplog):
    cache.write_text("a file where the folder should be")
    assert cached_centers(vistas, 0).images == 3
    assert "can't be written" in caplog.text


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("part", ["images/t1-_Q.jpg", "labels/t1-_Q.png"])
def test_damage_met_by_a_worker_is_one_line(vistas, tmp_path, workers, part):
    path = tmp_path / "vistas/training" / part
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BenchError, match=rf"^{path}: cannot be read \(.*\): replace this file$"):
        batches(vistas, workers)


def test_large_images_are_cropped_before_they_are_resized(tmp_path, monkeypatch):
    sizes = []
    original = tv.resize

    def resize(picture, *arguments, **options):
        sizes.append(tuple(picture.shape[-2:]))
        return original(picture, *arguments, **options)

    monkeypatch.setattr(tv, "resize", resize)
    transform = transforms.TrainTransform((32, 48), (0.5, 2.0))
    image, label = np.zeros((600, 900, 3), np.uint8), np.zeros((600, 900), np.uint8)
    for seed in range(20):
        transform(image, label, np.random.default_rng(seed))
    assert max(height for height, _ in sizes) <= 64 and max(width for _, width in sizes) <= 96


def test_cached_samples_are_not_altered_by_crops(tmp_path):
    root = trees.folder(tmp_path / "data")
    Image.new("RGB", (16, 12), (90, 90, 90)).save(root / "train/images/a.JPG", quality=95)
    dataset = open_dataset("folder", "train", root)
    kept = [replace(sample) for sample in dataset]
    copies = [(sample.image.copy(), sample.label.copy()) for sample in kept]
    for seed in range(10):
        for sample in kept:
            transforms.TrainTransform((12, 16), (1, 1), blur=1)(
                sample.image, sample.label, np.random.default_rng(seed)
            )
    for sample, (image, label) in zip(kept, copies, strict=True):
        assert (sample.image == image).all() and (sample.label == label).all()
