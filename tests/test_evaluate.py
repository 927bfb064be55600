"""``python -m bench.evaluate``: the sweep's own numbers, released weights, what is refused."""

import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_weights import released_state
from made_network import trained_folder
from PIL import Image

from bench import datasets
from bench.config import Evaluation
from bench.datasets import Sample, open_split
from bench.errors import run_main
from bench.evaluate import main
from bench.inference import evaluate, predict, segment
from bench.metrics import mean_iou
from bench.scores import summarise
from bench.trained import open_trained
from models.precision import choose_precision

RULES = [
    Evaluation(strategy="hierarchical", scales=(0.5, 1.0), split="test", images=2),
    Evaluation(strategy="hierarchical", scales=(0.5, 1.0, 2.0), split="test", images=2),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_folder(tmp_path_factory.mktemp("trial"), RULES)


def evaluated(folder: Path, out: Path, *arguments: object) -> dict[str, object]:
    command = ["--checkpoint", folder / "model.pt", "--split", "test", "--limit", 2, "--out", out]
    assert run_main(main, [str(each) for each in (*command, *arguments)]) == 0
    return json.loads((out / "summary.json").read_text())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_numbers_are_those_of_the_trial(
    rule: Evaluation, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = np.load(folder / "evaluations" / f"{rule.name}.npz")
    scales = ",".join(map(str, rule.scales))
    found = evaluated(folder, tmp_path, "--scales", scales)
    assert found["mean_iou"] == pytest.approx(mean_iou(recorded["counts"]), abs=1e-9)
    assert f"mean IoU {found['mean_iou']:.2f}" in capsys.readouterr().out
    assert recorded["boundary"].shape == recorded["counts"].shape
    assert (recorded["sizes"].sum(1) == recorded["counts"]).all()
    with open(tmp_path / "classes.csv") as file:
        rows = list(csv.DictReader(file))
    present = [float(row["iou"]) for row in rows if row["iou"]]
    assert np.mean(present) == pytest.approx(found["mean_iou"], abs=1e-3)


def test_flip_averages_the_probabilities_of_the_mirror_image(folder: Path) -> None:
    trained = open_trained(folder / "model.pt", "cpu")
    model, precision = trained.model, choose_precision("float32", torch.device("cpu"))
    sample = open_split(trained.config.data, "test")[0]
    straight = predict(model, sample.image, (0.5, 1.0), precision).logits_BKHW.softmax(1)
    mirror_image = np.ascontiguousarray(sample.image[:, ::-1])
    mirrored = predict(model, mirror_image, (0.5, 1.0), precision).logits_BKHW.softmax(1)
    wanted = (straight + mirrored.flip(3)).argmax(1)[0].numpy()
    found = segment(model, sample.image, (0.5, 1.0), precision, flip=True)
    assert (found.classes == wanted).all()
    assert not (found.classes == straight.argmax(1)[0].numpy()).all()


def test_bands_are_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluated(folder, tmp_path, "--scales", "0.5,1", "--band-pixels", 64 * 128 - 1)
    assert found["banded_scales"] == [1.0]
    assert "were run in bands" in " ".join(capsys.readouterr().out.split())


class Frames:
    """A frame named as Cityscapes names them, without labels."""

    name, split, thin = "frames", "test", ()
    classes = tuple(f"class {index}" for index in range(19))
    colors = tuple((index, 0, 0) for index in range(19))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        image = np.random.default_rng(index).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        label = np.full((64, 96), 255, np.uint8)
        return Sample(image, label, f"test/berlin/berlin_00000{index}_000019")

    def fingerprint(self) -> str:
        return "0"

    @staticmethod
    def encode(label: np.ndarray) -> np.ndarray:
        return label + np.uint8(7)


def offer_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``--dataset frames`` open ``Frames``."""
    known = datasets.dataset_class
    monkeypatch.setattr(datasets, "DRAWN", (*datasets.DRAWN, "frames"))
    monkeypatch.setattr(
        datasets,
        "dataset_class",
        lambda name: (lambda split: Frames()) if name == "frames" else known(name),
    )


def test_released_weights_fill_a_submission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file under the article's names, as ``cityscapes_ocrnet.HRNet_Mscale`` has them."""
    offer_frames(monkeypatch)
    path = tmp_path / "released.pth"
    torch.save({"state_dict": released_state("ocrnet_HRNet_Mscale_19"), "epoch": 174}, path)
    target = tmp_path / "submission.zip"
    arguments = ["--checkpoint", path, "--dataset", "frames", "--split", "test"]
    arguments += ["--scales", "0.5,1", "--submit", target]
    assert run_main(main, [str(each) for each in arguments]) == 0
    assert "No labelled pixel" in capsys.readouterr().out
    trained = open_trained(path, "cpu")
    assert (trained.config.network.trunk, trained.config.network.decoder) == ("hrnet_w48", "ocr")
    assert (trained.config.strategy, len(trained.classes)) == ("hierarchical", 19)
    assert not list(tmp_path.glob("*.partial"))
    with zipfile.ZipFile(target) as archive:
        (name,) = archive.namelist()
        assert name == "berlin_000000_000019_pred_labelIds.png"
        with archive.open(name) as file:
            stored = np.array(Image.open(file))
    seen = segment(trained.model, Frames()[0].image, (0.5, 1.0), trained.precision)
    assert (stored == seen.classes + 7).all()


def test_evaluation_without_a_thin_class_or_label_has_no_number(folder: Path) -> None:
    trained = open_trained(folder / "model.pt", "cpu")
    dataset = Frames()
    dataset.classes = trained.classes  # type: ignore[misc]
    result = evaluate(trained.model, dataset, (1.0,), trained.precision, images=1)
    scores = summarise(result, dataset)
    assert scores.mean_iou is None
    assert scores.thin_iou is None


def test_what_is_wrong_gets_one_line(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    offer_frames(monkeypatch)
    good = folder / "model.pt"
    content = good.read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.pt").write_text("no network")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    torch.save(released_state("mscale_DeepV3R50_65") | {"module.more": torch.zeros(1)}, "more.pth")
    cases: dict[tuple[object, ...], str] = {
        (tmp_path / "cut.pt",): "cut.pt",
        (tmp_path / "text.pt",): "text.pt",
        (tmp_path / "other.pt",): "lacks config, classes",
        (tmp_path / "more.pth",): "lacks config, classes",
        (tmp_path / "none.pt",): "no weights file",
        ("0" * 32,): "no MLflow store",
        (good, "--scales", "0.5,2"): "lack 1.0",
        (good, "--scales", "0.5,x"): "such as 0.5,1,2",
        (good, "--scales", "1,1"): "distinct",
        (good, "--limit", 0): "at least 1",
        (good, "--dataset", "frames"): "take the data set that it was trained on",
        (good, "--dataset", "nothing"): "unknown data set 'nothing'",
        (good, "--split", "nothing"): "nothing",
        (good, "--split", "test", "--submit", "x.zip"): "take --dataset cityscapes",
        (good, "--band-pixels", -1): "or 0 for no bands",
    }
    for (checkpoint, *arguments), said in cases.items():
        command = ["--checkpoint", str(checkpoint), *map(str, arguments)]
        assert run_main(main, command) == 2, command
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: ") and said in lines[0], lines
