"""``python -m bench.export``: files that compute what the network computes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from made_network import small_training, trained_folder

from bench.datasets import open_split
from bench.errors import run_main
from bench.export import main
from bench.inference import predict
from bench.trained import open_trained
from models.precision import Precision

SIZE = (64, 128)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_folder(tmp_path_factory.mktemp("trial")) / "model.pt"


def run(network: Path, out: Path, *arguments: str) -> int:
    command = ["--checkpoint", str(network), "--out", str(out), "--size", "64x128", *arguments]
    return run_main(main, command)


def probabilities(path: Path, image: np.ndarray) -> np.ndarray:
    if path.suffix == ".pt2":
        return torch.export.load(path).module()(torch.from_numpy(image[None])).detach().numpy()
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"image": image[None]})[0]


@pytest.mark.parametrize("form", ["pt2", "onnx"])
def test_exported_files_compute_what_the_network_does(
    form: str, network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"network.{form}"
    assert run(network, path, "--format", form, "--scales", "0.5,1,2") == 0
    shown = capsys.readouterr().out
    assert "largest difference" in shown and "hierarchical over 0.5, 1, 2" in shown
    trained = open_trained(network, "cpu")
    image = open_split(small_training().data, "val")[0].image
    exact = Precision(torch.device("cpu"), torch.float32)
    wanted = predict(trained.model, image, (0.5, 1.0, 2.0), exact).logits_BKHW.softmax(1)
    np.testing.assert_allclose(probabilities(path, image), wanted.numpy(), rtol=0, atol=1e-4)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_what_is_wrong_gets_one_line(
    network: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "network.pt2"
    monkeypatch.setattr("bench.export.TOLERANCE", -1.0)
    cases: dict[tuple[Path, ...] | tuple[Path, str, ...], str] = {
        (out, "--size", "64"): "such as 512x1024",
        (out, "--size", "32x64", "--scales", "0.5,1"): "at scale 0.5 the network needs 32 x 32",
        (out, "--scales", "0.5"): "lack 1.0",
        (tmp_path / "file" / "network.pt2",): "can't be written",
        (out,): "try the other --format",
    }
    for (path, *arguments), said in cases.items():
        assert run(network, path, "--format", "pt2", *arguments) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: ") and said in lines[0], lines
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
