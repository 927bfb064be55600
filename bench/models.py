"""List the networks to choose from, with what each costs.

Parameters; GMACs, 10^9 multiply-accumulates of convolutions and matrix products in an inference
pass of one image; and the pass's peak memory in float32, live tensors beside the weights. single
runs scale 1.0, the other strategies 0.5, 1.0 and 2.0. Everything is measured when it is listed.
"""

import argparse
import re
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from bench.errors import BenchError, run_main

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLES = """examples:
  python -m bench.models                                every trunk with its usual decoder
  python -m bench.models --trunk resnet50 --all         everything that goes with a trunk
  python -m bench.models --strategy single,hierarchical --trunk mini,resnet50
  python -m bench.models --size 1024x2048 --classes 19 --trunk hrnet_w48
"""
USUAL_DECODERS = {"hrnet_w48": "ocr"}
"""Trunk -> the decoder it was published with; DeepLabV3+ for all others."""


@dataclass(frozen=True)
class NetworkCost:
    """What one network costs.

    Attributes:
        trunk: a name in ``models.TRUNKS``.
        decoder: a name in ``models.DECODERS``.
        strategy: a name in ``models.STRATEGIES``.
        parameters: number of weights.
        gmacs: 10^9 multiply-accumulates of an inference pass of one image.
        peak_mib: peak of live tensors in the pass beside the weights, float32, MiB.
    """

    trunk: str
    decoder: str
    strategy: str
    parameters: int
    gmacs: float
    peak_mib: float


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.models",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--all", action="store_true", help="every decoder and strategy that is not named; minutes"
    )
    parser.add_argument("--trunk", metavar="NAMES", help="these only, separated by commas")
    parser.add_argument("--decoder", metavar="NAMES", help="default: each trunk's usual one")
    parser.add_argument("--strategy", metavar="NAMES", help="default: single")
    parser.add_argument("--size", default="512x512", metavar="HxW", help="default: 512x512")
    parser.add_argument("--classes", type=int, default=65, metavar="K", help="default: 65")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = parse(argv)
    size = read_size(options.size)
    if options.classes < 2:
        raise BenchError(f"--classes {options.classes}: at least 2")
    chosen = choose(options.trunk, options.decoder, options.strategy, options.all)
    from rich.console import Console
    from rich.progress import track

    warnings.simplefilter("ignore", FutureWarning)  # timm calls torch.jit.script
    console = Console(highlight=False)
    progress = track(
        measure_all(chosen, size, options.classes),
        "measuring",
        len(chosen),
        console=Console(stderr=True),
        transient=True,
    )
    console.print(listing(list(progress)))
    shape = " x ".join(str(side) for side in (3, *size))
    console.print(
        f"{shape}, {options.classes} classes, published width, output stride 8 (HRNet: 4)"
    )
    return 0


def read_size(text: str) -> tuple[int, int]:
    """Height and width from ``HxW``.

    Raises:
        BenchError: not that form, or a side below 64, whose half trunks do not take.
    """
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None or min(int(side) for side in found.groups()) < 64:
        raise BenchError(f"--size {text}: height x width of at least 64 each, such as 512x1024")
    return int(found[1]), int(found[2])


def choose(
    trunks: str | None, decoders: str | None, strategies: str | None, everything: bool
) -> list[tuple[str, str, str]]:
    """Trunk, decoder and strategy of every network to list.

    Raises:
        BenchError: an unknown name.
    """
    from models import DECODERS, STRATEGIES, TRUNKS

    chosen_trunks = _names("trunk", trunks, TRUNKS) or list(TRUNKS)
    chosen_decoders = _names("decoder", decoders, DECODERS)
    chosen_strategies = _names("strategy", strategies, STRATEGIES)
    if everything:
        chosen_decoders = chosen_decoders or list(DECODERS)
        chosen_strategies = chosen_strategies or list(STRATEGIES)
    return [
        (trunk, decoder, strategy)
        for trunk in chosen_trunks
        for decoder, strategy in product(
            chosen_decoders or [USUAL_DECODERS.get(trunk, "deeplabv3plus")],
            chosen_strategies or ["single"],
        )
    ]


def measure_all(
    chosen: Sequence[tuple[str, str, str]], size: tuple[int, int], classes: int
) -> Iterator[NetworkCost]:
    """Measure networks one after the other."""
    for trunk, decoder, strategy in chosen:
        yield measure_network(trunk, decoder, strategy, size, classes)


def measure_network(
    trunk: str, decoder: str, strategy: str, size: tuple[int, int], classes: int
) -> NetworkCost:
    """Build a network and measure one inference pass of an image of ``size``.

    Memory is followed on PyTorch's ``meta`` device, which runs every operator on shapes alone.
    """
    import torch

    from bench.cost import count_gmacs
    from bench.meters import peak_mib
    from models import build_model
    from models.precision import choose_precision

    cpu = torch.device("cpu")
    scales = (1.0,) if strategy == "single" else (0.5, 1.0, 2.0)
    model = build_model(trunk, decoder, strategy, classes, train_scales=scales).eval()
    gmacs = count_gmacs(model, size, scales, choose_precision("auto", cpu))
    model.to("meta")
    image = torch.empty(1, 3, *size, device="meta")

    @torch.inference_mode()
    def infer() -> None:
        model(image.contiguous(memory_format=torch.channels_last), scales)

    parameters = sum(weight.numel() for weight in model.parameters())
    return NetworkCost(trunk, decoder, strategy, parameters, gmacs, peak_mib(infer, cpu))


def listing(costs: Sequence[NetworkCost]) -> "Table":
    """The costs as a table."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for head in ("trunk", "decoder", "strategy", "parameters", "GMACs", "peak memory"):
        text = head in ("trunk", "decoder", "strategy")
        table.add_column(head, justify="left" if text else "right", no_wrap=True)
    for cost in costs:
        table.add_row(
            cost.trunk,
            cost.decoder,
            cost.strategy,
            f"{cost.parameters / 1e6:.1f} M",
            f"{cost.gmacs:,.1f}",
            f"{cost.peak_mib:,.0f} MiB",
        )
    return table


def _names(kind: str, text: str | None, known: Collection[str]) -> list[str]:
    """The names of a comma-separated list; none by default."""
    names = text.split(",") if text else []
    for name in names:
        if name not in known:
            raise BenchError(f"unknown {kind} {name!r}; known: {', '.join(known)}")
    return names


if __name__ == "__main__":
    sys.exit(run_main(main))
