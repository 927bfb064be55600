"""Every loader, split and class map on trees in the layouts and encodings of the real data."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trees
from cityscapesscripts.helpers.labels import labels
from PIL import Image

from bench.data import main
from bench.datasets import DATASETS, DRAWN, IGNORE_INDEX, dataset_class, open_dataset
from bench.datasets.cityscapes import Cityscapes
from bench.datasets.reading import read_indices
from bench.errors import BenchError, MissingDataError
from bench.plan import make_plan
from sweeps.table3 import SWEEP

ON_DISK = [name for name in DATASETS if name not in DRAWN]


def stored(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


@pytest.mark.parametrize("name", ON_DISK)
def test_contract(name, tmp_path):
    root = trees.tree(name, tmp_path)
    prints = set()
    for split in ("train", "val"):
        dataset = open_dataset(name, split, root)
        assert dataset.name == name and dataset.split == split and dataset.labelled
        assert split in dataset_class(name).splits
        assert len(dataset.classes) == len(dataset.colors) == len(set(dataset.classes))
        assert dataset.thin and set(dataset.thin) < set(dataset.classes)
        samples = [dataset[index] for index in range(len(dataset))]
        assert [dataset.sample_id(i) for i in range(len(dataset))] == [each.id for each in samples]
        assert len({sample.id for sample in samples}) == len(samples)
        for index, sample in enumerate(samples):
            assert sample.image.dtype == sample.label.dtype == np.uint8
            assert sample.image.shape == (*sample.label.shape, 3)
            classes = sample.label[sample.label != IGNORE_INDEX]
            assert classes.size and classes.max() < len(dataset.classes)
            assert (dataset.read_label(index) == sample.label).all()
        assert dataset.fingerprint() == open_dataset(name, split, root).fingerprint()
        prints.add(dataset.fingerprint())
    assert len(prints) == 2


# Cityscapes


@pytest.fixture(scope="module")
def cityscapes(tmp_path_factory):
    return trees.cityscapes(tmp_path_factory.mktemp("cityscapes"))


def test_cityscapes_ids_are_those_of_cityscapesscripts(cityscapes):
    evaluated = sorted(
        (each for each in labels if 0 <= each.trainId < 255), key=lambda e: e.trainId
    )
    assert Cityscapes.classes == tuple(each.name for each in evaluated)
    assert Cityscapes.colors == tuple(each.color for each in evaluated)
    train_ids = {each.id: each.trainId for each in labels if each.id >= 0}
    for split in ("train", "coarse"):
        dataset = open_dataset("cityscapes", split, cityscapes)
        for index, pair in enumerate(dataset.pairs):
            expected = np.vectorize(train_ids.get)(stored(pair.label))
            assert (dataset.read_label(index) == expected).all()
    back = Cityscapes.encode(np.arange(256, dtype=np.uint8))
    assert back[:19].tolist() == [each.id for each in evaluated]
    assert (back[19:] == 0).all()


def test_cityscapes_label_paths_are_where_the_labels_are(cityscapes):
    for split in ("train", "val", "coarse"):
        dataset = open_dataset("cityscapes", split, cityscapes)
        for index, pair in enumerate(dataset.pairs):
            assert cityscapes / dataset.label_path(dataset.sample_id(index)) == pair.label


def test_labels_that_were_written_read_back(cityscapes, tmp_path):
    """Palette images in the data set's colours are index images."""
    dataset = open_dataset("cityscapes", "coarse", cityscapes)
    for index, pair in enumerate(dataset.pairs):
        train_ids = dataset.read_label(index)
        palette = np.zeros((256, 3))
        palette[dataset.encode(np.arange(19, dtype=np.uint8))] = dataset.colors
        path = tmp_path / "gtCoarse" / Path(*pair.label.parts[-3:])
        trees.index_image(path, dataset.encode(train_ids), palette)
        assert (dataset.decode_label(path) == train_ids).all()


def test_cityscapes_cross_validation(cityscapes):
    def cities(split: str) -> list[str]:
        dataset = open_dataset("cityscapes", split, cityscapes)
        return [dataset.sample_id(index).split("/")[1] for index in range(len(dataset))]

    assert cities("val_cv0") == cities("val") == trees.CITIES["val"]
    assert cities("val_cv1") == ["darmstadt", "dusseldorf", "erfurt"]
    assert cities("val_cv2") == ["monchengladbach", "strasbourg", "stuttgart"]
    everything = sorted(cities("trainval"))
    assert len(everything) == 21
    for fold in range(3):
        held_out, rest = cities(f"val_cv{fold}"), cities(f"train_cv{fold}")
        assert sorted(held_out + rest) == everything
    assert sorted(cities("train_cv0")) == sorted(cities("train")) == trees.TRAIN_CITIES


def test_cityscapes_packages_in_their_own_folders(cityscapes, tmp_path):
    own = trees.cityscapes(
        tmp_path, tmp_path / "leftImg8bit_trainvaltest", tmp_path / "gtFine_trainvaltest"
    )
    (tmp_path / "gtFine_trainvaltest/gtCoarse").rename(tmp_path / "gtCoarse")
    for split in ("train", "val", "coarse", "train_cv1"):
        a, b = (open_dataset("cityscapes", split, root) for root in (own, cityscapes))
        assert a.fingerprint() == b.fingerprint() and len(a)


@pytest.mark.parametrize("name", ["cityscapes", "mapillary", "mapillary2"])
def test_test_split_is_ignored_everywhere_and_not_trained_on(name, tmp_path):
    root = trees.tree(name, tmp_path)
    dataset = open_dataset(name, "test", root)
    assert not dataset.labelled and len(dataset) >= 2
    assert (dataset[0].label == IGNORE_INDEX).all() and dataset[0].image.any()
    with pytest.raises(BenchError, match="test has no labels"):
        dataset.read_label(0)
    base = SWEEP.profiles["quick"].base
    for change in ({"split": "test"}, {}):
        data = base.data.replace(dataset=name, train_images=None, scene_size=None, **change)
        profile = replace(
            SWEEP.profiles["quick"],
            base=base.replace(data=data),
            split="val" if change else "test",
        )
        made = replace(SWEEP, profiles={"quick": profile})
        with pytest.raises(BenchError, match=f"{name} test has no public labels.*such as val"):
            make_plan(made, data_root=root)


# Mapillary Vistas


@pytest.mark.parametrize(("name", "evaluated"), [("mapillary", 65), ("mapillary2", 123)])
def test_vistas_classes_come_from_the_config(name, evaluated, tmp_path):
    root = trees.vistas(tmp_path, name)
    dataset = open_dataset(name, "val", root)
    assert len(dataset.classes) == evaluated
    assert dataset.thin == ("Class 3", "Class 5")
    path = next(root.glob("config*.json"))
    config = json.loads(path.read_text())
    assert dataset.colors[7] == tuple(config["labels"][7]["color"])
    for index, pair in enumerate(dataset.pairs):
        raw = stored(pair.label)
        assert (dataset.read_label(index) == np.where(raw == evaluated, IGNORE_INDEX, raw)).all()
    config["labels"][4]["evaluate"] = False
    path.write_text(json.dumps(config))
    fewer = open_dataset(name, "val", root)
    assert len(fewer.classes) == evaluated - 1 and "Class 4" not in fewer.classes
    raw, label = stored(fewer.pairs[0].label), fewer.read_label(0)
    assert (label[raw == 4] == IGNORE_INDEX).all() and (label[raw == 5] == 4).all()
    assert fewer.fingerprint() != dataset.fingerprint()


def test_vistas_images_have_many_sizes(tmp_path):
    dataset = open_dataset("mapillary", "train", trees.vistas(tmp_path, "mapillary"))
    assert {sample.label.shape for sample in dataset} == {(12, 16), (20, 14), (9, 31)}


def test_both_versions_of_vistas_in_one_tree(tmp_path):
    """The 2.0 package holds the labels of 1.2 as well."""
    trees.vistas(tmp_path, "mapillary2")
    trees.vistas(tmp_path / "old", "mapillary")
    (tmp_path / "old/config.json").rename(tmp_path / "config_v1.2.json")
    for split in ("training", "validation"):
        place = tmp_path / split / "v1.2"
        place.mkdir()
        (tmp_path / "old" / split / "labels").rename(place / "labels")
    assert len(open_dataset("mapillary", "val", tmp_path).classes) == 65
    assert len(open_dataset("mapillary2", "val", tmp_path).classes) == 123


def test_200_megapixels_are_no_bomb(tmp_path):
    Image.new("L", (20_000, 10_000), 7).save(tmp_path / "a.png", compress_level=1)
    stored, palette = read_indices(tmp_path / "a.png")
    assert stored.shape == (10_000, 20_000) and stored[-1, -1] == 7 and palette is None


# Own folders


@pytest.mark.parametrize("labels", ["index", "palette", "color"])
def test_folder_reads_every_encoding_alike(labels, tmp_path):
    index = open_dataset("folder", "train", trees.folder(tmp_path / "a"))
    other = open_dataset("folder", "train", trees.folder(tmp_path / "b", labels))
    for a, b in zip(index, other, strict=True):
        assert (a.label == b.label).all() and a.id == b.id
    assert set(np.unique(index[0].label)) == {0, 1, 2, IGNORE_INDEX}
    assert other.thin == ("wire",) and other.colors[1] == (0, 20, 0)


def test_folder_ids_and_colours_may_be_left_out_or_given(tmp_path):
    root = trees.folder(tmp_path)
    classes = [{"name": "a", "id": 3}, {"name": "b", "id": 0}]
    (root / "classes.json").write_text(json.dumps({"classes": classes, "ignore": [1, 2]}))
    dataset = open_dataset("folder", "val", root)
    raw = stored(root / "val/labels/d.png")
    assert (dataset.read_label(0) == np.array([1, 255, 255, 0])[raw]).all()
    assert len(set(dataset.colors)) == 2


# The command


@pytest.mark.parametrize("name", ON_DISK)
def test_data_command_on_a_clean_tree(name, tmp_path, capsys):
    root = trees.tree(name, tmp_path / "tree")
    assert main([name, "--data-root", str(root), "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "no problems found" in text and "(thin)" in text and "ignored pixels" in text
    sheets = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert {f"{name}_train.jpg", f"{name}_val.jpg"} <= set(sheets)
    with Image.open(tmp_path / "out" / f"{name}_train.jpg") as sheet:
        assert sheet.width > 320 and len(sheet.getcolors(1 << 24)) > 50


def test_data_command_counts(tmp_path, capsys):
    root = trees.folder(tmp_path)
    (root / "val/images/d.JPG").unlink()
    ids = np.zeros(trees.SIZE)
    ids[:, :4], ids[0, 4] = 1, 3
    for name in "abc":
        trees.index_image(root / f"train/labels/{name}.png", ids if name == "a" else ids * 0)
    out = ["--out", str(tmp_path / "out")]
    assert main(["folder", "--data-root", str(root), "--split", "train", *out]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = {line.split()[0]: line.split() for line in lines if line}
    assert "3 samples, 3 read without a problem" in lines and "size: 16 x 12" in lines
    assert "ignored pixels: 0.17 %" in lines
    assert cells["wire"] == ["wire", "(thin)", "8.333", "1", "33.3"]
    assert cells["sky"] == ["sky", "absent", "0", "0.0"]


def test_data_command_lists_every_problem(tmp_path, capsys):
    root = trees.camvid(tmp_path)
    (root / "trainannot/a.png").unlink()
    (root / "train/b.png").write_bytes(b"")
    Image.new("L", (16, 9)).save(root / "trainannot/c.png")
    Image.new("L", (16, 12), 200).save(root / "valannot/d.png")
    assert main(["camvid", "--data-root", str(root), "--out", str(tmp_path / "out")]) == 2
    text = capsys.readouterr().out
    problems = [line for line in text.splitlines() if line.startswith("problem: ")]
    for wanted in ("train/a.png: has no label", "train/b.png: is no", "label of 16 x 9", "id 200"):
        assert any(wanted in line for line in problems), wanted
    assert len(problems) == 4 and "4 problems" in text


def test_data_command_without_data(tmp_path):
    with pytest.raises(MissingDataError, match="no such folder"):
        main(["camvid", "--data-root", str(tmp_path)])
    with pytest.raises(MissingDataError, match="no folder was named"):
        main(["cityscapes"])
    with pytest.raises(BenchError, match="--limit 0"):
        main(["streets", "--limit", "0"])
