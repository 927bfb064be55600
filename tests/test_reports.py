"""Reports from a synthetic MLflow store: no training, no results folder, only what MLflow holds."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

import numpy as np
import pandas as pd
import pytest
from made_store import REGIONS, ROWS, fill_store, make_counts
from PIL import Image

from bench.errors import BenchError, run_main
from bench.metrics import mean_iou, paired_bootstrap
from reports.__main__ import main
from reports.columns import (
    CLASS_COLUMNS,
    PROVENANCE_COLUMNS,
    ROW_COLUMNS,
    RUN_COLUMNS,
    Column,
    Problems,
    make_frame,
)
from reports.figures import cost_figure, house_style, looks
from reports.formats import Report, to_csv, to_latex, to_markdown
from reports.frames import load_frames
from reports.store import RunStore
from reports.summary import answer, compare, findings


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The synthetic store, with what is read of it."""
    base = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{base}/mlflow.db")
        content = fill_store(base)
        content.store = RunStore("made")
        content.report = Report.of(load_frames(content.store))
        content.frames = content.report.frames
        content.rows = {row.row: row for row in content.report.rows}
        yield content


@pytest.fixture(scope="module")
def built(made, tmp_path_factory):
    """The report's folder, made by the command."""
    folder = tmp_path_factory.mktemp("report") / "out"
    assert main(["made", "--out", str(folder)]) == 0
    return folder


def check_columns(columns, line, expected):
    """Every declared column is expected and has its value."""
    assert set(expected) == {column.name for column in columns}
    for name, value in expected.items():
        assert pd.isna(line[name]) if value is None else line[name] == value, name


def test_each_row_column(made):
    expected = {
        "row": "hierarchical",
        "label": "Hierarchical <b>",
        "strategy": "hierarchical",
        "train_scales": [0.5, 1.0],
        "eval_scales": [0.5, 1.0, 2.0],
        "evaluation": "test_hierarchical",
        "published_iou": 51.6,
        "published_cost": 1.25,
        "published_minibatch": None,
        "article_gmacs": 225.0,
        "gmacs": 1.5,
        "minibatch": 0.3,
        "peak_mib": 60.0,
        "parameters": 10,
        "eval_gmacs": 11.0,
        "eval_seconds": 0.6,
    }
    check_columns(ROW_COLUMNS, made.frames.rows.iloc[3], expected)


def test_each_run_column(made):
    counts = make_counts("avgpool", 1)
    expected = {
        "iou": mean_iou(counts),
        "thin_iou": mean_iou(counts, [2]),
        **{f"{name}_iou": iou for name, iou in REGIONS.items()},
        "train_seconds": 12.5,
        "run_id": made.runs["s1"],
        "status": "FINISHED",
        "reason": None,
    }
    runs = made.frames.runs
    line = runs[(runs["row"] == "avgpool") & (runs["seed"] == 1)].iloc[0]
    assert line["state"] == "measured"
    check_columns(RUN_COLUMNS, line, expected)


def test_each_provenance_column(made):
    frame = made.frames.provenance
    line = frame[frame["run_id"] == made.runs["h0"]].iloc[0]
    expected = {
        "run_id": made.runs["h0"],
        "name": "training h0",
        "kind": "training",
        "status": "FINISHED",
        "date": line["date"],
        "seed": 0,
        "commit": "c0ffee",
        "dirty": "True",
        "command": "sweep.py made",
        "machine": "a CPU",
        "host": "vm, 2 cores",
        "precision": "bfloat16",
        "threads": 2,
        "train_seconds": 12.5,
        "python": "3.11",
        "packages": "mlflow 3.17, torch 2.15",
        "fingerprints": "test ff",
    }
    check_columns(PROVENANCE_COLUMNS, line, expected)
    assert line["date"].endswith("UTC")
    assert frame["kind"].tolist()[0] == "sweep"
    assert frame["kind"].tolist()[-1] == "cost"


def test_each_class_column(made):
    pixels = int(make_counts("single", 0)[:, 1, 2].sum())
    expected = {"class": "pole", "iou": 20.0, "thin": True, "truth_pixels": pixels, "images": 5}
    check_columns(CLASS_COLUMNS, made.frames.classes.iloc[2], expected)


def test_curves_are_read_by_row_and_seed(made):
    curves = made.frames.curves
    chosen = curves[(curves["row"] == "single") & (curves["seed"] == 1)]
    assert chosen[chosen["curve"] == "loss"]["value"].tolist() == [3.0, 2.0, 1.0]
    assert chosen[chosen["curve"] == "val_miou"]["step"].tolist() == [1, 2, 3]


def test_failed_and_missing_rows_are_shown_and_never_as_numbers(made):
    explicit, later = made.rows["explicit"], made.rows["later"]
    assert (explicit.state, explicit.iou, explicit.reason) == ("failed", None, "out of memory")
    assert (later.state, later.iou, later.difference) == ("not measured", None, None)
    text = to_markdown(made.report)
    assert "| failed |" in text
    assert "| not measured |" in text
    assert "row explicit, seed 0: failed: out of memory" in text
    assert "row later, seed 1: not measured: it has no run" in text


def test_row_with_one_failed_seed_says_so(made):
    row = made.rows["hierarchical"]
    assert (row.seeds, row.planned_seeds, row.iou_std) == (1, 2, None)
    assert f"{row.iou:.1f} (1 of 2)" in to_markdown(made.report)


def test_strict_reading_raises(made):
    with pytest.raises(BenchError, match="row explicit, seed 0: failed"):
        load_frames(made.store, strict=True)


@pytest.mark.parametrize(
    ("value", "problem"),
    [("many", "x: tag 'k' is 'many', not float"), (None, "x: no tag 'k' for column 'c'")],
)
def test_unreadable_and_missing_values_are_problems(value, problem):
    problems = Problems(strict=False)
    record = {"tag": {"k": value} if value else {"other": "1"}}
    frame = make_frame([Column("c", "tag", "k", float, required=True)], [("x", record)], problems)
    assert problems == [problem]
    assert frame["c"].isna().all()


def test_published_stands_beside_measured_under_its_own_name(made):
    grid = made.report.grids()[0]
    single = dict(zip(grid.headers, grid.lines[0], strict=True))
    assert single["published"] == "47.7"
    assert single["mean IoU"] != "47.7"
    assert "Published: Table 9 of a book." in grid.notes
    assert made.report.grids()[-1].headers.count("published") == 2


def test_sweep_without_published_values_has_no_such_column(made):
    rows = [
        replace(row, published_iou=None, published_cost=None, published_minibatch=None)
        for row in made.report.rows
    ]
    for grid in replace(made.report, rows=rows).grids():
        assert "published" not in grid.headers


def test_contours_and_sizes_of_objects(made):
    structures = made.report.grids()[1]
    measured = dict(zip(structures.headers, structures.lines[1], strict=True))
    assert list(measured.values())[1:] == ["40.0", "10.0", "30.2", "80.0"]
    absent = [
        replace(row, boundary_iou=None, small_iou=None, medium_iou=None, large_iou=None)
        for row in made.report.rows
    ]
    assert len(replace(made.report, rows=absent).grids()) == 2


def test_costs_are_ratios_to_the_baseline(made):
    row = made.rows["hierarchical"]
    assert row.article_gmacs_ratio == 1.25
    assert row.gmacs_ratio == 1.5
    assert row.minibatch_ratio == pytest.approx(1.5)
    assert row.eval_gmacs_ratio == 5.5
    assert row.peak_ratio == 1.2
    assert row.published_minibatch_ratio is None


def test_costs_of_trained_networks_where_they_vary(made):
    plan = {
        **made.frames.plan,
        "costs_of": "trained",
        "unavailable": {"half": "float16 is not available on cpu"},
    }
    report = Report.of(replace(made.frames, plan=plan))
    accuracy, _, cost = report.grids()
    row = dict(zip(cost.headers, cost.lines[3], strict=True))
    assert "training cost" not in row
    assert (row["parameters"], row["GMACs"], row["minibatch"]) == ("0.0 M", "1.50", "300 ms 1.50x")
    assert "Left out: half, float16 is not available on cpu." in accuracy.notes
    assert "1.50 times its minibatch time and 6.00 times its evaluation time" in report.answer
    with house_style():
        figure = cost_figure(report)
    assert "training step" in figure.caption
    assert "minibatch time" in figure.figure.axes[0].get_xlabel()


def test_nothing_is_expected_of_rows_without_published_values(made):
    rows = made.frames.rows.assign(published_iou=float("nan"))
    frames = replace(made.frames, rows=rows)
    assert {finding.group for finding in findings(frames)} == {"thin"}
    several = replace(frames, plan={**frames.plan, "baseline": "avgpool"})
    assert findings(several) == []


def test_many_rows_of_one_strategy_look_different(made):
    rows = [replace(made.rows["hierarchical"], row=str(number)) for number in range(15)]
    assert len(set(looks(rows).values())) == 15
    assert looks(rows[:2])["0"] == looks(made.report.rows)["hierarchical"]


def two_images(hits):
    """Two images of 100 pixels and one class, with so many right and none predicted elsewhere."""
    return np.array([[[hit], [100], [hit]] for hit in hits])


def test_bootstrap_by_hand():
    # Of two images a resample is one of them twice (a quarter each) or both: the 2.5 and 97.5
    # percentiles are the differences of single images, 10 and 30 points; the mean is 20.
    difference = paired_bootstrap(two_images([60, 80]), two_images([50, 50]))
    assert difference == pytest.approx((20, 10, 30))


def test_bootstrap_averages_seeds_over_the_same_images():
    # Seed 0 gains 10 and 30, seed 1 gains 30 and 10: every resample gains 20 on average.
    rows = np.stack([two_images([60, 80]), two_images([80, 60])])
    baseline = np.stack([two_images([50, 50])] * 2)
    assert paired_bootstrap(rows, baseline) == pytest.approx((20, 20, 20))


def test_bootstrap_of_some_classes():
    counts = np.concatenate([two_images([60, 80]), two_images([10, 10])], axis=2)
    other = np.concatenate([two_images([50, 50]), two_images([90, 90])], axis=2)
    assert paired_bootstrap(counts, other, classes=[0]) == pytest.approx((20, 10, 30))


def test_differences_use_the_seeds_that_both_rows_have(made):
    difference = made.rows["hierarchical"].difference
    expected = mean_iou(make_counts("hierarchical", 0)) - mean_iou(make_counts("single", 0))
    assert difference.mean == pytest.approx(expected)
    assert (difference.seeds, made.rows["avgpool"].difference.seeds) == (1, 2)
    assert compare(made.frames, "later", "single") is None


def test_findings_follow_the_published_order_and_thin_structures(made):
    order = {(f.lower, f.higher): f.verdict for f in made.report.findings if f.group == "order"}
    assert order["single", "avgpool"] == "holds"
    assert order["avgpool", "explicit"] == "not measured"
    assert len(order) == 6
    thin = [finding for finding in made.report.findings if finding.group == "thin"]
    assert [finding.higher for finding in thin] == ["avgpool", "explicit", "hierarchical", "later"]
    assert thin[0].difference.mean > 0


def test_answer_names_the_best_row_its_cost_and_what_is_missing(made):
    assert made.report.answer.startswith("Highest mean IoU: Hierarchical <b> (")
    assert "1.25 times its training cost" in made.report.answer
    assert "2 of 5 rows have no result" in made.report.answer


def test_answer_names_no_cost_where_all_are_the_same(made):
    rows = [
        replace(row, article_gmacs_ratio=1.0, eval_gmacs_ratio=1.001) for row in made.report.rows
    ]
    text = answer(made.frames, rows)
    assert "at the same cost. Its lead over Avgpool <b>, " in text
    assert " times " not in text


def test_csv_keeps_every_digit(made, tmp_path):
    (tmp_path / "table.csv").write_text(to_csv(made.report))
    table = pd.read_csv(tmp_path / "table.csv", float_precision="round_trip").set_index("row")
    for name, row in made.rows.items():
        for column in ("iou", "thin_iou", "article_gmacs_ratio", "minibatch", "published_iou"):
            value = getattr(row, column)
            assert table.loc[name, column] == value or (
                value is None and pd.isna(table.loc[name, column])
            )
    assert table.loc["avgpool", "difference_low"] == made.rows["avgpool"].difference.low


def test_latex_is_escaped(made):
    text = to_latex(made.report)
    assert r"$<$script$>$alert(1)$<$/script$>$ \& cost\_50\%" in text
    assert text.count(r"\toprule") == 3


def test_page_escapes_names_and_fetches_nothing(built):
    page = (built / "index.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Avgpool &lt;b&gt;" in page
    assert "http" not in page.split("<body>")[1].replace('http-equiv="', "")
    assert page.count("data:image/") == 5


def test_figures_are_drawn(built):
    names = {path.name for path in (built / "figures").glob("*.png")}
    assert names == {
        "iou_against_cost.png",
        "iou_by_class.png",
        "training_curves.png",
        "scales_hierarchical.png",
        "scales_avgpool.png",
    }
    for path in (built / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert min(image.size) > 300
            assert len(set(image.convert("L").getdata())) > 10
        assert path.with_suffix(".svg").stat().st_size > 5000


def test_rebuilt_from_mlflow_alone_it_is_the_same(built, made, tmp_path):
    texts = {path.name: path.read_text() for path in built.iterdir() if path.is_file()}
    rmtree(built)
    assert main(["made", "--run", made.parent[:12], "--out", str(built)]) == 0
    assert texts == {path.name: path.read_text() for path in built.iterdir() if path.is_file()}


def test_a_reused_cost_run_of_an_earlier_parent_is_found(made):
    tags = {"kind": "sweep", "profile": "quick"}
    later = made.client.create_run(made.experiment, tags=tags)
    try:
        store = RunStore("made")
        names = {row["name"] for row in ROWS}
        assert store.costs(later, names)[1]["device"] == "cpu"
        assert store.costs(later, {*names, "unknown"}) is None
        assert store.parent(None)[0].info.run_id == made.parent  # the later one has no plan
    finally:
        made.client.delete_run(later.info.run_id)


def test_list(made, capsys):
    assert main(["--list"]) == 0
    assert capsys.readouterr().out == "made\n"
    assert main(["made", "--list"]) == 0
    assert made.parent in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a sweep"),
        (["tableX"], "MLflow has no sweep 'tableX'; known: made"),
        (["made", "--run", "abc-"], "sweep made has no run abc-"),
        (["made", "--profile", "mapillary"], "sweep made has no run of profile mapillary"),
        (["made", "--out", "/dev/null/x"], "the report can't be written to /dev/null/x"),
    ],
)
def test_mistakes_are_one_line_and_status_2(made, capsys, arguments, message):
    assert run_main(main, arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_missing_store_is_an_error_and_is_not_created(made, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
    assert run_main(main, ["made"]) == 2
    assert "no MLflow store" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()


def test_imports_are_light_and_never_reach_training():
    code = (
        "import sys, reports.__main__; heavy = {'mlflow', 'pandas', 'matplotlib', 'torch'};"
        "print(sorted(heavy & set(sys.modules)));"
        "import reports.build;"
        "print([n for n in sys.modules if n.split('.')[0] in ('torch', 'ray', 'models')"
        " or n in ('bench.train', 'bench.trial', 'bench.schedule')])"
    )
    root = Path(__file__).parent.parent
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert result.stdout == "[]\n[]\n", result.stderr
