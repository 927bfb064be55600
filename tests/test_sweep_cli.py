"""The command line: frozen options, one clear line for whatever is wrong, end-to-end sweeps."""

import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.errors import run_main
from bench.sweep import main, parse

Run = Callable[..., subprocess.CompletedProcess[str]]

BAD_ROW = """
from sweeps.spec import Row
from sweeps.table3 import rows as table3_rows

def rows(base):
    good = table3_rows(base)
    return [*good, Row(name="bad", label="bad", training=good[{index}].training,
                       strategy="{strategy}", eval_scales={scales})]

SWEEP = replace(SWEEP, rows=rows)
"""


def test_options_are_frozen() -> None:
    assert set(vars(parse([]))) == {
        "sweep", "list", "dry_run", "profile", "rows", "seeds", "fresh", "device", "data_root",
        "address", "out",
    }  # fmt: skip


def failing_line(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Runs the command in this process; checks for exit status 2 and one line on stderr."""
    assert run_main(main, [str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


def test_bad_arguments_get_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cases: dict[tuple[object, ...], str] = {
        ("table33",): "known: table1, table2, table3",
        ("nowhere.py",): "nowhere.py does not exist",
        ("table3", "--rows", "single,double"): "no row 'double'",
        ("table3", "--profile", "fast"): "known: quick",
        ("table3", "--seeds", 0): "at least 1",
        ("table3", "--profile", "camvid"): "--data-root",
        ("table3", "--profile", "camvid", "--data-root", tmp_path / "none"): str(tmp_path / "none"),
        ("table3", "--data-root", tmp_path): "leave out --data-root",
        (): "--list shows them all",
    }
    for arguments, said in cases.items():
        assert said in failing_line(capsys, *arguments), arguments
    (tmp_path / "file").touch()
    assert "can't be written" in failing_line(capsys, "table3", "--out", tmp_path / "file" / "out")
    assert not (tmp_path / "mlflow.db").exists(), "nothing is stored for a command that is wrong"


@pytest.mark.parametrize(
    ("index", "strategy", "scales", "said"),
    [
        (0, "avgpool", (0.5, 2.0), "lack 1.0"),
        (2, "explicit", (0.25, 0.5, 1.0, 2.0), "bound to its train scales"),
        (0, "hierarchical", (0.5, 1.0), "a single training can't do hierarchical"),
    ],
)
def test_bad_rows_get_one_line(
    capsys: pytest.CaptureFixture[str],
    write_sweep: Callable[..., Path],
    index: int,
    strategy: str,
    scales: tuple[float, ...],
    said: str,
) -> None:
    path = write_sweep(extra=BAD_ROW.format(index=index, strategy=strategy, scales=scales))
    assert said in failing_line(capsys, path, "--dry-run")


def test_sweep_files_that_do_not_load_get_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for text, said in (("1 / 0", "ZeroDivisionError"), ("x = 1", "exports no SWEEP")):
        (tmp_path / "mine.py").write_text(text)
        assert said in failing_line(capsys, tmp_path / "mine.py")


def test_dry_run_shows_the_plan_and_stores_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_main(main, ["table3", "--dry-run", "--seeds", "2"]) == 0
    shown = capsys.readouterr().out
    assert "6 trainings" in shown
    assert "hierarchical-4" in shown
    assert not list(tmp_path.iterdir())


def test_list_names_sweeps_profiles_and_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(main, ["--list"]) == 0
    shown = capsys.readouterr().out
    assert "table3" in shown
    assert "camvid" in shown
    assert "hierarchical-4" in shown


def camvid_tree(root: Path, image_size: int = 64) -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        (root / split).mkdir(parents=True)
        (root / f"{split}annot").mkdir()
        for index in range(count):
            pixels = rng.integers(0, 256, (image_size, 96, 3), dtype=np.uint8)
            label = rng.integers(0, 12, (image_size, 96), dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / f"{index}.png")
            Image.fromarray(label).save(root / f"{split}annot" / f"{index}.png")
    return root


BROKEN_DATA = """
base = base.replace(data=base.data.replace(dataset="camvid", train_images=None, scene_size=None))

def rows(base, table3_rows=SWEEP.rows):
    single = table3_rows(base)[0]
    val = base.replace(data=base.data.replace(split="val"))
    return [single, single.replace(name="on-val", training=val)]

SWEEP = replace(SWEEP, rows=rows, profiles={"quick": replace(
    SWEEP.profiles["quick"], base=base, split="val")})
"""


def test_bad_data_met_by_trials_gets_one_line_each(
    tmp_path: Path, write_sweep: Callable[..., Path], run_cli: Run
) -> None:
    """One training meets a truncated image, another a label id out of range."""
    root = camvid_tree(tmp_path / "camvid")
    image, label = root / "train" / "2.png", root / "valannot" / "1.png"
    image.write_bytes(image.read_bytes()[:200])
    Image.fromarray(np.full((64, 96), 77, np.uint8)).save(label)
    done = run_cli(write_sweep(extra=BROKEN_DATA), "--data-root", root)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 2
    for row, file, said in (("single", image, "cannot be read"), ("on-val", label, "label id 77")):
        (line,) = [line for line in lines if line.startswith(f"error: {row} s0: ")]
        assert str(file) in line and said in line
    assert "Traceback" not in done.stdout + done.stderr


def test_a_sweep_end_to_end_row_by_row_and_again(
    tmp_path: Path, write_sweep: Callable[..., Path], run_cli: Run
) -> None:
    path = write_sweep(steps=6)
    store = sqlite3.connect(tmp_path / "mlflow.db")
    losses = "select count(*) from metrics where key = 'loss'"
    first = run_cli(path, "--rows", "single")
    assert first.returncode == 0, first.stdout + first.stderr
    assert store.execute(losses).fetchone()[0] == 6

    whole = run_cli(path)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert "trained, to evaluate" in whole.stdout, "avgpool needs the network of single"
    assert store.execute(losses).fetchone()[0] == 18, "nothing is trained twice"
    folder = tmp_path / "results" / "tiny" / "quick"
    table = (folder / "table.csv").read_text()
    for name in ("table.md", "table.tex", "index.html"):
        assert (folder / name).stat().st_size > 0
    kinds = [row[0] for row in store.execute("select value from tags where key = 'kind'")]
    assert sorted(kinds) == ["cost"] * 2 + ["sweep"] * 2 + ["training"] * 3
    metrics = {row[0] for row in store.execute("select distinct key from metrics")}
    assert {"loss", "lr", "val_miou"} <= metrics
    assert {"miou/test_3_single_1.0", "miou/test_3_avgpool_0.5_1.0_2.0"} <= metrics
    assert not list((tmp_path / "results" / "trials").iterdir()), "checkpoints are in MLflow now"

    again = run_cli(path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "0 to run" in again.stdout
    assert (folder / "table.csv").read_text() == table

    (folder / "table.csv").unlink()
    redrawn = run_cli("tiny", module="reports")
    assert redrawn.returncode == 0, redrawn.stdout + redrawn.stderr
    assert (folder / "table.csv").read_text() == table


def test_a_crash_fails_its_rows_only(
    tmp_path: Path, write_sweep: Callable[..., Path], run_cli: Run
) -> None:
    crash = """
def rows(base, table3_rows=SWEEP.rows):
    single, avgpool, *_ = table3_rows(base)
    deep = base.replace(network=base.network.replace(pretrained=True))
    return [single, avgpool.replace(name="broken", training=deep)]

SWEEP = replace(SWEEP, rows=rows)
"""
    done = run_cli(write_sweep(steps=4, extra=crash))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "broken s0: " in done.stderr
    assert "'mini' has no pretrained weights" in done.stderr
    table = (tmp_path / "results" / "tiny" / "quick" / "table.md").read_text()
    assert "failed" in table
    assert "Traceback" not in done.stdout + done.stderr
