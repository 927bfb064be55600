"""Label files: how they are stored and read, and the folder that a teacher's labels are in.

A hard label is an indexed PNG in the encoding of its data set, without filters, which reads back
fastest and is smallest, and deflated as far as libdeflate goes, a tenth further than zlib. A soft
label is a float16 array H W K. Files are written under another name and then renamed, so a label
file is whole whenever there is one.
"""

import io
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.datasets import IGNORE_INDEX, SegmentationDataset
from bench.datasets.files import id_table, to_train_ids
from bench.errors import BenchError

MANIFEST = "manifest.json"
PARTIAL = ".partial"
LIBDEFLATE_BEST = 12

AnyArray = npt.NDArray[Any]


class LabelFolder:
    """A folder of labels for the samples of a data set.

    Args:
        path: the folder; it need not exist.
        dataset: says what the classes are, and how its label files are named and encoded.
        soft: the labels are probabilities.
    """

    def __init__(self, path: Path, dataset: SegmentationDataset, soft: bool = False) -> None:
        self.path = path
        self.classes = dataset.classes
        self.soft = soft
        self._place = getattr(dataset, "label_path", None)
        trained = np.array([*range(len(self.classes)), IGNORE_INDEX], np.uint8)
        encode = getattr(dataset, "encode", None)
        stored = encode(trained) if encode else trained
        self._encoded = np.zeros(256, np.uint8)
        self._encoded[trained] = stored
        *values, ignored = stored.tolist()
        self._decoded = id_table({value: i for i, value in enumerate(values)}, [ignored])
        self._palette = np.zeros((256, 3), np.uint8)
        self._palette[stored[:-1]] = dataset.colors

    def file(self, sample_id: str) -> Path:
        """Where the label of a sample is."""
        if self.soft:
            return self.path / f"{sample_id}.npy"
        return self.path / (self._place(sample_id) if self._place else f"{sample_id}.png")

    def write(self, sample_id: str, label: AnyArray) -> int:
        """Write a label; returns its bytes.

        Args:
            sample_id: the sample.
            label: H W uint8 train ids or 255, or H W K probabilities.

        Raises:
            BenchError: it can't be written.
        """
        target = self.file(sample_id)
        try:
            with written_whole(target) as partial, partial.open("wb") as file:
                if self.soft:
                    np.save(file, label.astype(np.float16))
                else:
                    file.write(self._png(label))
            return target.stat().st_size
        except OSError as error:
            raise BenchError(
                f"label {target} can't be written ({error.strerror}): free space or name another "
                "folder; the same command goes on"
            ) from error

    def _png(self, label: AnyArray) -> bytes:
        """A hard label as a file; its values and its palette are left as they are."""
        import oxipng

        image = Image.fromarray(self._encoded[label])
        image.putpalette(self._palette.ravel().tolist())
        plain = io.BytesIO()
        image.save(plain, "PNG", compress_level=1)
        return oxipng.optimize_from_memory(
            plain.getvalue(),
            filter=[oxipng.RowFilter.NoOp],
            deflate=oxipng.Deflaters.libdeflater(LIBDEFLATE_BEST),
            bit_depth_reduction=False,
            color_type_reduction=False,
            palette_reduction=False,
            grayscale_reduction=False,
        )

    def read(self, sample_id: str) -> AnyArray:
        """Read a label, as `write` took it.

        Raises:
            BenchError: it is missing or damaged, or holds what is no class.
        """
        path = self.file(sample_id)
        try:
            if self.soft:
                return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
            with Image.open(path) as image:
                stored = np.asarray(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise BenchError(
                f"label {path} can't be read ({error}): delete it and label again"
            ) from error
        return to_train_ids(stored, self._decoded, path)


def hard_label(label: AnyArray) -> AnyArray:
    """Classes H W of a label that may be probabilities H W K."""
    return label if label.ndim == 2 else label.argmax(-1).astype(np.uint8)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What is known of a folder's labels; `None` where nothing is.

    Raises:
        BenchError: the manifest is damaged.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise BenchError(f"{path} can't be read ({error}): name another folder") from error


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write the manifest in one step."""
    with written_whole(folder / MANIFEST) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A name to write to, which becomes ``target`` once all is written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def remove_partial(folder: Path) -> None:
    """Delete what a killed process left half-written."""
    for path in folder.rglob(f".*{PARTIAL}"):
        path.unlink(missing_ok=True)
