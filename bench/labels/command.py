"""What ``python -m bench.autolabel`` does: teacher, images, labels, storage report."""

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.datasets import DATASETS, SegmentationDataset, dataset_class, open_split
from bench.datasets.label_folder import MANIFEST, LabelFolder
from bench.datasets.unlabelled import Unlabelled
from bench.labels.labelling import Labeller, make_labels
from bench.labels.storage import storage_lines
from bench.labels.workers import LabelWorkers, label_here
from bench.options import chosen_scales
from bench.progress import Progress
from bench.run import choose_device
from bench.schedule import ray_session
from bench.trained import Trained, open_trained

LISTED = 10
"""Skipped images that are printed; the manifest has them all."""


def run_autolabel(options: argparse.Namespace) -> int:
    """Label images as the command line says.

    Returns:
        0 when every image has its label, 1 when some were skipped, 130 after an interruption.
    """
    console = Console(file=sys.stdout, highlight=False)
    scales = chosen_scales(options.scales, ())
    remote = options.workers is not None or options.address is not None
    device = choose_device(options.device, options.address)
    teacher = open_trained(options.checkpoint, "cpu" if remote else device)
    images, truth = open_images(options, teacher)
    teacher = teacher.fitted(images)
    teacher.ruled(scales)  # refuses what it can't fuse
    labeller = Labeller(
        teacher, images, truth, LabelFolder(options.out, images), options.threshold, scales
    )
    try:
        with Progress("labelling", None) as progress:

            def on_image(done: int, total: int) -> None:
                progress.bar.update(progress.task, completed=done, total=total)

            if remote:
                with ray_session(options.address):
                    workers = LabelWorkers(options.workers, device, 1, int(device == "cuda"))
                    manifest = make_labels(labeller, workers, on_image)
            else:
                manifest = make_labels(labeller, label_here, on_image)
    except KeyboardInterrupt:
        console.print("interrupted; run the same command to go on")
        return 130
    show_labels(console, manifest, options.out)
    return 1 if manifest["skipped"] else 0


def open_images(
    options: argparse.Namespace, teacher: Trained
) -> tuple[SegmentationDataset, SegmentationDataset | None]:
    """The images, and the same with true labels where the data set has those.

    Raises:
        BenchError: they are not there.
    """
    data = teacher.config.data
    if options.images not in DATASETS:
        folder = Path(options.images)
        encode = getattr(dataset_class(data.dataset), "encode", None)
        images = Unlabelled(folder, teacher.classes, teacher.colors, encode, options.out)
        return images, None
    if data.dataset != options.images:
        data = data.replace(dataset=options.images, scene_size=None)
    data = data.replace(split=options.split, train_images=None, extra=None)
    dataset = open_split(data, options.split, options.data_root)
    truth = getattr(dataset, "truth_split", None)
    return dataset, open_split(data, truth, options.data_root) if truth else None


def show_labels(console: Console, manifest: dict[str, Any], folder: Path) -> None:
    """Print what was labelled, what labels cost, and what was skipped."""
    shares = [f"{manifest['coverage']:.1%} of the pixels have a class"]
    if manifest["own_coverage"] is not None:
        shares.append(f"{manifest['own_coverage']:.1%} in the data set's own labels")
    if manifest["accuracy"] is not None:
        shares.append(f"{manifest['accuracy']:.1%} of them the true one")
    console.print(f"{manifest['labelled']} images labelled; {', '.join(shares)}")
    for line in storage_lines(manifest["storage"]):
        console.print(line)
    console.print(f"labels: {folder}    summary: {folder / MANIFEST}", soft_wrap=True)
    skipped = manifest["skipped"]
    for each in skipped[:LISTED]:
        print(f"skipped {each['image']}: {each['reason']}", file=sys.stderr)
    if skipped:
        print(
            f"error: {len(skipped)} images skipped, listed in {folder / MANIFEST}: mend them and "
            "run the same command",
            file=sys.stderr,
        )
