"""Evaluate a finished network on a split: mean IoU and what it hides.

Boundary IoU is that of Cheng et al. (CVPR 2021); objects are small below 0.1 % of the image and
large from 1 %; see bench/regions.py for both definitions.
"""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, run_main
from bench.options import (
    add_data_options,
    add_inference_options,
    add_network_options,
    chosen_band_pixels,
    chosen_scales,
)

if TYPE_CHECKING:
    from bench.datasets import Sample, SegmentationDataset
    from bench.inference import EvalResult, Segmentation
    from bench.submission import Submission
    from bench.trained import Trained

EXAMPLES = """examples:
  python -m bench.evaluate --checkpoint RUN_ID --split test
  python -m bench.evaluate --checkpoint model.pt --scales 0.5,1,2 --flip --out results/mine
  python -m bench.evaluate --checkpoint released.pth --dataset cityscapes --data-root DIR \\
      --scales 0.5,1,2 --split test --submit submission.zip
"""


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.evaluate",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_network_options(parser)
    add_data_options(parser)
    parser.add_argument("--split", default="val", help="default: val")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N images only")
    add_inference_options(parser)
    parser.add_argument("--submit", type=Path, metavar="ZIP", help="write test-server files")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write classes.csv, summary.json")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = parse(argv)
    if options.limit is not None and options.limit < 1:
        raise BenchError(f"--limit {options.limit}: at least 1 image")
    if options.scales is not None:
        chosen_scales(options.scales, ())
    from bench.scores import print_scores, summarise, write_scores
    from bench.submission import Submission
    from bench.trained import open_trained

    trained = open_trained(options.checkpoint, options.device)
    scales = chosen_scales(options.scales, trained.config.train_scales)
    trained.ruled(scales)
    dataset = open_data(options, trained)
    trained = trained.fitted(dataset)
    with Submission(options.submit, dataset) if options.submit else nullcontext() as submission:
        result, summary = run(options, trained, scales, dataset, submission)
    scores = summarise(result, dataset)
    print_scores(summary, scores)
    if options.submit:
        print(f"test-server files: {options.submit}")
    if options.out:
        write_scores(options.out, summary, scores)
    return 0


def run(
    options: argparse.Namespace,
    trained: "Trained",
    scales: tuple[float, ...],
    dataset: "SegmentationDataset",
    submission: "Submission | None",
) -> "tuple[EvalResult, dict[str, Any]]":
    """Evaluate the split with a progress bar; returns counts, and what was done in words."""
    from bench.inference import evaluate
    from bench.progress import Progress

    banded: set[float] = set()
    total = min(options.limit or len(dataset), len(dataset))
    with Progress("evaluate", total) as progress:

        def on_prediction(sample: "Sample", seen: "Segmentation") -> None:
            banded.update(seen.banded)
            if submission is not None:
                submission.add(sample.id, seen.classes)
            progress.advance()

        result = evaluate(
            trained.ruled(scales),
            dataset,
            scales,
            trained.precision,
            images=options.limit,
            flip=options.flip,
            band_pixels=chosen_band_pixels(options.band_pixels),
            on_prediction=on_prediction,
        )
    return result, {
        "checkpoint": trained.source,
        "dataset": dataset.name,
        "split": dataset.split,
        "fingerprint": dataset.fingerprint(),
        "strategy": trained.rule(scales),
        "scales": scales,
        "flip": options.flip,
        "banded_scales": sorted(banded),
        "precision": trained.precision.name,
        "images": total,
        "seconds": round(progress.seconds, 1),
    }


def open_data(options: argparse.Namespace, trained: "Trained") -> "SegmentationDataset":
    """The split to evaluate: of the training's own data, at its size, or of another data set."""
    from bench.datasets import open_dataset, open_split

    own = trained.config.data
    if options.dataset in (None, own.dataset):
        return open_split(own, options.split, options.data_root)
    return open_dataset(options.dataset, options.split, options.data_root)


if __name__ == "__main__":
    sys.exit(run_main(main))
