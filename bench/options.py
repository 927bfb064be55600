"""Options that the commands for a finished network share."""

import argparse
from pathlib import Path

from bench.config import check_scales
from bench.errors import BenchError


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Which network, over which scales, on what."""
    parser.add_argument(
        "--checkpoint",
        required=True,
        metavar="RUN_OR_FILE",
        help="an MLflow run id of a training, a model.pt, or a file of released weights",
    )
    parser.add_argument("--scales", metavar="0.5,1,2", help="default: the scales of the training")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def add_inference_options(parser: argparse.ArgumentParser) -> None:
    """How images are predicted."""
    parser.add_argument(
        "--flip", action="store_true", help="mean of the probabilities with the mirror image's"
    )
    parser.add_argument(
        "--band-pixels",
        type=int,
        metavar="N",
        help="run a scale's image in bands where it has more pixels, to bound memory; 0 never "
        "(default: 16777216)",
    )


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Which data set."""
    parser.add_argument("--dataset", metavar="NAME", help="default: the training's own")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the data set")


def chosen_scales(text: str | None, default: tuple[float, ...]) -> tuple[float, ...]:
    """The scales of ``--scales``, ascending.

    Raises:
        BenchError: not numbers, or not a set of scales that holds 1.0.
    """
    try:
        return check_scales(tuple(float(part) for part in text.split(",")) if text else default)
    except ValueError as error:
        raise BenchError(f"--scales {text}: {error}; such as 0.5,1,2") from None


def chosen_band_pixels(value: int | None) -> int | None:
    """The pixels of ``--band-pixels``; ``None`` runs every image whole.

    Raises:
        BenchError: a negative number.
    """
    from bench.inference import BAND_PIXELS

    if value is not None and value < 0:
        raise BenchError(f"--band-pixels {value}: a number of pixels, or 0 for no bands")
    return BAND_PIXELS if value is None else value or None
