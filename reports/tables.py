"""The tables of accuracy, structures and cost, and the findings, as text cells for any format."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reports.frames import Frames
from reports.summary import COST_TERMS, Difference, Finding, RowSummary, cost_terms, scales_text

NOTHING = "-"
"""A value that does not exist: no published one, or the baseline's difference to itself."""

ABSENT = "not measured"


@dataclass(frozen=True)
class Grid:
    """A table as text.

    Attributes:
        title: what it shows.
        headers: column heads.
        lines: cells, one list a row.
        left: number of columns that are text; the others are numbers.
        notes: what the numbers are, one sentence each.
    """

    title: str
    headers: list[str]
    lines: list[list[str]]
    left: int
    notes: list[str]


@dataclass(frozen=True)
class FindingGroup:
    """Findings in words: a title that counts them, and (inequality, numbers, verdict) each."""

    title: str
    lines: list[tuple[str, str, str]]


@dataclass(frozen=True)
class _Field:
    """A column of a grid: its head, how a row's cell is written, and whether it is published."""

    head: str
    cell: Callable[[RowSummary], str]
    published: bool = False


def accuracy_grid(frames: Frames, summaries: Sequence[RowSummary], short: bool = False) -> Grid:
    """Mean IoU, the difference to the baseline, and thin structures.

    Args:
        frames: what was read.
        summaries: its rows.
        short: row names instead of labels, and scales without commas, for terminals.
    """

    def scales(values: Sequence[float]) -> str:
        return " ".join(f"{each:g}" for each in values) if short else scales_text(values)

    fields = [
        _Field("row", lambda row: row.row if short else row.label),
        _Field("train scales", lambda row: scales(row.train_scales)),
        _Field("eval scales", lambda row: scales(row.eval_scales)),
        _Field("mean IoU", _iou_cell),
        _Field("published", lambda row: _format(row.published_iou, "{:.1f}"), published=True),
        _Field("difference [95 %]", lambda row: difference_text(row.difference)),
        _Field("thin IoU", lambda row: mean_text(row.thin_iou, row.thin_std)),
    ]
    grid = _grid("Accuracy", fields, summaries, 3, _accuracy_notes(frames, summaries))
    return _with_rivals(grid, frames.plan.get("rivals", []))


def structure_grid(summaries: Sequence[RowSummary], short: bool = False) -> Grid:
    """Contours and objects by size: what several scales are for.

    Args:
        summaries: the rows.
        short: row names instead of labels.
    """

    def mean(name: str) -> Callable[[RowSummary], str]:
        return lambda row: mean_text(getattr(row, name), None)

    fields = [
        _Field("row", lambda row: row.row if short else row.display),
        _Field("boundary IoU", mean("boundary_iou")),
        _Field("small objects", mean("small_iou")),
        _Field("medium objects", mean("medium_iou")),
        _Field("large objects", mean("large_iou")),
    ]
    notes = [
        "IoU in percent, means over classes and seeds. Boundary: within 2 % of the diagonal of the "
        "image from a class's contour. Objects are connected regions of a class: small below 0.1 % "
        "of the image, large from 1 % on."
    ]
    return _grid("Structures", fields, summaries, 1, notes)


def cost_grid(frames: Frames, summaries: Sequence[RowSummary], short: bool = False) -> Grid:
    """What training and evaluation cost, as ratios to the baseline's and absolute.

    Where strategies vary, operations are the article's network's; elsewhere the trained one's.
    """

    def times(name: str) -> Callable[[RowSummary], str]:
        def cell(row: RowSummary) -> str:
            measured = getattr(row, name) is not None
            return _format(
                getattr(row, f"{name}_ratio"), "{:.2f}x", NOTHING if measured else ABSENT
            )

        return cell

    operations = [
        _Field("training cost", times("article_gmacs")),
        _Field("published", lambda row: _format(row.published_cost, "{:.2f}x"), published=True),
    ]
    if _trained(frames):
        operations = [
            _Field("parameters", lambda row: _format(_million(row.parameters), "{:.1f} M", ABSENT)),
            _Field("GMACs", lambda row: _format(row.gmacs, "{:.2f}", ABSENT)),
        ]
    fields = [
        _Field("row", lambda row: row.row if short else row.display),
        *operations,
        _Field("minibatch", _minibatch_cell),
        _Field("published", _published_minibatch, published=True),
        _Field("memory", lambda row: _format(row.peak_mib, "{:,.0f} MiB", ABSENT)),
        _Field("eval cost", times("eval_gmacs")),
        _Field("eval time", times("eval_seconds")),
    ]
    return _grid("Cost", fields, summaries, 1, _cost_notes(frames, summaries))


def finding_groups(
    found: Sequence[Finding], names: Callable[[str], str] = lambda name: name
) -> list[FindingGroup]:
    """Findings in words.

    Args:
        found: the findings.
        names: row name -> what to call it.
    """
    titles = {
        "order": "Mean IoU in the published order",
        "thin": "Thin structures better than the baseline's",
    }
    groups = []
    for group, title in titles.items():
        members = [each for each in found if each.group == group]
        holding = sum(each.verdict.startswith("holds") for each in members)
        lines = [
            (f"{names(each.lower)} < {names(each.higher)}", _finding_numbers(each), each.verdict)
            for each in members
        ]
        if members:
            groups.append(FindingGroup(f"{title}: {holding} of {len(members)} hold", lines))
    return groups


def mean_text(mean: float | None, std: float | None) -> str:
    """Mean and, with several seeds, standard deviation."""
    if mean is None:
        return NOTHING
    return f"{mean:.1f}" if std is None else f"{mean:.1f} ± {std:.1f}"


def difference_text(difference: Difference | None) -> str:
    """Difference and interval, such as ``+1.1 [+0.5, +1.8]``."""
    if difference is None:
        return NOTHING
    return f"{difference.mean:+.1f} [{difference.low:+.1f}, {difference.high:+.1f}]"


def _accuracy_notes(frames: Frames, summaries: Sequence[RowSummary]) -> list[str]:
    plan, seeds = frames.plan, len(frames.plan["seeds"])
    count = len(next(iter(frames.images.values()), []))
    images = f", {count} images" if count else ""
    spread = f"mean ± standard deviation of {seeds} seeds" if seeds > 1 else "one seed"
    lines = [f"Mean IoU in percent on {plan['dataset']} {plan['split']}{images}; {spread}."]
    if plan["baseline"] not in {row.row for row in summaries}:
        lines.append(f"The baseline {plan['baseline']} is not in this run: nothing to compare to.")
    elif len(summaries) > 1:
        pooling = ", drawn once for both rows and all seeds, and averaged over the seeds"
        lines.append(
            f"Difference to {plan['baseline']}: 95 % paired bootstrap interval over the images"
            f"{pooling if seeds > 1 else ''}."
        )
    if any(row.published_iou is not None for row in summaries):
        lines.append(f"Published: {plan['source']}.")
    for name, reason in plan.get("unavailable", {}).items():
        lines.append(f"Left out: {name}, {reason}.")
    return lines


def _cost_notes(frames: Frames, summaries: Sequence[RowSummary]) -> list[str]:
    costs = frames.costs
    if not costs:
        return ["Costs were not measured in this run."]
    crop = " x ".join(str(side) for side in costs["crop"])
    threads = f"{costs['threads']} thread{'s' if costs['threads'] != 1 else ''}"
    counted = (
        "Costs are ratios to the baseline's multiply-accumulates by fvcore: a training pass of "
        "the article's network, an evaluated image of the trained network."
    )
    if _trained(frames):
        counted = (
            "Everything is of the trained networks. GMACs: 10^9 multiply-accumulates by fvcore in "
            "one crop's training pass; eval cost: those of an evaluated image; ratios are to the "
            "baseline's."
        )
    return [
        counted,
        f"Minibatch, memory and eval time: {costs['device']}, {costs['precision']}, batch "
        f"{costs['batch_size']} of {crop}, {threads}, medians of {costs['rounds']} "
        "interleaved rounds.",
    ]


def _trained(frames: Frames) -> bool:
    return cost_terms(frames) == COST_TERMS["trained"]


def _million(value: float | None) -> float | None:
    return None if value is None else value / 1e6


def _iou_cell(row: RowSummary) -> str:
    if row.iou is None:
        return row.state
    partial = f" ({row.seeds} of {row.planned_seeds})" if row.seeds < row.planned_seeds else ""
    return mean_text(row.iou, row.iou_std) + partial


def _minibatch_cell(row: RowSummary) -> str:
    return _with_ratio(row.minibatch, row.minibatch_ratio, "{:.2f}x") or ABSENT


def _published_minibatch(row: RowSummary) -> str:
    ratio = row.published_minibatch_ratio
    return _with_ratio(row.published_minibatch, ratio, "{:.1f}x") or NOTHING


def _with_ratio(seconds: float | None, ratio: float | None, form: str) -> str:
    if seconds is None:
        return ""
    text = f"{seconds:.1f} s" if seconds >= 0.5 else f"{seconds * 1000:.0f} ms"
    return text if ratio is None else f"{text} {form.format(ratio)}"


def _finding_numbers(finding: Finding) -> str:
    difference = finding.difference
    if difference is None or difference.seeds == 1:
        return difference_text(difference)
    return f"{difference_text(difference)}, {difference.agree}/{difference.seeds} seeds"


def _grid(
    title: str, fields: list[_Field], rows: Sequence[RowSummary], left: int, notes: list[str]
) -> Grid:
    shown = []
    for field in fields:
        cells = [field.cell(row) for row in rows]
        if not field.published or any(cell != NOTHING for cell in cells):
            shown.append((field.head, cells))
    lines = [list(line) for line in zip(*(cells for _, cells in shown), strict=True)]
    return Grid(title, [head for head, _ in shown], lines, left, notes)


def _with_rivals(grid: Grid, rivals: Sequence[Mapping[str, Any]]) -> Grid:
    """The grid with the published entries of a leaderboard below its rows."""
    lines = []
    for rival in rivals:
        line = [NOTHING] * len(grid.headers)
        line[0] = rival["name"]
        line[grid.headers.index("published")] = f"{rival['iou']:.1f}"
        lines.append(line)
    return replace(grid, lines=[*grid.lines, *lines])


def _format(value: float | None, form: str, missing: str = NOTHING) -> str:
    return missing if value is None else form.format(value)
