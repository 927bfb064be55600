"""What ``python -m bench.sweep`` does: plan, trainings, costs, report."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from bench.errors import BenchError, MissingDataError, readable_validation
from bench.invocation import Invocation
from bench.plan import make_plan
from bench.terminal import show_leaderboard, show_plan
from bench.tracking import Store
from sweeps import load_sweep


def run_sweep(options: argparse.Namespace, started: float) -> int:
    """Run a sweep as the command line says; ``started`` is when, by ``time.monotonic``.

    Returns:
        0 when every row has its numbers, 1 when a trial crashed, 2 when one met something that
        the user can mend, 130 after an interruption.
    """
    console = Console(file=sys.stdout, highlight=False)
    try:
        sweep = load_sweep(options.sweep)
    except ValueError as error:
        raise BenchError(str(error)) from error
    try:
        with readable_validation(options.sweep):
            plan = make_plan(
                sweep,
                profile=options.profile,
                rows=options.rows.split(",") if options.rows else None,
                seeds=options.seeds,
                device=choose_device(options.device, options.address),
                data_root=options.data_root.resolve() if options.data_root else None,
            )
    except MissingDataError:
        if sweep.rivals:
            show_leaderboard(console, sweep)
        raise
    if options.dry_run:
        show_plan(console, plan, None, None)
        return 0
    out = prepare_output(options.out)
    store = Store(sweep.name)
    if not options.fresh:
        store.recognise(plan)
    return Invocation(plan, store, console, out, options.fresh).run(started, options.address)


def choose_device(requested: str, address: str | None) -> str:
    """``cpu`` or ``cuda``; on a cluster, ``auto`` means GPUs.

    Raises:
        BenchError: a GPU is asked for where there is none.
    """
    import torch

    if requested == "auto":
        return "cuda" if torch.cuda.is_available() or address else "cpu"
    if requested == "cuda" and not torch.cuda.is_available() and not address:
        raise BenchError("--device cuda: this machine has no GPU; take cpu, or --address")
    return requested


def prepare_output(folder: Path) -> Path:
    """The output folder, created and tried.

    Raises:
        BenchError: it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BenchError(
            f"--out {folder} can't be written ({error.strerror}): name another folder"
        ) from error
    return folder.resolve()
