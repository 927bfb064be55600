"""A teacher labels images, one at a time, and what came out is summed up.

The label files say what is done, so labelling that was killed goes on with what is missing.

Letters: K classes, H W an image's grid.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.datasets import IGNORE_INDEX, SegmentationDataset, sample_id
from bench.datasets.label_folder import (
    LabelFolder,
    hard_label,
    read_manifest,
    remove_partial,
    write_manifest,
)
from bench.errors import BenchError
from bench.inference import predict
from bench.labels.storage import storage_report
from bench.trained import Trained

RECORDS = "records.jsonl"
IGNORED = "ignored"

Pixels = list[int]
"""Pixels of every class, then ignored ones."""


@dataclass(frozen=True)
class Record:
    """What is known of one image's label.

    Attributes:
        id: the image.
        skipped: why it has no label; empty where it has one.
        bytes: size of the label's file.
        pixels: of the label.
        own_pixels: of the label that the data set has of the image.
        compared: labelled pixels whose true class is known.
        right: those of them that have it.
    """

    id: str
    skipped: str = ""
    bytes: int = 0
    pixels: Pixels | None = None
    own_pixels: Pixels | None = None
    compared: int = 0
    right: int = 0


@dataclass(frozen=True)
class Labeller:
    """Labels images of a data set with a trained network; it can be sent to another process.

    Attributes:
        teacher: the network.
        dataset: the images.
        truth: the same images with true labels, to see how good the teacher's are.
        folder: where labels go.
        threshold: a pixel takes its top class if that is more probable; ``None`` for soft labels.
        scales: scales of the inference.
    """

    teacher: Trained
    dataset: SegmentationDataset
    truth: SegmentationDataset | None
    folder: LabelFolder
    threshold: float | None
    scales: tuple[float, ...]

    def label(self, index: int) -> Record:
        """Label an image, or look at the label that it has.

        Raises:
            BenchError: the label can't be written, or one that is there can't be read.
        """
        name = sample_id(self.dataset, index)
        try:
            sample = self.dataset[index]
        except BenchError as error:
            return Record(name, skipped=str(error))
        file = self.folder.file(name)
        if file.exists():
            label = self.folder.read(name)
        else:
            model = self.teacher.ruled(self.scales)
            prediction = predict(model, sample.image, self.scales, self.teacher.precision)
            label = make_label(prediction.logits_BKHW[0], self.threshold)
            self.folder.write(name, label)
        hard = hard_label(label)
        compared = right = 0
        if self.truth is not None:
            truth = self.truth[index].label
            both = (truth != IGNORE_INDEX) & (hard != IGNORE_INDEX)
            compared, right = int(both.sum()), int((truth == hard)[both].sum())
        return Record(
            name,
            bytes=file.stat().st_size,
            pixels=self._count(hard),
            own_pixels=self._count(sample.label),
            compared=compared,
            right=right,
        )

    def _count(self, label: NDArray[Any]) -> Pixels:
        counts = np.bincount(label.ravel(), minlength=256)
        return [
            int(count) for count in (*counts[: len(self.dataset.classes)], counts[IGNORE_INDEX])
        ]


def make_label(logits_KHW: Tensor, threshold: float | None) -> NDArray[Any]:
    """What is stored of a prediction.

    Args:
        logits_KHW: fused logits.
        threshold: a pixel whose top probability exceeds it takes that class, any other 255.

    Returns:
        H W uint8, or H W K float16 probabilities where ``threshold`` is ``None``.
    """
    logits = logits_KHW.float()
    if threshold is None:
        return logits.softmax(0).permute(1, 2, 0).half().cpu().numpy()
    top, classes = logits.max(0)
    sure = (top - logits.logsumexp(0)).exp() > threshold
    return torch.where(sure, classes, IGNORE_INDEX).to(torch.uint8).cpu().numpy()


def make_labels(
    labeller: Labeller,
    records: Callable[[Labeller, Sequence[int]], Iterable[Record]],
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Label what has no label yet, and sum up.

    Args:
        labeller: teacher, images and folder.
        records: labels the images of the given indices, in any order.
        on_image: called with (done, total), also before the first image.

    Returns:
        The manifest, which is written to the folder as well.

    Raises:
        BenchError: the folder holds labels of another teacher, threshold or set of images, or
            none of the images can be read.
    """
    folder = labeller.folder.path
    head = begin_folder(labeller)
    known = read_records(folder, labeller)
    names = [sample_id(labeller.dataset, index) for index in range(len(labeller.dataset))]
    missing = [index for index, name in enumerate(names) if name not in known]
    done = len(names) - len(missing)
    if missing:
        write_manifest(folder, head)
    on_image(done, len(names))
    with (folder / RECORDS).open("a", encoding="utf-8") as file:
        for record in records(labeller, missing):
            known[record.id] = record
            file.write(json.dumps(asdict(record)) + "\n")
            file.flush()
            done += 1
            on_image(done, len(names))
    content = {**head, **summarise([known[name] for name in names], labeller)}
    if not content["labelled"]:
        raise BenchError(f"no image could be labelled: {content['skipped'][0]['reason']}")
    write_manifest(folder, content)
    return content


def begin_folder(labeller: Labeller) -> dict[str, Any]:
    """Check that a folder is empty or ours, and write the manifest's head.

    Raises:
        BenchError: it holds other labels, or can't be written.
    """
    folder = labeller.folder.path
    head: dict[str, Any] = {
        "recipe": {
            "teacher": weights_digest(labeller.teacher),
            "threshold": labeller.threshold,
            "scales": list(labeller.scales),
            "images": f"{labeller.dataset.name} {labeller.dataset.split}",
        },
        "teacher": labeller.teacher.source,
        "classes": list(labeller.dataset.classes),
        "complete": False,
    }
    found = read_manifest(folder)
    if found is not None:
        for key, value in head["recipe"].items():
            other = found.get("recipe", {}).get(key)
            if other != value:
                raise BenchError(
                    f"{folder} holds labels of {key} {other}, not {value}: name another folder, "
                    "or delete this one"
                )
        remove_partial(folder)
        return head
    if folder.is_dir() and any(folder.iterdir()):
        raise BenchError(f"{folder} holds other files than labels: name a new or empty folder")
    try:
        write_manifest(folder, head)
    except OSError as error:
        raise BenchError(
            f"{folder} can't be written ({error.strerror}): name another folder"
        ) from error
    return head


def read_records(folder: Path, labeller: Labeller) -> dict[str, Record]:
    """What earlier runs noted of labels that are still there; a half-written line is left out."""
    path, known = folder / RECORDS, {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            record = Record(**json.loads(line))
        except (ValueError, TypeError):
            continue
        if not record.skipped and labeller.folder.file(record.id).exists():
            known[record.id] = record
    return known


def summarise(records: Sequence[Record], labeller: Labeller) -> dict[str, Any]:
    """The manifest's body: pixels by class, coverage, accuracy, bytes, what was skipped."""
    made = [record for record in records if not record.skipped]
    names = [*labeller.dataset.classes, IGNORED]

    def total(kind: str) -> dict[str, int]:
        counts = np.sum([getattr(record, kind) for record in made] or [[0] * len(names)], axis=0)
        return dict(zip(names, counts.tolist(), strict=True))

    def coverage(pixels: dict[str, int]) -> float:
        return 1 - pixels[IGNORED] / max(sum(pixels.values()), 1)

    pixels, own = total("pixels"), total("own_pixels")
    compared = sum(record.compared for record in made)
    size = sum(record.bytes for record in made)
    area, classes = sum(pixels.values()), len(labeller.dataset.classes)
    return {
        "complete": True,
        "labelled": len(made),
        "skipped": [
            {"image": record.id, "reason": record.skipped} for record in records if record.skipped
        ],
        "pixels": pixels,
        "coverage": coverage(pixels),
        "own_pixels": own if coverage(own) else None,
        "own_coverage": coverage(own) or None,
        "accuracy": sum(record.right for record in made) / compared if compared else None,
        "bytes": size,
        "storage": storage_report(size, len(made), area, classes, labeller.folder.soft)
        if made
        else None,
    }


def weights_digest(teacher: Trained) -> str:
    """Twelve hex digits that identify a network's weights."""
    content = hashlib.sha256()
    for name, tensor in teacher.model.state_dict().items():
        content.update(name.encode())
        content.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()[:12]
