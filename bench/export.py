"""Export a finished network for one image size and set of scales: ONNX or torch.export.

The file takes one uint8 image, 1 x H x W x 3 in RGB, and gives class probabilities, 1 x K x H x W
in float32. It is read back and compared with the network itself before it counts as written.
"""

import argparse
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench.errors import BenchError, run_main
from bench.options import add_network_options, chosen_scales

if TYPE_CHECKING:
    from bench.trained import Trained

FORMATS = ("onnx", "pt2")
TOLERANCE = 1e-4
"""Largest difference of a probability from the network's own that an export may have."""

SMALLEST = 32
"""Height and width that every trunk needs, at the lowest scale."""

EXAMPLES = """examples:
  python -m bench.export --checkpoint RUN_ID --size 512x1024 --format onnx --out street.onnx
  python -m bench.export --checkpoint model.pt --size 160x320 --scales 0.5,1,2 --format pt2 \\
      --out street.pt2
"""


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.export",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_network_options(parser)
    parser.add_argument("--size", required=True, metavar="HxW", help="of the images, in pixels")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = parse(argv)
    match = re.fullmatch(r"(\d+)x(\d+)", options.size)
    if match is None:
        raise BenchError(f"--size {options.size}: height and width in pixels, such as 512x1024")
    size = (int(match[1]), int(match[2]))
    if options.scales is not None:
        chosen_scales(options.scales, ())
    from bench.trained import open_trained

    trained = open_trained(options.checkpoint, "cpu")
    scales = chosen_scales(options.scales, trained.config.train_scales)
    trained.ruled(scales)
    if min(size) * scales[0] < SMALLEST:
        raise BenchError(
            f"--size {options.size}: at scale {scales[0]:g} the network needs {SMALLEST} x "
            f"{SMALLEST} pixels: take a larger size or leave that scale out"
        )
    difference = export(trained, scales, size, options.format, options.out)
    print(
        f"{options.out}: uint8 1 x {size[0]} x {size[1]} x 3 in, float32 1 x "
        f"{len(trained.classes)} x {size[0]} x {size[1]} out, "
        f"{trained.rule(scales)} over {', '.join(f'{scale:g}' for scale in scales)}\n"
        f"largest difference of a probability from the network's own: {difference:.1e}"
    )
    return 0


def export(
    trained: "Trained", scales: tuple[float, ...], size: tuple[int, int], form: str, path: Path
) -> float:
    """Write the network to a file and compare.

    Args:
        trained: the network.
        scales: eval scales.
        size: height and width of the images.
        form: one of ``FORMATS``.
        path: the file.

    Returns:
        Largest difference of a probability over one random image.

    Raises:
        BenchError: packages are missing, the file can't be written, or what it computes differs
            by more than ``TOLERANCE``.
    """
    import torch

    from bench.exported import FixedNetwork, read_back, write

    image = torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8)
    network = FixedNetwork(trained.ruled(scales), scales).eval().requires_grad_(False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent) as folder:
            written = Path(folder, path.name)
            write(network, image, form, written)
            found = read_back(written, form, image)
            with torch.inference_mode():
                wanted = network(image)
            difference = float((found - wanted).abs().max())
            if not difference <= TOLERANCE:
                raise BenchError(
                    f"{path}: probabilities differ by {difference:.1e} from the network's own, "
                    f"more than {TOLERANCE:.0e}: nothing is kept; try the other --format"
                )
            written.rename(path)
    except ImportError as error:
        raise BenchError(
            f"--format {form} needs {error.name}, which is not installed: "
            'pip install -c constraints.txt -e ".[export]"'
        ) from error
    except OSError as error:
        raise BenchError(
            f"--out {path}: can't be written ({error.strerror or error}): choose another place"
        ) from error
    return difference


if __name__ == "__main__":
    sys.exit(run_main(main))
