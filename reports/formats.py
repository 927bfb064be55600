"""A report's tables for the terminal, as Markdown, LaTeX and CSV."""

import re
from dataclasses import asdict, dataclass

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.frames import Frames
from reports.label_tables import label_grid
from reports.summary import Finding, RowSummary, answer, findings, scales_text, summarise
from reports.tables import (
    ABSENT,
    FindingGroup,
    Grid,
    accuracy_grid,
    cost_grid,
    finding_groups,
    structure_grid,
)

WIDE, NAME_WIDTH = 100, 24
"""Terminals below this width get narrow gaps; row names up to this width stay on one line."""


@dataclass(frozen=True)
class Report:
    """What every format shows.

    Attributes:
        frames: what was read of MLflow.
        rows: one summary a row.
        findings: expected inequalities.
        answer: the result in words.
    """

    frames: Frames
    rows: list[RowSummary]
    findings: list[Finding]
    answer: str

    @classmethod
    def of(cls, frames: Frames) -> "Report":
        """Sum up frames."""
        rows = summarise(frames)
        return cls(frames, rows, findings(frames), answer(frames, rows))

    @property
    def title(self) -> str:
        """The sweep's caption."""
        return str(self.frames.plan["title"])

    def grids(self, short: bool = False) -> list[Grid]:
        """The tables; ``short`` ones fit a terminal."""
        names = {row.row: row.row if short else row.display for row in self.rows}
        labels = [label_grid(self.frames.labels, names)] if self.frames.labels else []
        seen = any(row.boundary_iou is not None for row in self.rows)
        return [
            accuracy_grid(self.frames, self.rows, short),
            *([structure_grid(self.rows, short)] if seen else []),
            *labels,
            cost_grid(self.frames, self.rows, short),
        ]

    def groups(self, short: bool = False) -> list[FindingGroup]:
        """The findings in words; ``short`` ones call rows by name."""
        displays = {row.row: row.display for row in self.rows}
        return finding_groups(self.findings, str if short else displays.__getitem__)


def print_report(console: Console, report: Report) -> None:
    """Print tables, notes, findings and problems."""
    plan = report.frames.plan
    console.print()
    console.print(Text(f"{plan['sweep']} {plan['profile']}: {report.title}", style="bold"))
    for grid in report.grids(short=True):
        console.print()
        console.print(_rich_table(grid, console.width))
        for note in grid.notes:
            console.print(Text(note, style="dim"))
    for group in report.groups(short=True):
        console.print()
        console.print(Text(group.title, style="bold"))
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for line in group.lines:
            table.add_row(*(Text(cell, style=_style(cell)) for cell in line))
        console.print(table)
    if report.frames.problems:
        console.print()
        console.print(Text("Missing or failed", style="bold"))
        for problem in report.frames.problems:
            console.print(Text(problem, style="red"))
    console.print()
    console.print(Text(report.answer))


def to_markdown(report: Report) -> str:
    """Tables with notes, findings and problems as Markdown."""
    blocks = [f"# {_markdown(report.title)}", _markdown(report.answer)]
    for grid in report.grids():
        rule = ["---" if i < grid.left else "---:" for i in range(len(grid.headers))]
        lines = [grid.headers, rule, *([_markdown(cell) for cell in line] for line in grid.lines)]
        blocks.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        blocks.append(_markdown(" ".join(grid.notes)))
    for group in report.groups():
        items = [f"- {_markdown(left)}: {nums}: {verdict}" for left, nums, verdict in group.lines]
        blocks += [f"{group.title}.", "\n".join(items)]
    if report.frames.problems:
        items = [f"- {_markdown(problem)}" for problem in report.frames.problems]
        blocks += ["Missing or failed:", "\n".join(items)]
    blocks.append(f"MLflow run {report.frames.parent}, {_origin(report.frames)}.")
    return "\n\n".join(blocks) + "\n"


def to_latex(report: Report) -> str:
    """Tables as LaTeX for the booktabs package."""
    parts = [rf"% {_origin(report.frames)}", r"% needs \usepackage{booktabs}"]
    for grid in report.grids():
        columns = "l" * grid.left + "r" * (len(grid.headers) - grid.left)
        parts += [
            r"\begin{table*}",
            r"  \centering",
            rf"  \caption{{{_latex(' '.join([f'{report.title}.', *grid.notes]))}}}",
            rf"  \begin{{tabular}}{{@{{}}{columns}@{{}}}}",
            r"    \toprule",
            rf"    {' & '.join(_latex(head) for head in grid.headers)} \\",
            r"    \midrule",
            *(rf"    {' & '.join(_latex(cell) for cell in line)} \\" for line in grid.lines),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table*}",
        ]
    return "\n".join(parts) + "\n"


def to_csv(report: Report) -> str:
    """All columns in full precision; what was not measured is empty."""
    lines = []
    for row in report.rows:
        line = asdict(row)
        line |= {key: scales_text(line[key]) for key in ("train_scales", "eval_scales")}
        difference = line.pop("difference") or {}
        for key in ("mean", "low", "high", "agree", "seeds"):
            line[f"difference_{key}"] = difference.get(key)
        lines.append(line)
    for rival in report.frames.plan.get("rivals", []):
        name, iou = rival["name"], rival["iou"]
        lines.append({"row": name, "label": name, "state": "published", "published_iou": iou})
    return pd.DataFrame(lines).to_csv(index=False, lineterminator="\n")


def _origin(frames: Frames) -> str:
    """Commit, command, machine and date of the sweep run, one line."""
    run = frames.provenance.iloc[0]
    dirty = " with local changes" if run["dirty"] == "True" else ""
    return f"commit {run['commit']}{dirty}, {run['command']}, on {run['host']}, {run['date']}"


def _rich_table(grid: Grid, width: int) -> Table:
    gap = 2 if width >= WIDE else 1
    table = Table(box=None, padding=(0, gap, 0, 0), header_style="bold", pad_edge=False)
    longest = max((len(line[0]) for line in grid.lines), default=0)
    for index, head in enumerate(grid.headers):
        table.add_column(
            head.replace(" ", "\n", 1),
            justify="left" if index < grid.left else "right",
            style="dim" if head == "published" else None,
            no_wrap=index >= grid.left or (index == 0 and longest <= NAME_WIDTH),
            overflow="fold",
            vertical="bottom",
        )
    for line in grid.lines:
        cells = line if width >= WIDE else [cell.replace(ABSENT, "not\nmeasured") for cell in line]
        styles = [_style(cell) for cell in line]
        table.add_row(*(Text(*pair) for pair in zip(cells, styles, strict=True)))
    return table


def _style(cell: str) -> str:
    if cell == "failed" or cell.startswith("does not hold"):
        return "red"
    return "yellow" if cell == ABSENT or ("," in cell and cell.startswith("holds")) else ""


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _latex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {char: f"\\{char}" for char in "&%$#_{}"}
    special |= {"±": r"$\pm$", "<": "$<$", ">": "$>$"}
    escaped = "".join(special.get(char, char) for char in text)
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", escaped)
