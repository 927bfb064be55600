"""Tables 1 and 2: published entries beside ours, which is measured or said not to be."""

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pytest
import trees
from rich.console import Console

from bench.errors import run_main
from bench.metrics import mean_iou
from bench.plan import make_plan
from bench.sweep import main
from bench.tracking import Store
from bench.trial import run_trial
from reports.build import build_report
from sweeps import load_sweep
from sweeps.table3 import SWEEP as TABLE3

PUBLISHED = {
    "table1": [85.4, 85.2, 84.5, 84.4, 84.3],
    "table2": [61.1, 58.7, 52.0, 50.4],
}


def tiny(name):
    """The sweep with the network and schedule of a test."""
    sweep = load_sweep(name)
    (profile_name, profile), quick = *sweep.profiles.items(), TABLE3.profiles["quick"]
    base = profile.base.replace(
        network=quick.base.network,
        augment=profile.base.augment.replace(crop=(64, 64)),
        optim=quick.base.optim.replace(steps=2, batch_size=2),
        devices=1,
    )
    runtime = quick.runtime.replace(val_points=1, val_images=1)
    small = replace(profile, base=base, runtime=runtime, cost_rounds=1)
    return replace(sweep, profiles={profile_name: small})


def tree(name, root):
    if name == "table1":
        return trees.cityscapes(root, size=(64, 96))
    return trees.vistas(root, "mapillary", times=6)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_values_are_the_article_s(name):
    sweep = load_sweep(name)
    (row,) = sweep.rows(next(iter(sweep.profiles.values())).base)
    assert [row.published["iou"], *(rival.iou for rival in sweep.rivals)] == PUBLISHED[name]
    config = row.training
    assert (config.network.trunk, config.network.decoder) == ("hrnet_w48", "ocr")
    assert config.loss.name == "rmi" and config.train_scales == (0.5, 1.0)
    assert config.data.dataset in ("cityscapes", "mapillary")


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("root", [None, "nowhere"])
def test_without_data_ours_is_not_measured(name, root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    where = ["--data-root", str(tmp_path / root)] if root else []
    assert run_main(main, [name, *where]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert (str(tmp_path / root) if root else "no folder was named") in printed.err
    assert not list(tmp_path.iterdir()), "nothing was started"
    lines = [line for line in printed.out.splitlines() if re.search(r"\d\d\.\d\s*$", line)]
    assert [float(line.split()[-1]) for line in lines] == PUBLISHED[name]
    assert "not measured" in lines[0]
    assert all(len(re.findall(r"\d\d\.\d", line)) == 1 for line in lines), "published values only"


@pytest.mark.parametrize("name", PUBLISHED)
def test_with_data_ours_is_measured(name, tmp_path, monkeypatch):
    root = tree(name, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCALEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    plan = make_plan(tiny(name), data_root=root)
    store, (training,) = Store(name), plan.trainings
    parent = store.begin_sweep(plan, "cost-none")
    run_id = store.begin_training(parent, plan, training)
    folder = tmp_path / "trial"
    run_trial(training.config, training.evaluations, plan.runtime, folder)
    store.finish_training(run_id, plan, folder)
    store.end_sweep(parent, "FINISHED", {})
    console = Console(width=120, file=io.StringIO())
    build_report(name, None, tmp_path / "report", console)
    printed = console.file.getvalue()
    counts = np.load(folder / "evaluations" / f"{training.evaluations[0].name}.npz")["counts"]
    ours = f"{mean_iou(counts):.1f}"
    markdown = (tmp_path / "report/table.md").read_text()
    for text in (markdown, printed, (tmp_path / "report/table.tex").read_text()):
        assert ours in text and f"Table {name[-1]} of the article" in text
        for rival in plan.sweep.rivals:
            (line,) = [each for each in text.splitlines() if rival.name in each]
            assert re.findall(r"\d\d\.\d", line) == [f"{rival.iou:.1f}"]
    page = (tmp_path / "report/index.html").read_text()
    assert all(rival.name in page for rival in plan.sweep.rivals)
    lines = list(csv.DictReader((tmp_path / "report/table.csv").open()))
    assert [float(line["published_iou"]) for line in lines] == PUBLISHED[name]
    assert [line["iou"] != "" for line in lines] == [True] + [False] * len(plan.sweep.rivals)


@pytest.mark.slow
def test_the_command_with_data(tmp_path, monkeypatch, capsys):
    root = tree("table1", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCALEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sweeps.table1.SWEEP", tiny("table1"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert main(["table1", "--data-root", str(root), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "Panoptic-DeepLab" in printed and "85.2" in printed and "Nothing" not in printed
