"""Video files through PyAV (FFmpeg's libraries): frames in, H.264 out."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
CODEC = "libx264"
USUAL_RATE = Fraction(25)
"""Frames a second of a file that doesn't say."""


def load_av() -> Any:
    """PyAV, imported when a video is met.

    Raises:
        BenchError: it isn't installed.
    """
    try:
        import av
    except ImportError:
        raise BenchError(
            'videos need PyAV, which is not installed: pip install -c constraints.txt -e ".[video]"'
        ) from None
    return av


class VideoReader:
    """The frames of a video file's first video stream.

    Args:
        path: the file.

    Attributes:
        rate: frames a second.
        frames: their number where the file says so, else ``None``.

    Raises:
        BenchError: no readable video; also while frames are read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.av = path, load_av()
        try:
            self.container = self.av.open(str(path))
            self.stream = self.container.streams.video[0]
        except (self.av.FFmpegError, IndexError, OSError) as error:
            raise self._unreadable(error) from error
        self.stream.thread_type = "AUTO"
        self.rate = Fraction(self.stream.average_rate or USUAL_RATE)
        self.frames: int | None = self.stream.frames or None

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Every frame, H x W x 3 uint8 RGB."""
        try:
            for frame in self.container.decode(self.stream):
                yield frame.to_ndarray(format="rgb24")
        except self.av.FFmpegError as error:
            raise self._unreadable(error) from error
        finally:
            self.container.close()

    def _unreadable(self, error: Exception) -> BenchError:
        return BenchError(f"{self.path}: cannot be read as a video ({error}): replace this file")


class VideoWriter:
    """An H.264 file that players open; a side of odd length loses its last row or column.

    Args:
        path: the file.
        rate: frames a second.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        self.av = load_av()
        self.container = self.av.open(str(path), "w")
        self.rate = rate
        self.stream: Any = None

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.stream is not None:
            self.container.mux(self.stream.encode())
        self.container.close()

    def write(self, frame_HW3: NDArray[np.uint8]) -> None:
        """Add a frame, RGB; the first one sets the size."""
        height, width = (side // 2 * 2 for side in frame_HW3.shape[:2])
        if self.stream is None:
            self.stream = self.container.add_stream(CODEC, rate=self.rate)
            self.stream.width, self.stream.height = width, height
            self.stream.pix_fmt = "yuv420p"
            self.stream.options = {"crf": "18"}
        even = np.ascontiguousarray(frame_HW3[:height, :width])
        frame = self.av.VideoFrame.from_ndarray(even, format="rgb24")
        self.container.mux(self.stream.encode(frame))
