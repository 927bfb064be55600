"""Check a data set on disk: counts, class frequencies, sizes, every problem, and a contact sheet.

Exit status 0 when all is well, 2 when there are problems.
"""

import argparse
import sys
from pathlib import Path

from bench.errors import BenchError, run_main

EXAMPLES = """examples:
  python -m bench.data camvid --data-root ../camvid           every image and label of every split
  python -m bench.data cityscapes --data-root DIR --split val
  python -m bench.data mapillary --data-root DIR --limit 200  the first 200 of each split
  python -m bench.data folder --data-root my_photos           your own data with a classes.json
  python -m bench.data streets --split val                    embedded data, drawn
"""


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.data",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dataset", help="name of a data set, such as cityscapes")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the data set")
    parser.add_argument("--split", help="check this split; default: all that are there")
    parser.add_argument("--limit", type=int, metavar="N", help="read N samples of a split at most")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results/data"),
        metavar="DIR",
        help="folder for the contact sheets (default: results/data)",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = parse(argv)
    if options.limit is not None and options.limit < 1:
        raise BenchError(f"--limit {options.limit}: at least 1")
    from rich.console import Console

    from bench.survey import run_survey

    return run_survey(
        Console(highlight=False),
        options.dataset,
        options.data_root,
        options.split,
        options.limit,
        options.out,
    )


if __name__ == "__main__":
    sys.exit(run_main(main))
