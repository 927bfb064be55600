"""The table of labels: what they cover, how right they are, what they cost on disk."""

from collections.abc import Mapping, Sequence

import pandas as pd

from bench.labels.storage import CLASSES, HEIGHT, IMAGES, PUBLISHED, WIDTH, bytes_text, range_text
from reports.labels import LabelSet
from reports.tables import NOTHING, Grid

OWN = "ground-truth coarse"
"""What the labels that the data set has of the extra images are called."""


def label_frame(sets: Sequence[LabelSet]) -> pd.DataFrame:
    """One line a row, means over its seeds: what its labels cover, how right they are, bytes."""
    lines = []
    for each in sets:
        kind, storage = "soft" if each.soft else "hard", each.manifest["storage"]
        lines.append(
            {
                "row": each.row,
                "kind": kind,
                "threshold": None if each.soft else each.extra["threshold"],
                "own": each.manifest["own_coverage"],
                "coverage": each.manifest["coverage"],
                "accuracy": each.manifest["accuracy"],
                "image": storage[f"{kind}_bytes"],
                "low": storage[f"article_{kind}_bytes"][0],
                "high": storage[f"article_{kind}_bytes"][1],
            }
        )
    numbers = ["threshold", "own", "coverage", "accuracy", "image", "low", "high"]
    frame = pd.DataFrame(lines).astype(dict.fromkeys(numbers, float))
    return frame.groupby(["row", "kind"], sort=False).mean().reset_index()


def label_grid(sets: Sequence[LabelSet], names: Mapping[str, str]) -> Grid:
    """The table of labels: the data set's own first, then one line a row.

    Args:
        sets: at least one label set.
        names: row name -> what to call it.
    """
    frame = label_frame(sets)
    lines = []
    if frame["own"].notna().any():
        lines.append([OWN, f"{frame['own'].mean():.1%}", *[NOTHING] * 4])
    for line in frame.to_dict("records"):
        lines.append(
            [
                names[line["row"]],
                f"{line['coverage']:.1%}",
                NOTHING if pd.isna(line["accuracy"]) else f"{line['accuracy']:.1%}",
                bytes_text(line["image"]),
                range_text(line["low"], line["high"]),
                bytes_text(PUBLISHED[line["kind"]]),
            ]
        )
    heads = ["row", "coverage", "accuracy", "an image", f"{IMAGES:,} images", "published"]
    notes = [
        "Coverage: share of the extra images' pixels that have a class. Accuracy: share of those "
        "that have the true one, where the data set knows it.",
        f"{IMAGES:,} images of {WIDTH} x {HEIGHT} and {CLASSES} classes: hard labels from these "
        "by the side to by the area of an image; published: the article's.",
    ]
    return Grid("Labels of the extra images", heads, lines, 1, notes)
