"""A finished training leaves a network in MLflow that every command, and MLflow itself, opens."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from made_network import trained_folder
from PIL import Image
from tiny import environment

from bench.config import Evaluation
from bench.errors import run_main
from bench.inference import segment
from bench.trained import open_trained

RULE = Evaluation(strategy="hierarchical", scales=(0.5, 1.0, 2.0), split="test", images=2)
SCALES = "0.5,1,2"

LOAD = """
import sys, mlflow, numpy as np
model = mlflow.pyfunc.load_model(sys.argv[1])
images = np.load("images.npy")
more = model.predict(images, params={"scales": [0.5, 1, 2]})
np.savez("classes.npz", model.predict(images), more)
print(model.metadata.signature)
"""


class Left(NamedTuple):
    """The folder of mlflow.db, the run in it, and the trial's folder."""

    root: Path
    run_id: str
    trial: Path


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from bench.tracking import Store

    root, trial = tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("trial")
    trained_folder(trial, [RULE])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        store = Store("tiny")
        run_id = store._create_run("hierarchical", {"kind": "training"})
        plan: Any = SimpleNamespace(fingerprints={"test": "0"})
        for _ in range(2):  # a row added later finishes the training once more
            store.finish_training(run_id, plan, trial)
        assert len(store.client.get_run(run_id).outputs.model_outputs) == 1
        recorded = store.client.get_run(run_id).data.metrics
        (root / "metrics.json").write_text(json.dumps(recorded))
        yield Left(root, run_id, trial)


def test_evaluate_by_run_gives_the_recorded_number(left: Left, tmp_path: Path) -> None:
    from bench.evaluate import main

    command = ["--checkpoint", left.run_id, "--split", "test", "--limit", "2", "--scales", SCALES]
    assert run_main(main, [*command, "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "summary.json").read_text())
    recorded = json.loads((left.root / "metrics.json").read_text())
    assert found["mean_iou"] == pytest.approx(recorded[f"miou/{RULE.name}"], abs=1e-9)
    assert found["boundary_iou"] == pytest.approx(recorded[f"boundary/{RULE.name}"], abs=1e-9)
    for size, iou in found["size_iou"].items():
        assert recorded.get(f"{size}/{RULE.name}") == (iou and pytest.approx(iou, abs=1e-9))


def test_predict_by_run(left: Left, tmp_path: Path) -> None:
    from bench.predict import main

    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    command = [str(tmp_path / "a.png"), "--checkpoint", left.run_id, "--out", str(tmp_path / "out")]
    assert run_main(main, command) == 0
    trained = open_trained(left.trial / "model.pt")
    wanted = segment(trained.model, image, (0.5, 1.0), trained.precision).classes
    assert (np.array(Image.open(tmp_path / "out/a_labels.png")) == wanted).all()


def test_a_run_that_is_not_there_gets_one_line(
    left: Left, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.evaluate import main

    assert run_main(main, ["--checkpoint", "0" * 32]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "has no model.pt" in line


def test_mlflow_loads_the_model_without_this_checkout(left: Left) -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    np.save(left.root / "images.npy", images)
    clean = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, f"runs:/{left.run_id}/model"],
        cwd=left.root, env=clean, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert "Tensor('uint8', (-1, -1, -1, 3))" in done.stdout
    trained = open_trained(left.trial / "model.pt")
    with np.load(left.root / "classes.npz") as answers:
        for name, scales in (("arr_0", (0.5, 1.0)), ("arr_1", (0.5, 1.0, 2.0))):
            wanted = [
                segment(trained.model, image, scales, trained.precision).classes for image in images
            ]
            assert answers[name].dtype == np.uint8
            assert (answers[name] == wanted).all()
