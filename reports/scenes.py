"""Figures 2 and 5: what every scale predicts, and where the attention looks.

For every pictured image: the image, its truth and the prediction; then the prediction and the
attention of every scale. White attention is 1; at each pixel the scales' attention sums to 1.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec, SubplotSpec
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image

from reports.figures import WIDTH, Drawing, house_style
from reports.formats import Report
from reports.store import RunStore
from reports.summary import RowSummary, class_names, scales_text, thin_indices

IGNORED = 255
LEGEND_COLUMNS = 7
PREFERENCE = ("hierarchical", "explicit", "avgpool")
"""Strategies in the order in which their scenes are shown."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """One pictured image; class maps hold class indices, 255 where ignored.

    Attributes:
        name: the image's id.
        image: H x W x 3.
        truth: H x W class indices.
        prediction: H x W class indices.
        predictions: scale -> H x W class indices.
        attention: scale -> H x W weights, 0 to 255 for 0 to 1.
        palette: 256 x 3 colours of the class indices.
    """

    name: str
    image: Pixels
    truth: Pixels
    prediction: Pixels
    predictions: dict[float, Pixels]
    attention: dict[float, Pixels]
    palette: Pixels


def draw_scenes(report: Report, store: RunStore) -> list[Drawing]:
    """One figure a strategy of several scales: its row of most scales, its first seed."""
    drawings = []
    for strategy in PREFERENCE:
        rows = [row for row in report.rows if row.strategy == strategy and row.seeds]
        if not rows:
            continue
        row = max(rows, key=lambda row: len(row.eval_scales))
        runs = report.frames.runs
        run = runs[(runs["row"] == row.row) & (runs["state"] == "measured")].iloc[0]
        scenes = read_scenes(report, store, row.row, run["run_id"])
        if scenes:
            with house_style():
                drawings.append(scene_figure(report, row, scenes, int(run["seed"])))
    return drawings


def read_scenes(report: Report, store: RunStore, row: str, run_id: str) -> list[Scene]:
    """The images that a run pictured for a row, the one with most thin pixels first."""
    declared = next(each for each in report.frames.plan["rows"] if each["name"] == row)
    folder = store.fetch(run_id, f"pictures/{declared['evaluation']}")
    if folder is None:
        report.frames.problems.append(f"row {row}: no pictures of {declared['evaluation']}")
        return []
    scenes = []
    for path in sorted(each for each in folder.iterdir() if each.is_dir()):
        try:
            scenes.append(read_scene(path))
        except (OSError, ValueError) as error:
            report.frames.problems.append(f"row {row}: picture {path.name}: {error}")
    thin = thin_indices(report.frames)
    return sorted(scenes, key=lambda scene: -np.isin(scene.truth, thin).mean())


def read_scene(folder: Path) -> Scene:
    """Read the PNG files of one pictured image."""
    with Image.open(folder / "truth.png") as truth:
        colors = np.array(truth.getpalette() or [0, 0, 0], dtype=np.uint8).reshape(-1, 3)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colors)] = colors
    with Image.open(folder / "image.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    return Scene(
        folder.name,
        pixels,
        _read_map(folder / "truth.png"),
        _read_map(folder / "prediction.png"),
        _read_scales(folder, "prediction"),
        _read_scales(folder, "attention"),
        palette,
    )


def scene_figure(report: Report, row: RowSummary, scenes: Sequence[Scene], seed: int) -> Drawing:
    """Draw the scenes of a row below one another, with one legend of the classes."""
    height, width = scenes[0].truth.shape
    count = max(len(scenes[0].predictions), 1)
    rows_high = [WIDTH / 3 * height / width, *2 * [WIDTH / count * height / width]]
    handles = _class_patches(report, scenes)
    legend_high = 0.2 + 0.16 * -(-len(handles) // LEGEND_COLUMNS)
    total = (sum(rows_high) + 0.55) * len(scenes) + legend_high
    figure = Figure(figsize=(WIDTH, total))
    outer = figure.add_gridspec(
        len(scenes),
        1,
        left=0.005,
        right=0.995,
        top=1 - 0.2 / total,
        bottom=legend_high / total,
        hspace=0.1,
    )
    for index, scene in enumerate(scenes):
        _draw_scene(figure, outer[index], scene, rows_high, thin_indices(report.frames))
    figure.legend(handles=handles, loc="lower center", ncols=LEGEND_COLUMNS, fontsize=7)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", row.row)
    return Drawing(
        f"scales_{name}",
        figure,
        f"{row.display}: prediction and attention of every scale",
        f"Seed {seed}. White attention is 1; at each pixel the "
        f"attention of scales {scales_text(row.eval_scales)} sums to 1. Images are those with "
        "most and fewest pixels of thin structures; the article's figures 2 and 5.",
    )


def _draw_scene(
    figure: Figure,
    spec: SubplotSpec,
    scene: Scene,
    heights: Sequence[float],
    thin: Sequence[int],
) -> None:
    scales = sorted(scene.predictions)
    columns = lcm(3, max(len(scales), 1))
    grid = GridSpecFromSubplotSpec(
        3, columns, spec, height_ratios=heights, hspace=0.16, wspace=0.02 * columns
    )

    def axes(line: int, index: int, count: int) -> Axes:
        step = columns // count
        return figure.add_subplot(grid[line, index * step : (index + 1) * step])

    share = 100 * np.isin(scene.truth, thin).mean()
    tops = {
        f"{scene.name} ({share:.1f} % thin)": scene.image,
        "truth": scene.palette[scene.truth],
        "prediction": scene.palette[scene.prediction],
    }
    for index, (title, pixels) in enumerate(tops.items()):
        _show(axes(0, index, 3), pixels, title)
    for index, scale in enumerate(scales):
        pixels = scene.palette[scene.predictions[scale]]
        _show(axes(1, index, len(scales)), pixels, f"prediction at {scales_text([scale])}")
        if scale in scene.attention:
            ax = axes(2, index, len(scales))
            _show(ax, scene.attention[scale], f"attention at {scales_text([scale])}")


def _show(ax: Axes, pixels: Pixels, title: str) -> None:
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set_title(title, fontsize=7, pad=2.5)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(True)


def _class_patches(report: Report, scenes: Sequence[Scene]) -> list[Patch]:
    """Legend entries of the classes that the scenes show."""
    names = class_names(report.frames)
    shown = [(scene.truth, scene.prediction, *scene.predictions.values()) for scene in scenes]
    present = np.unique(np.concatenate([each.ravel() for maps in shown for each in maps]))
    palette = scenes[0].palette / 255
    return [
        Patch(
            facecolor=palette[index],
            edgecolor="#808080",
            lw=0.5,
            label="ignored" if index == IGNORED else names[index],
        )
        for index in present
        if index == IGNORED or index < len(names)
    ]


def _read_scales(folder: Path, kind: str) -> dict[float, Pixels]:
    paths = folder.glob(f"{kind}_*.png")
    return {float(path.stem.removeprefix(f"{kind}_")): _read_map(path) for path in paths}


def _read_map(path: Path) -> Pixels:
    """Pixel values as they are: class indices of a palette image, weights of a gray one."""
    with Image.open(path) as image:
        return np.asarray(image)
