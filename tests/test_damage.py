"""Damaged data: every kind gives one clear line that names the file, what is wrong and the mend."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trees
from PIL import Image

from bench.data import main
from bench.datasets import open_dataset
from bench.errors import BenchError, run_main

Damage = Callable[[Path], object]
KINDS: dict[str, tuple[str, Damage, str]] = {}
"""Kind of damage: the data set, what is done to its tree, the message."""


def kind(dataset: str, message: str) -> Callable[[Damage], Damage]:
    def add(damage: Damage) -> Damage:
        KINDS[f"{dataset}-{damage.__name__}"] = (dataset, damage, message)
        return damage

    return add


def first(root: Path, pattern: str) -> Path:
    return sorted(root.glob(pattern))[0]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def edit(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


CITY_IMAGE = "leftImg8bit/train/aachen/*_leftImg8bit.png"
CITY_LABEL = "gtFine/train/aachen/*_labelIds.png"


# Files that can't be read


@kind("mapillary", r"images/t0-_Q\.jpg: cannot be read \(image file is truncated.*: replace")
def truncated_jpeg(root):
    cut(root / "training/images/t0-_Q.jpg")


@kind("cityscapes", r"_leftImg8bit\.png: cannot be read .*: replace this file")
def truncated_png(root):
    cut(first(root, CITY_IMAGE))


@kind("camvid", r"trainannot/a\.png: cannot be read .*: replace this file")
def truncated_label(root):
    cut(root / "trainannot/a.png")


@kind("camvid", r"train/a\.png: is no image: replace this file")
def zero_bytes(root):
    (root / "train/a.png").write_bytes(b"")


@kind("folder", r"labels/a\.png: is no image: replace this file")
def text_in_place_of_a_label(root):
    (root / "train/labels/a.png").write_text("no image")


@kind("cityscapes", r"_leftImg8bit\.png: cannot be read \(Is a directory\): replace")
def folder_in_place_of_an_image(root):
    path = first(root, CITY_IMAGE)
    path.unlink()
    path.mkdir()


@kind("camvid", r"train/a\.png: No such file.*: put the file back")
def dangling_link(root):
    (root / "train/a.png").unlink()
    (root / "train/a.png").symlink_to("gone.png")


# Labels that are not what they should be


@kind("cityscapes", r"labelIds\.png: label of 9 x 12 pixels, but .* has 16 x 12: make them")
def label_of_another_size(root):
    Image.new("L", (9, 12)).save(first(root, CITY_LABEL))


@kind("cityscapes", r"labelIds\.png: a colour image where class ids are due: store ids as 8-bit")
def colours_where_ids_are_due(root):
    Image.new("RGBA", (16, 12)).save(first(root, CITY_LABEL))


@kind("camvid", r"a\.png: a colour image where class ids are due: store ids as 8-bit greyscale")
def rgb_where_ids_are_due(root):
    Image.new("RGB", (16, 12)).save(root / "trainannot/a.png")


@kind("cityscapes", r"labelIds\.png: a palette image .* index \d+ has not the colour of .*: store")
def palette_where_ids_are_due(root):
    trees.index_image(
        first(root, CITY_LABEL), np.full(trees.SIZE, 7), np.arange(768).reshape(256, 3) % 251
    )


@kind("folder", r"a\.png: a palette image .* index 1 has not the colour of wire: store ids")
def quantised_colours(root):
    Image.new("RGB", (16, 12), (200, 0, 0)).save(root / "x.png")
    picture = Image.open(root / "x.png").quantize(4)
    trees.index_image(
        root / "train/labels/a.png", np.ones(trees.SIZE), np.array([picture.getpalette()[:3]] * 4)
    )


@kind("cityscapes", r"labelIds\.png: a 16-bit image where class ids are due: store ids as 8-bit")
def label_of_16_bits(root):
    Image.fromarray(np.full(trees.SIZE, 300, np.uint16)).save(first(root, CITY_LABEL))


@kind("folder", r"a\.png: a black and white image where class ids are due: store ids as 8-bit")
def label_of_one_bit(root):
    Image.new("1", (16, 12), 1).save(root / "train/labels/a.png")


@kind("camvid", r"a\.png: label id 77 is out of range: allowed are 0 to 11, 255; map the label")
def id_out_of_range(root):
    Image.new("L", (16, 12), 77).save(root / "trainannot/a.png")


@kind("cityscapes", r"labelIds\.png: label id 255 is out of range: allowed are 0 to 33; map")
def train_ids_in_place_of_label_ids(root):
    Image.new("L", (16, 12), 255).save(first(root, CITY_LABEL))


@kind("mapillary", r"t0-_Q\.png: label id 66 is out of range: allowed are 0 to 65; map the label")
def label_of_another_version(root):
    trees.index_image(root / "training/labels/t0-_Q.png", np.full(trees.SIZE, 66))


# Pairs, splits and folders


@kind("cityscapes", r"_leftImg8bit\.png: has no label: add it, or remove this file")
def missing_label(root):
    first(root, CITY_LABEL).unlink()


@kind("mapillary2", r"v2\.0/labels/t1-_Q\.png: has no image: add it, or remove this file")
def missing_image(root):
    (root / "training/images/t1-_Q.jpg").unlink()


@kind("camvid", r"train/a\.png: has no label: .* \(1 more such: python -m bench\.data camvid")
def several_missing_labels(root):
    for name in "ab":
        (root / f"trainannot/{name}.png").unlink()


@kind("camvid", r"train\.txt: names z, but it is not in both train and trainannot: add it, or")
def list_of_other_files(root):
    (root / "train.txt").write_text("z.png\n")


@kind("camvid", r"train\.txt: names no image: fill it, or remove it")
def empty_list(root):
    (root / "train.txt").write_text("\n")


@kind("folder", r"train/images: holds no \.jpe?g or .* file: a data folder has SPLIT/images")
def empty_split(root):
    for path in (root / "train/images").iterdir():
        path.unlink()


@kind("cityscapes", r"leftImg8bit/train: holds no CITY/NAME_leftImg8bit\.png file: add them")
def empty_cities(root):
    for path in (root / "leftImg8bit/train").glob("*/*"):
        path.unlink()


@kind("cityscapes", r"gtFine/train: no such folder, nor .*gtFine\*/gtFine/train: --data-root is")
def no_labels_at_all(root):
    (root / "gtFine").rename(root / "elsewhere")


@kind("camvid", r"/train: no such folder: camvid has the folders .* is --data-root right\?")
def no_such_split(root):
    (root / "train").rename(root / "elsewhere")


@kind("folder", r"images/a\.png: a\.JPG has the same name: keep one of the two")
def two_images_of_one_name(root):
    Image.new("RGB", (16, 12)).save(root / "train/images/a.png")


# Class lists


@kind("mapillary", r"config\.json: is not JSON \(.*line 1.*\): take the file that came with")
def config_is_not_json(root):
    (root / "config.json").write_text("{labels: []")


@kind("mapillary", r"config\.json: labels: Field required: take the file that came with the data")
def config_without_labels(root):
    edit(root / "config.json", lambda content: content.pop("labels"))


@kind("mapillary", r"config\.json: labels\.2\.color: Field required: take the file")
def config_label_without_color(root):
    edit(root / "config.json", lambda content: content["labels"][2].pop("color"))


@kind("mapillary2", r"config_v2\.0\.json: class name 'nature--1' is given twice: give each")
def class_name_twice_in_config(root):
    def twice(content):
        content["labels"][2]["name"] = "nature--1"

    edit(root / "config_v2.0.json", twice)


@kind("mapillary", r"config\.json: marks no label with evaluate: take the original file")
def config_evaluates_nothing(root):
    def none(content):
        for label in content["labels"]:
            label["evaluate"] = False

    edit(root / "config.json", none)


@kind("mapillary", r"config_v1\.2\.json: not there, nor config\.json: mapillary is Vistas 1\.2:")
def config_of_another_version(root):
    (root / "config.json").rename(root / "config_v2.0.json")


@kind("folder", r"classes\.json: can't be read \(No such file.*\): bench/datasets/folder\.py shows")
def no_class_list(root):
    (root / "classes.json").unlink()


@kind("folder", r"classes\.json: class name 'sky' is given twice: give each its own")
def class_name_twice(root):
    edit(root / "classes.json", lambda content: content["classes"][0].update(name="sky"))


@kind("folder", r"classes\.json: id 1 is given twice: give each its own")
def id_twice(root):
    edit(root / "classes.json", lambda content: content["classes"][0].update(id=1))


@kind("folder", r"classes\.json: classes\.0\.colour: Extra inputs are not permitted: bench/")
def misspelt_key(root):
    edit(root / "classes.json", lambda content: content["classes"][0].update(colour=[1, 2, 3]))


@kind("folder", r"classes\.json: ignore: \(9, 9, 9\) does not fit labels 'index': give an id")
def colour_where_an_id_is_ignored(root):
    edit(root / "classes.json", lambda content: content.update(ignore=[[9, 9, 9]]))


@kind("folder", r"classes\.json: class 'wire' has no color: with color labels each needs one")
def colour_labels_without_colours(root):
    edit(root / "classes.json", lambda content: content.update(labels="color", ignore=[]))
    edit(root / "classes.json", lambda content: content["classes"][1].pop("color"))


@kind("folder", r"a\.png: colour \[1, 2, 3\] is no class's: add it to a class or to ignore")
def unknown_colour(root):
    edit(root / "classes.json", lambda content: content.update(labels="color", ignore=[]))
    Image.new("RGB", (16, 12), (1, 2, 3)).save(root / "train/labels/a.png")


def read_everything(dataset, root):
    opened = open_dataset(dataset, "train", root)
    opened.fingerprint()
    list(opened)


@pytest.mark.parametrize("name", KINDS)
def test_damage_gives_one_clear_line(name, tmp_path):
    dataset, damage, message = KINDS[name]
    root = trees.tree(dataset, tmp_path)
    damage(root)
    with pytest.raises(BenchError, match=message) as error:
        read_everything(dataset, root)
    line = str(error.value)
    assert "\n" not in line and str(root) in line


def test_there_are_twenty_kinds():
    assert len(KINDS) >= 20


def test_data_command_says_the_same_line(tmp_path, capsys):
    dataset, damage, _ = KINDS["mapillary-truncated_jpeg"]
    root = trees.tree(dataset, tmp_path)
    damage(root)
    command = [dataset, "--data-root", str(root), "--out", str(tmp_path / "out")]
    assert run_main(main, command) == 2
    assert "t0-_Q.jpg: cannot be read" in capsys.readouterr().out
    (root / "config.json").unlink()
    assert run_main(main, command) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "Vistas 1.2" in error


@pytest.mark.parametrize("part", ["train/images/a.JPG", "train/labels/a.png", "classes.json"])
def test_files_that_may_not_be_read(part, tmp_path, monkeypatch):
    """As the system refuses them; the superuser, who may read everything, runs tests as well."""
    root = trees.folder(tmp_path)
    refused = root / part
    refused.chmod(0)
    if os.access(refused, os.R_OK):
        refuse(monkeypatch, refused)
    with pytest.raises(BenchError, match=r"may not be read: give this user|Permission denied"):
        list(open_dataset("folder", "train", root))


def refuse(monkeypatch, refused):
    def guard(owner, name):
        original = getattr(owner, name)

        def guarded(path, *arguments, **options):
            if Path(path) == refused:
                raise PermissionError(13, "Permission denied", str(path))
            return original(path, *arguments, **options)

        monkeypatch.setattr(owner, name, guarded)

    guard(Image, "open")
    guard(Path, "read_text")
