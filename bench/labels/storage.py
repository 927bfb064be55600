"""What labels cost on disk: as stored, as soft probabilities, and for the article's images."""

from typing import Any

IMAGES, HEIGHT, WIDTH, CLASSES = 20_000, 1080, 1920, 19
"""The article's coarse images, as it counts them, and the classes of Cityscapes."""
FLOAT16 = 2
PUBLISHED = {"hard": 600e6, "soft": 2e12}
"""Bytes of all labels in the article: 30 KB an image, and "about 2 TB"."""


def storage_report(
    total: int, images: int, pixels: int, classes: int, soft: bool
) -> dict[str, Any]:
    """Bytes an image, and of the article's images.

    Compressed hard labels grow with an image's contours, that is with its side, and what noise
    they hold with its area: the two give a range.

    Args:
        total: bytes of all stored labels.
        images: their number, at least 1.
        pixels: their pixels.
        classes: number of classes.
        soft: the stored labels are probabilities.

    Returns:
        ``hard_bytes`` (``None`` where soft labels were stored) and ``soft_bytes`` an image, and
        the lowest and highest for the article's images, ``article_hard_bytes`` and
        ``article_soft_bytes``.
    """
    area = HEIGHT * WIDTH * images / pixels
    hard = None if soft else total / images
    article_soft = float(IMAGES * HEIGHT * WIDTH * CLASSES * FLOAT16)
    return {
        "hard_bytes": hard,
        "soft_bytes": total / images if soft else pixels / images * classes * FLOAT16,
        "article_hard_bytes": hard and sorted(IMAGES * hard * by for by in (area**0.5, area)),
        "article_soft_bytes": [article_soft, article_soft],
    }


def storage_lines(report: dict[str, Any]) -> list[str]:
    """The report in words."""
    lines = []
    for kind, what in (("hard", "indexed PNG"), ("soft", "float16 probabilities")):
        each, article = report[f"{kind}_bytes"], report[f"article_{kind}_bytes"]
        if each is not None:
            lines.append(
                f"{kind} labels, {what}: {bytes_text(each)} an image; {IMAGES:,} images of "
                f"{WIDTH} x {HEIGHT} and {CLASSES} classes: {range_text(*article)} "
                f"(published: {bytes_text(PUBLISHED[kind])})"
            )
    return lines


def range_text(low: float, high: float) -> str:
    """From lowest to highest bytes, or the one where they look alike."""
    texts = (bytes_text(low), bytes_text(high))
    return texts[0] if texts[0] == texts[1] else " to ".join(texts)


def bytes_text(count: float) -> str:
    """Bytes in decimal units, such as ``29.6 KB``."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
