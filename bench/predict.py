"""Predict images, folders of them and videos: overlays, labels and attention maps.

An image NAME leaves NAME_overlay.png, NAME_labels.png (class indices with a palette) and
NAME_attention_SCALE.png; a video leaves NAME_overlay.mp4, NAME_attention_SCALE.mp4 and a folder
NAME_labels. Attention is the effective weight of a scale, white where it alone decides.
"""

import argparse
import sys
from pathlib import Path

from bench.errors import BenchError, run_main
from bench.options import (
    add_inference_options,
    add_network_options,
    chosen_band_pixels,
    chosen_scales,
)

EXAMPLES = """examples:
  python -m bench.predict --checkpoint RUN_ID street.jpg --out predicted
  python -m bench.predict --checkpoint model.pt photos/ drive.mp4 --scales 0.5,1,2 --out predicted
  python -m bench.predict --checkpoint released.pth --dataset cityscapes --data-root DIR \\
      drive.mp4 --out predicted
"""


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.predict",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", nargs="+", type=Path, help="images, folders, video files")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where results go")
    add_network_options(parser)
    add_inference_options(parser)
    parser.add_argument(
        "--dataset", metavar="NAME", help="class names and colours of released weights"
    )
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="folder of that data set")
    parser.add_argument(
        "--opacity", type=float, default=0.5, metavar="0..1", help="of the overlay (default: 0.5)"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 1 where an input among others can't be read."""
    options = parse(argv)
    if not 0 <= options.opacity <= 1:
        raise BenchError(f"--opacity {options.opacity}: from 0 to 1")
    if options.scales is not None:
        chosen_scales(options.scales, ())
    from bench.datasets import open_dataset
    from bench.predictor import Predictor, find_inputs
    from bench.trained import open_trained

    inputs = find_inputs(options.input)
    trained = open_trained(options.checkpoint, options.device)
    if options.dataset is not None:
        trained = trained.fitted(open_dataset(options.dataset, "val", options.data_root))
    scales = chosen_scales(options.scales, trained.config.train_scales)
    predictor = Predictor(
        trained,
        scales,
        options.out,
        flip=options.flip,
        band_pixels=chosen_band_pixels(options.band_pixels),
        opacity=options.opacity,
    )
    return predictor.run(inputs)


if __name__ == "__main__":
    sys.exit(run_main(main))
