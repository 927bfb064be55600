"""Sweeps trunks, losses and precision in miniature: plan, trainings, costs, MLflow, report."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from sweeps import load_sweep

TINY = """
from dataclasses import replace
from sweeps.{name} import SWEEP as ORIGINAL

quick = ORIGINAL.profiles["quick"]
base = quick.base.replace(
    optim=quick.base.optim.replace(steps=2, batch_size=2),
    augment=quick.base.augment.replace(crop=(64, 128)),
    data=quick.base.data.replace(train_images=12, scene_size=(64, 128)),
)
runtime = quick.runtime.replace(val_images=2, val_points=1)
quick = replace(quick, base=base, runtime=runtime, eval_images=2, cost_rounds=1)
SWEEP = replace(ORIGINAL, profiles={{"quick": quick}})
"""


def test_trunks_share_everything_but_the_network() -> None:
    sweep = load_sweep("trunks")
    for profile in sweep.profiles.values():
        rows = sweep.rows(profile.base)
        networks = {(row.training.network.trunk, row.training.network.decoder) for row in rows}
        assert len(networks) == len(rows) == 9
        assert len({row.training.replace(network=profile.base.network) for row in rows}) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("losses", None),
        ("precision", None),
        ("trunks", ["mini-ocr", "resnet50-deeplabv3plus"]),
    ],
)
def test_a_sweep_in_miniature(
    tmp_path: Path,
    run_cli: Callable[..., subprocess.CompletedProcess[str]],
    name: str,
    rows: list[str] | None,
) -> None:
    path = tmp_path / f"{name}.py"
    path.write_text(TINY.format(name=name))
    done = run_cli(path, *(["--rows", ",".join(rows)] if rows else []))
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "results" / name / "quick"
    table = pd.read_csv(folder / "table.csv").set_index("row")
    left_out = ["float16"] if name == "precision" else []
    sweep = load_sweep(name)
    planned = rows or [row.name for row in sweep.rows(sweep.profiles["quick"].base)]
    assert list(table.index) == [row for row in planned if row not in left_out]
    assert table[["iou", "minibatch", "peak_mib", "parameters", "gmacs"]].notna().all(None)
    for text in ((folder / "table.md").read_text(), (folder / "index.html").read_text()):
        assert "GMACs" in text
        assert "training cost" not in text
        assert ("float16 is not available on cpu" in text) == (name == "precision")
