"""Rebuild the tables, figures and page of a sweep from MLflow alone."""

import argparse
import sys
from pathlib import Path

from bench.errors import BenchError, run_main

EXAMPLES = """examples:
  python -m reports table3                     the newest finished run
  python -m reports table3 --list              what runs there are
  python -m reports table3 --profile camvid    the newest run of a profile
  python -m reports table3 --run RUN_ID --out paper/
"""


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m reports",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sweep", nargs="?", help="name of a sweep that ran, such as table3")
    parser.add_argument("--list", action="store_true", help="list sweeps, or a sweep's runs")
    parser.add_argument("--run", metavar="RUN_ID", help="this sweep run, even if it is partial")
    parser.add_argument("--profile", help="the newest run of this profile")
    parser.add_argument(
        "--strict", action="store_true", help="refuse to report when anything is missing"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: results/SWEEP/PROFILE")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = parse(argv)
    if options.list:
        return list_runs(options.sweep)
    if options.sweep is None:
        raise BenchError("name a sweep, such as table3; --list shows them all")
    from rich.console import Console

    from reports.build import write_report
    from reports.formats import Report
    from reports.frames import load_frames
    from reports.store import RunStore

    store = RunStore(options.sweep)
    report = Report.of(load_frames(store, options.run, options.profile, options.strict))
    folder = options.out or Path("results") / options.sweep / report.frames.plan["profile"]
    console = Console()
    write_report(store, report, folder, console)
    console.print(
        f"\nreport: {folder / 'index.html'}", markup=False, highlight=False, soft_wrap=True
    )
    return 0


def list_runs(sweep: str | None) -> int:
    """Print the sweeps of the store, or the runs of one, the newest first."""
    from datetime import datetime, timezone

    from reports.store import RunStore, sweep_names

    if sweep is None:
        print("\n".join(sweep_names()) or "no sweep has run yet")
        return 0
    for run in RunStore(sweep).sweep_runs():
        date = datetime.fromtimestamp(run.info.start_time / 1000, timezone.utc)
        profile = run.data.tags.get("profile", "")
        print(f"{run.info.run_id}  {date:%Y-%m-%d %H:%M} UTC  {run.info.status:9} {profile}")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
