"""Predict files and write what is to be seen of it.

Letters: H W the image's grid.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bench import video
from bench.errors import BenchError
from bench.inference import Segmentation, segment
from bench.progress import Progress
from bench.trained import Trained

Array = NDArray[np.uint8]

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Input:
    """A file and the name of its results, relative to the output folder."""

    path: Path
    name: Path

    @property
    def is_video(self) -> bool:
        """Whether it is a video, by its suffix."""
        return self.path.suffix.lower() in video.SUFFIXES


def find_inputs(paths: Sequence[Path]) -> list[Input]:
    """All files to predict, in order; files of one name keep their suffix in the result's.

    Raises:
        BenchError: a path that isn't there, a folder without images or videos, or a file that
            is neither.
    """
    known = IMAGES + video.SUFFIXES
    found: list[tuple[Path, Path]] = []
    for path in paths:
        if path.is_dir():
            files = sorted(each for each in path.rglob("*") if each.suffix.lower() in known)
            if not files:
                raise BenchError(f"{path}: holds no image or video ({', '.join(known)})")
            found += [(each, each.relative_to(path)) for each in files]
        elif not path.exists():
            raise BenchError(f"{path}: no such file or folder")
        elif path.suffix.lower() not in known:
            raise BenchError(f"{path}: neither image nor video: take one of {', '.join(known)}")
        else:
            found.append((path, Path(path.name)))
    names = [name.with_suffix("") for _, name in found]
    inputs: list[Input] = []
    for (path, relative), name in zip(found, names, strict=True):
        if names.count(name) > 1:
            name = relative.with_name(relative.name.replace(".", "_"))
        if any(each.name == name for each in inputs):
            raise BenchError(f"{path}: a second file named {name}: predict it into another --out")
        inputs.append(Input(path, name))
    return inputs


class Predictor:
    """Predicts files with one network.

    Args:
        trained: the network.
        scales: eval scales.
        out: where results go.
        flip: see ``bench.inference.segment``.
        band_pixels: see ``bench.inference.segment``.
        opacity: of the colours over the image, 0 to 1.
    """

    def __init__(
        self,
        trained: Trained,
        scales: tuple[float, ...],
        out: Path,
        *,
        flip: bool = False,
        band_pixels: int | None = None,
        opacity: float = 0.5,
    ) -> None:
        self.trained, self.scales, self.out = trained, scales, out
        self.model = trained.ruled(scales)
        self.flip, self.band_pixels, self.opacity = flip, band_pixels, opacity
        self.palette = np.array(trained.colors, np.uint8)
        self.banded: set[float] = set()

    def run(self, inputs: Sequence[Input]) -> int:
        """Predict all; what can't be read is skipped and listed.

        Returns:
            0, or 1 where something was skipped.

        Raises:
            BenchError: nothing could be read, or the output folder can't be written.
        """
        broken: list[str] = []
        total = None if any(each.is_video for each in inputs) else len(inputs)
        with Progress("predict", total) as bar:
            for each in inputs:
                make_folder((self.out / each.name).parent)
                try:
                    (self._video if each.is_video else self._image)(each, bar)
                except BenchError as error:
                    broken.append(str(error))
        if not bar.done:
            raise BenchError(broken[0] + (f" (and {len(broken) - 1} more)" if broken[1:] else ""))
        frames = "frame" if bar.done == 1 else "frames"
        print(f"{bar.done} {frames} in {bar.seconds:.1f} s: {bar.done / bar.seconds:.2f} frames/s")
        if self.banded:
            print(f"scales {sorted(self.banded)} were run in bands; see --band-pixels")
        print(f"results: {self.out}")
        for reason in broken:
            print(f"skipped: {reason}")
        return 1 if broken else 0

    def _segment(self, image_HW3: Array) -> Segmentation:
        seen = segment(
            self.model,
            image_HW3,
            self.scales,
            self.trained.precision,
            flip=self.flip,
            band_pixels=self.band_pixels,
        )
        self.banded.update(seen.banded)
        return seen

    def _image(self, each: Input, bar: Progress) -> None:
        image = read_image(each.path)
        seen = self._segment(image)
        base = self.out / each.name
        Image.fromarray(self._overlay(image, seen.classes)).save(_beside(base, "overlay.png"))
        self._save_labels(_beside(base, "labels.png"), seen.classes)
        for scale, weight in seen.attention.items():
            Image.fromarray(weight).save(_beside(base, f"attention_{scale:g}.png"))
        bar.advance(each.path.name)

    def _video(self, each: Input, bar: Progress) -> None:
        reader = video.VideoReader(each.path)
        base = self.out / each.name
        labels = _beside(base, "labels")
        labels.mkdir(exist_ok=True)
        with ExitStack() as stack:

            def writer(ending: str) -> video.VideoWriter:
                return stack.enter_context(
                    video.VideoWriter(_beside(base, f"{ending}.mp4"), reader.rate)
                )

            overlay = writer("overlay")
            attention = {scale: writer(f"attention_{scale:g}") for scale in self.scales}
            for index, image in enumerate(reader):
                seen = self._segment(image)
                overlay.write(self._overlay(image, seen.classes))
                self._save_labels(labels / f"{index:06d}.png", seen.classes)
                for scale, weight in seen.attention.items():
                    attention[scale].write(np.repeat(weight[:, :, None], 3, 2))
                bar.advance(each.path.name)

    def _overlay(self, image_HW3: Array, classes_HW: Array) -> Array:
        """The image with its classes' colours over it."""
        colors = self.palette[classes_HW]
        mixed = (1 - self.opacity) * image_HW3 + self.opacity * colors
        return mixed.round().astype(np.uint8)

    def _save_labels(self, path: Path, classes_HW: Array) -> None:
        image = Image.fromarray(classes_HW, "P")
        image.putpalette(self.palette.tobytes())
        image.save(path)


def make_folder(path: Path) -> None:
    """Make a folder for results.

    Raises:
        BenchError: it can't be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(
            f"{path}: can't be written ({error.strerror}): choose another --out"
        ) from error


def read_image(path: Path) -> Array:
    """An image as H x W x 3 uint8 RGB, turned as its camera says.

    Raises:
        BenchError: it can't be read.
    """
    try:
        with Image.open(path) as picture:
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BenchError(f"{path}: cannot be read ({error}): replace this file") from error


def _beside(base: Path, ending: str) -> Path:
    return base.with_name(f"{base.name}_{ending}")
