"""Labels of a teacher: what is written, resumption, kills, and what is said about bad input."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from teachers import SIZE, write_images, write_teacher
from tiny import command, environment

from bench.autolabel import main
from bench.datasets import IGNORE_INDEX
from bench.datasets.cityscapes import Cityscapes
from bench.datasets.label_folder import LabelFolder
from bench.datasets.streets import Streets
from bench.errors import BenchError, run_main
from bench.labels import labelling
from bench.labels.labelling import make_label
from bench.labels.storage import storage_lines, storage_report

IMAGES = 6


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("teacher") / "model.pt")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images", IMAGES)


def arguments(teacher: Path, images: object, out: Path, *more: object) -> list[str]:
    listed = ("--checkpoint", teacher, "--images", images, "--out", out, "--device", "cpu", *more)
    return [str(each) for each in listed]


def failing_line(capsys: pytest.CaptureFixture[str], *listed: str) -> str:
    assert run_main(main, list(listed)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def label_files(out: Path) -> dict[str, Path]:
    return {path.relative_to(out).as_posix(): path for path in sorted(out.rglob("*.png"))}


def test_a_pixel_is_labelled_if_its_top_class_is_more_probable_than_the_threshold() -> None:
    even, surer = torch.tensor([0.0, 0.0]), torch.tensor([0.1, 0.0])
    logits = torch.stack([even, surer], 1)[:, None]
    assert make_label(logits, 0.0).tolist() == [[0, 0]]
    assert make_label(logits, 0.5).tolist() == [[IGNORE_INDEX, 0]]
    assert make_label(logits, 0.9).tolist() == [[IGNORE_INDEX, IGNORE_INDEX]]
    assert make_label(logits, None) == pytest.approx(logits.softmax(0).permute(1, 2, 0), abs=1e-3)


def test_labels_of_a_folder(
    teacher: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "labels"
    assert run_main(main, arguments(teacher, images, out)) == 0
    shown = capsys.readouterr().out
    assert "published: 600 MB" in shown
    assert "published: 2 TB" in shown
    files = label_files(out)
    assert sorted(files)[:2] == ["00.png", "02.png"]
    assert "deep/01.png" in files and len(files) == IMAGES
    manifest = json.loads((out / "manifest.json").read_text())
    counts = np.zeros(256, np.int64)
    for path in files.values():
        with Image.open(path) as label:
            assert label.mode == "P" and label.size == SIZE[::-1]
            counts += np.bincount(np.array(label).ravel(), minlength=256)
    named = {name: counts[i] for i, name in enumerate(Streets.classes)}
    assert manifest["pixels"] == {**named, "ignored": counts[IGNORE_INDEX]}
    assert 0 < counts[IGNORE_INDEX] < counts.sum()
    assert manifest["coverage"] == pytest.approx(1 - counts[IGNORE_INDEX] / counts.sum())
    assert manifest["bytes"] == sum(path.stat().st_size for path in files.values())
    assert manifest["skipped"] == [] and manifest["complete"]
    assert manifest["recipe"]["scales"] == [0.5, 1, 2]


def test_only_what_is_missing_is_labelled(
    teacher: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "labels"
    run_main(main, arguments(teacher, images, out))
    before = {name: path.read_bytes() for name, path in label_files(out).items()}
    manifest = (out / "manifest.json").read_bytes()
    (out / "02.png").unlink()
    leftover = out / ".02.png.0.partial"
    leftover.write_bytes(before["02.png"][:50])
    predicted = []
    predict = labelling.predict
    monkeypatch.setattr(labelling, "predict", lambda *a: (predicted.append(1), predict(*a))[1])
    assert run_main(main, arguments(teacher, images, out)) == 0
    assert len(predicted) == 1
    assert not leftover.exists()
    assert {name: path.read_bytes() for name, path in label_files(out).items()} == before
    assert (out / "manifest.json").read_bytes() == manifest


def test_a_killed_labelling_goes_on(teacher: Path, tmp_path: Path) -> None:
    """``kill -9`` once a label is there: every label is whole and stays, the others are added."""
    images, out = write_images(tmp_path / "images", 60), tmp_path / "labels"
    listed = command(*arguments(teacher, images, out), module="bench.autolabel")
    process = subprocess.Popen(listed, env=environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not label_files(out):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    left = {name: path.stat().st_mtime_ns for name, path in label_files(out).items()}
    assert 0 < len(left) < 60
    for path in label_files(out).values():
        assert np.array(Image.open(path)).shape == SIZE
    assert not json.loads((out / "manifest.json").read_text())["complete"]
    assert run_main(main, arguments(teacher, images, out)) == 0
    whole = tmp_path / "whole"
    assert run_main(main, arguments(teacher, images, whole)) == 0
    after = {name: path.stat().st_mtime_ns for name, path in label_files(out).items()}
    assert left.items() <= after.items() and len(after) == 60
    first, second = (json.loads((f / "manifest.json").read_text()) for f in (out, whole))
    assert first == second


def test_bad_images_are_skipped_listed_and_done_later(
    teacher: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, broken = tmp_path / "labels", images / "00.png"
    good = broken.read_bytes()
    broken.write_bytes(good[:40])
    assert run_main(main, arguments(teacher, images, out)) == 1
    assert str(broken) in capsys.readouterr().err
    manifest = json.loads((out / "manifest.json").read_text())
    assert [each["image"] for each in manifest["skipped"]] == ["00"]
    assert manifest["labelled"] == len(label_files(out)) == IMAGES - 1
    broken.write_bytes(good)
    assert run_main(main, arguments(teacher, images, out)) == 0
    assert len(label_files(out)) == IMAGES


def test_bad_input_gets_one_line(
    teacher: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "labels"
    empty, unreadable, full = tmp_path / "empty", tmp_path / "unreadable", tmp_path / "full"
    for folder in (empty, unreadable, full):
        folder.mkdir()
    (unreadable / "a.png").write_bytes(b"no image")
    (full / "notes.txt").touch()
    (tmp_path / "other.pt").write_bytes(b"no network")
    cases = {
        (teacher, empty, out): "holds no image",
        (teacher, tmp_path / "nowhere", out): "no such folder of images",
        (teacher, unreadable, out): "no image could be labelled",
        (teacher, images, full): "holds other files than labels",
        (teacher, images, out, "--threshold", 1.5): "below 1",
        (teacher, images, out, "--scales", "0.5,2"): "lack 1.0",
        (teacher, images, out, "--scales", "a,1"): "--scales",
        (teacher, images, out, "--workers", 0): "at least 1",
        (tmp_path / "other.pt", images, out): "other.pt",
        (teacher, "camvid", out): "--data-root",
        (teacher, "streets", out, "--split", "fine"): "unknown split",
    }
    for listed, said in cases.items():
        assert said in failing_line(capsys, *arguments(*listed)), listed


def test_labels_of_two_kinds_do_not_mix(
    teacher: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "labels"
    assert run_main(main, arguments(teacher, images, out)) == 0
    capsys.readouterr()
    assert "threshold 0.5, not 0.7" in failing_line(
        capsys, *arguments(teacher, images, out, "--threshold", 0.7)
    )
    other = write_teacher(tmp_path / "other.pt", seed=1)
    assert "labels of teacher" in failing_line(capsys, *arguments(other, images, out))
    assert run_main(main, arguments(teacher, images, out)) == 0, "and these are untouched"


def test_a_teacher_of_another_data_set_is_refused(
    tmp_path: Path, teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "camvid"
    for name in ("train", "trainannot"):
        (root / name).mkdir(parents=True)
    for index in range(2):
        Image.new("RGB", (64, 48)).save(root / "train" / f"{index}.png")
        Image.new("L", (64, 48)).save(root / "trainannot" / f"{index}.png")
    line = failing_line(
        capsys, *arguments(teacher, "camvid", tmp_path / "labels", "--data-root", root)
    )
    assert "data set camvid has 11" in line and "take the data set that it was trained on" in line
    fitting = write_teacher(tmp_path / "camvid.pt", "camvid")
    out = tmp_path / "labels"
    assert run_main(main, arguments(fitting, "camvid", out, "--data-root", root)) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert list(label_files(out)) == ["coarse/1.png"], "the first image is in the fine split"
    assert manifest["own_coverage"] == 1 and 0 <= manifest["accuracy"] <= 1


def test_cityscapes_labels_replace_the_coarse_ones(tmp_path: Path) -> None:
    classes = len(Cityscapes.classes)
    label = np.arange(64 * 32, dtype=np.uint8).reshape(32, 64) % (classes + 1)
    label[label == classes] = IGNORE_INDEX
    described = SimpleNamespace(
        classes=Cityscapes.classes,
        colors=Cityscapes.colors,
        encode=Cityscapes.encode,
        label_path=Cityscapes.label_path,
    )
    folder = LabelFolder(tmp_path, described)  # type: ignore[arg-type]
    name = "train_extra/ulm/ulm_000000_000019"
    folder.write(name, label)
    assert (folder.read(name) == label).all()
    image = tmp_path / "leftImg8bit" / "train_extra" / "ulm"
    image.mkdir(parents=True)
    Image.new("RGB", (64, 32)).save(image / "ulm_000000_000019_leftImg8bit.png")
    sample = Cityscapes("coarse", tmp_path)[0]
    assert sample.id == name
    assert (sample.label == label).all(), "the data set reads them as its own"


def test_soft_labels_are_probabilities(tmp_path: Path) -> None:
    streets = Streets("coarse", count=1, size=SIZE)
    folder = LabelFolder(tmp_path, streets, soft=True)
    probabilities = torch.rand(*SIZE, 11).softmax(-1).numpy()
    assert folder.write("a", probabilities) >= SIZE[0] * SIZE[1] * 11 * 2
    assert folder.read("a").dtype == np.float16
    assert folder.read("a") == pytest.approx(probabilities, abs=1e-3)


def test_a_damaged_label_gets_one_line(tmp_path: Path) -> None:
    streets = Streets("coarse", count=1, size=SIZE)
    folder = LabelFolder(tmp_path, streets)
    folder.write("a", np.zeros(SIZE, np.uint8))
    whole = folder.file("a").read_bytes()
    folder.file("a").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BenchError, match=r"a\.png can't be read.*delete it"):
        folder.read("a")
    Image.fromarray(np.full(SIZE, 77, np.uint8)).save(folder.file("a"))
    with pytest.raises(BenchError, match="label id 77"):
        folder.read("a")


def test_storage_is_that_of_the_article_for_its_images() -> None:
    pixels = 10 * 1080 * 1920
    report = storage_report(10 * 30_000, 10, pixels, 19, soft=False)
    assert report["article_hard_bytes"] == pytest.approx([600e6, 600e6])
    assert report["soft_bytes"] == 1080 * 1920 * 19 * 2
    assert report["article_soft_bytes"][0] == 20_000 * 78_796_800
    assert storage_report(10, 10, pixels // 4, 19, soft=False)["article_hard_bytes"] == (
        pytest.approx([40_000, 80_000])
    )
    assert len(storage_lines(report)) == 2
    assert len(storage_lines(storage_report(10, 10, pixels, 19, soft=True))) == 1
