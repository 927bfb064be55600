"""Run a sweep: train what its rows need, evaluate, measure, keep in MLflow, report.

Running the same command again goes on where it stopped.
"""

import argparse
import sys
import time
from pathlib import Path

from bench.errors import BenchError, run_main

STARTED = time.monotonic()

EXAMPLES = """examples:
  python -m bench.sweep table3                        Table 3 on embedded data, two CPU cores
  python -m bench.sweep table3 --dry-run              what would run, and how long it takes
  python -m bench.sweep table3 --seeds 3              three seeds; finished trainings are reused
  python -m bench.sweep table3 --rows single,avgpool  some rows only
  python -m bench.sweep table3 --profile camvid --data-root ../camvid
  python -m bench.sweep table3 --profile mapillary --data-root DIR --address auto --out SHARED_DIR
  python -m bench.sweep path/to/mine.py               a sweep of your own
"""


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; whatever changes a number is in the sweep's file instead."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.sweep",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sweep", nargs="?", help="a sweep's name, or a .py file of your own")
    parser.add_argument("--list", action="store_true", help="list sweeps, profiles and rows")
    parser.add_argument("--dry-run", action="store_true", help="show the plan and stop")
    parser.add_argument("--profile", help="on what to run it; default: the sweep's first")
    parser.add_argument("--rows", help="run these rows only, separated by commas")
    parser.add_argument("--seeds", type=int, metavar="N", help="train every row with N seeds")
    parser.add_argument("--fresh", action="store_true", help="reuse nothing from earlier runs")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the data set")
    parser.add_argument("--address", help="join the Ray cluster at this address, such as auto")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="checkpoints and reports; shared by all machines of a cluster (default: results)",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = parse(argv)
    if options.list:
        return list_sweeps()
    if options.sweep is None:
        raise BenchError("name a sweep, such as table3; --list shows them all")
    if options.seeds is not None and options.seeds < 1:
        raise BenchError(f"--seeds {options.seeds}: at least 1")
    from bench.run import run_sweep

    return run_sweep(options, STARTED)


def list_sweeps() -> int:
    """Print every sweep with its question, profiles and rows."""
    from sweeps import SWEEPS, load_sweep

    for name in SWEEPS:
        sweep = load_sweep(name)
        print(f"{name}: {sweep.title}")
        for profile_name, profile in sweep.profiles.items():
            print(f"  --profile {profile_name}: {profile.summary}")
        base = next(iter(sweep.profiles.values())).base
        print(f"  --rows {','.join(row.name for row in sweep.rows(base))}")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
