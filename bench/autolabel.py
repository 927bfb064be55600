"""Label images with a finished network: classes where it is sure, the ignore index elsewhere.

Labels are indexed PNG files in the encoding of the data set; manifest.json sums them up. Running
the same command again labels what is missing.

Exit status: 0 when every image has its label, 1 when some can't be read (they are listed), 2 when
something is wrong with the command or its input, 130 after an interruption.
"""

import argparse
import sys
from pathlib import Path

from bench.errors import BenchError, run_main

EXAMPLES = """examples:
  python -m bench.autolabel --checkpoint model.pt --images photos/ --out labels/
  python -m bench.autolabel --checkpoint RUN_ID --images streets --split coarse --out labels/
  python -m bench.autolabel --checkpoint RUN_ID --images camvid --data-root ../camvid --out labels/
  python -m bench.autolabel --checkpoint model.pt --images photos/ --out SHARED_DIR \\
      --address auto --workers 8
"""


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.autolabel",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--checkpoint", required=True, metavar="RUN_OR_FILE", help="MLflow run id, or a model.pt"
    )
    parser.add_argument(
        "--images",
        required=True,
        metavar="FOLDER_OR_DATASET",
        help="folder of image files at any depth, or the name of a data set",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="for the labels")
    parser.add_argument(
        "--threshold", type=float, default=0.5, help="label what is more probable (default: 0.5)"
    )
    parser.add_argument(
        "--scales", default="0.5,1,2", help="of the inference; default: %(default)s"
    )
    parser.add_argument("--split", default="coarse", help="of a data set (default: coarse)")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the data set")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--workers", type=int, metavar="N", help="label in N Ray workers")
    parser.add_argument("--address", help="join the Ray cluster at this address, such as auto")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = parse(argv)
    if not 0 <= options.threshold < 1:
        raise BenchError(f"--threshold {options.threshold}: at least 0 and below 1")
    if options.workers is not None and options.workers < 1:
        raise BenchError(f"--workers {options.workers}: at least 1")
    from bench.labels.command import run_autolabel

    return run_autolabel(options)


if __name__ == "__main__":
    sys.exit(run_main(main))
