"""Build every form of a sweep's report from what MLflow holds."""

from pathlib import Path

from rich.console import Console

from bench.errors import BenchError
from reports.figures import Drawing, draw_all
from reports.formats import Report, print_report, to_csv, to_latex, to_markdown
from reports.frames import load_frames
from reports.html import render_page
from reports.label_figures import label_charts, label_pictures
from reports.scenes import draw_scenes
from reports.store import RunStore

PHOTO_DPI = 250
"""Scenes are pixel images: sharper than the curves, and embedded as PNG."""


def build_report(sweep: str, parent: str | None, folder: Path, console: Console) -> None:
    """Write tables, figures and the HTML page into ``folder`` and print the terminal's table.

    Args:
        sweep: name of the sweep, which is the MLflow experiment's.
        parent: id of the sweep run; by default the newest finished one.
        folder: where the report goes.
        console: where the table is printed.

    Raises:
        BenchError: there is no such sweep or run, or ``folder`` can't be written.
    """
    store = RunStore(sweep)
    write_report(store, Report.of(load_frames(store, parent)), folder, console)


def write_report(store: RunStore, report: Report, folder: Path, console: Console) -> None:
    """Write and print a report that was read.

    Raises:
        BenchError: ``folder`` can't be written.
    """
    try:
        drawings = _write_files(store, report, folder)
        (folder / "index.html").write_text(render_page(report, drawings), encoding="utf-8")
    except OSError as error:
        raise BenchError(f"the report can't be written to {folder}: {error}") from error
    print_report(console, report)


def _write_files(store: RunStore, report: Report, folder: Path) -> list[tuple[Drawing, Path]]:
    """Write tables and figures; returns the figures with the files that the page takes."""
    figures = folder / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    texts = {
        "table.md": to_markdown(report),
        "table.csv": to_csv(report),
        "table.tex": to_latex(report),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    drawings = []
    for drawing in [*draw_all(report), *label_charts(report)]:
        drawing.save(figures)
        drawings.append((drawing, figures / f"{drawing.name}.svg"))
    for drawing in [*draw_scenes(report, store), *label_pictures(report, store)]:
        drawing.save(figures, PHOTO_DPI)
        drawings.append((drawing, figures / f"{drawing.name}.png"))
    return drawings
