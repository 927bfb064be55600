"""A synthetic MLflow store of one sweep, as ``bench.tracking`` would leave it; nothing is trained.

Rows single and avgpool are measured with two seeds, hierarchical with one of two (the other
failed), explicit failed, later never ran.
"""

import json
from types import SimpleNamespace

import numpy as np
from mlflow import MlflowClient
from PIL import Image

from bench.metrics import mean_iou

REGIONS = {"boundary": 40.0, "small": 10.0, "medium": 30.25, "large": 80.0}
CLASSES, THIN = ["road", "sky", "pole"], [False, False, True]
TITLE = "Strategies <script>alert(1)</script> & cost_50%"
IMAGES = 5
QUALITY = {"single": 0.6, "avgpool": 0.7, "hierarchical": 0.8}
COSTS = {
    "trainings": {
        "kb": dict(article_gmacs=180.0, gmacs=1.0, minibatch=0.2, peak_mib=50.0, parameters=9),
        "kh": dict(article_gmacs=225.0, gmacs=1.5, minibatch=0.3, peak_mib=60.0, parameters=10),
    },
    "evaluations": {
        "single": dict(training="kb", gmacs=2.0, seconds=0.1),
        "avgpool": dict(training="kb", gmacs=10.5, seconds=0.5),
        "explicit": dict(training="kh", gmacs=11.0, seconds=0.6),
        "hierarchical": dict(training="kh", gmacs=11.0, seconds=0.6),
        "later": dict(training="kh", gmacs=11.0, seconds=0.6),
    },
    "device": "cpu",
    "precision": "bfloat16",
    "batch_size": 8,
    "crop": [64, 128],
    "threads": 1,
    "rounds": 5,
}


def plan_row(name, train_scales, eval_scales, trainings, published=None):
    return {
        "name": name,
        "label": f"{name.capitalize()} <b>",
        "evaluation": f"test_{name}",
        "strategy": name if name != "later" else "hierarchical",
        "train_scales": train_scales,
        "eval_scales": eval_scales,
        "published": published or {},
        "trainings": trainings,
    }


ROWS = [
    plan_row("single", [1.0], [1.0], ["s0", "s1"], dict(iou=47.7, cost=1.0, minibatch=0.8)),
    plan_row("avgpool", [1.0], [0.5, 1.0, 2.0], ["s0", "s1"], dict(iou=49.4, cost=1.0)),
    plan_row("explicit", [0.5, 1.0, 2.0], [0.5, 1.0, 2.0], ["e0", "e1"], dict(iou=51.4)),
    plan_row("hierarchical", [0.5, 1.0], [0.5, 1.0, 2.0], ["h0", "h1"], dict(iou=51.6, cost=1.25)),
    plan_row("later", [0.5, 1.0], [0.5, 1.0], ["l0", "l1"]),
]
PLAN = {
    "sweep": "made",
    "title": TITLE,
    "source": "Table 9 of a book",
    "baseline": "single",
    "profile": "quick",
    "summary": "synthetic",
    "dataset": "streets",
    "split": "test",
    "seeds": [0, 1],
    "rows": ROWS,
}


def make_counts(name, seed):
    """Counts of a row: a share of every class's pixels is right, the others go to the next one."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(50, 500, (IMAGES, 3))
    noise = rng.uniform(-0.1, 0.1, (IMAGES, 3))
    right = (truth * (QUALITY[name] + noise)).astype(np.int64)
    wrong = truth - right
    return np.stack([right, truth, right + np.roll(wrong, 1, axis=1)], axis=1)


def write_pictures(folder, scales):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for stem in ("truth", "prediction", *(f"prediction_{scale}" for scale in scales)):
        image = Image.fromarray(rng.integers(0, 3, (16, 32)).astype(np.uint8), "L")
        image.putpalette([128, 64, 128, 70, 130, 180, 255, 255, 0])
        image.save(folder / f"{stem}.png")
    Image.fromarray(rng.integers(0, 255, (16, 32, 3)).astype(np.uint8)).save(folder / "image.png")
    for scale in scales:
        Image.fromarray(np.full((16, 32), 85, np.uint8)).save(folder / f"attention_{scale}.png")


def write_artifacts(folder, row, seed):
    """The files of one evaluated row, laid out as a trial leaves them."""
    name, counts = row["evaluation"], make_counts(row["name"], seed)
    for kind in ("evaluations", "iou"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    ids = np.array([f"image{i}" for i in range(IMAGES)])
    np.savez_compressed(folder / "evaluations" / f"{name}.npz", counts=counts, ids=ids)
    lines = [
        [each, thin, 10.0 * i, int(counts[:, 1, i].sum()), IMAGES]
        for i, (each, thin) in enumerate(zip(CLASSES, THIN, strict=True))
    ]
    table = {"columns": ["class", "thin", "iou", "truth_pixels", "images"], "data": lines}
    (folder / "iou" / f"{name}.json").write_text(json.dumps(table))
    for image in ("image0", "image1"):
        write_pictures(folder / "pictures" / name / image, row["eval_scales"])


def add_training(client, experiment, parent, identity, folder):
    """A finished training's run with all that its rows need."""
    seed = int(identity[-1])
    tags = {
        "kind": "training",
        "identity": identity,
        "mlflow.parentRunId": parent,
        "commit": "c0ffee",
        "dirty": "True",
        "command": "sweep.py made",
        "host": "vm, 2 cores",
        "machine": "a CPU",
        "precision": "bfloat16",
        "python": "3.11",
        "package.torch": "2.15",
        "package.mlflow": "3.17",
        "fingerprint.test": "ff",
    }
    run = client.create_run(experiment, run_name=f"training {identity}", tags=tags).info.run_id
    client.log_param(run, "seed", seed)
    client.log_param(run, "threads", 2)
    client.log_metric(run, "train_seconds", 12.5)
    for step in (1, 2, 3):
        client.log_metric(run, "loss", 3.0 - step + seed, step=step)
        client.log_metric(run, "val_miou", 10.0 * step, step=step)
    for row in ROWS:
        if identity in row["trainings"]:
            counts = make_counts(row["name"], seed)
            client.log_metric(run, f"miou/{row['evaluation']}", mean_iou(counts))
            client.log_metric(run, f"thin/{row['evaluation']}", mean_iou(counts, [2]))
            for name, iou in REGIONS.items():
                client.log_metric(run, f"{name}/{row['evaluation']}", iou)
            write_artifacts(folder, row, seed)
    client.log_artifacts(run, str(folder))
    client.set_terminated(run, "FINISHED")
    return run


def fill_store(base):
    """Write the sweep into the configured store, artifacts below ``base``; returns its ids."""
    client = MlflowClient()
    experiment = client.create_experiment("made", str(base / "artifacts"))
    tags = {"kind": "sweep", "profile": "quick", "commit": "c0ffee", "dirty": "False"}
    parent = client.create_run(experiment, run_name="made quick", tags=tags).info.run_id
    client.log_dict(parent, PLAN, "plan.json")
    client.set_terminated(parent, "FAILED")
    runs = {
        identity: add_training(client, experiment, parent, identity, base / identity)
        for identity in ("s0", "s1", "h0")
    }
    for identity in ("e0", "e1", "h1"):
        tags = {"kind": "training", "identity": identity, "reason": "out of memory"}
        run = client.create_run(experiment, tags={**tags, "commit": "c0ffee"})
        client.set_terminated(run.info.run_id, "FAILED")
    tags = {"kind": "cost", "identity": "cost-1", "mlflow.parentRunId": parent, "commit": "c"}
    cost = client.create_run(experiment, run_name="cost", tags=tags).info.run_id
    client.log_dict(cost, COSTS, "cost.json")
    client.set_terminated(cost, "FINISHED")
    return SimpleNamespace(client=client, experiment=experiment, parent=parent, runs=runs)
