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

    Hard labels are scaled by their pixels, which is too much for larger images: contours grow
    with the side of an image, not with its area.

    Args:
        total: bytes of all stored labels.
        images: their number, at least 1.
        pixels: their pixels.
        classes: number of classes.
        soft: the stored labels are probabilities.

    Returns:
        ``hard_bytes`` (``None`` where soft labels were stored) and ``soft_bytes`` an image, and
        both for the article's images, ``article_hard_bytes`` and ``article_soft_bytes``.
    """
    scale = IMAGES * HEIGHT * WIDTH / pixels
    return {
        "hard_bytes": None if soft else total / images,
        "soft_bytes": total / images if soft else pixels / images * classes * FLOAT16,
        "article_hard_bytes": None if soft else total * scale,
        "article_soft_bytes": float(IMAGES * HEIGHT * WIDTH * CLASSES * FLOAT16),
    }


def storage_lines(report: dict[str, Any]) -> list[str]:
    """The report in words."""
    lines = []
    for kind, what in (("hard", "indexed PNG"), ("soft", "float16 probabilities")):
        each, article = report[f"{kind}_bytes"], report[f"article_{kind}_bytes"]
        if each is not None:
            lines.append(
                f"{kind} labels, {what}: {bytes_text(each)} an image; {IMAGES:,} images of "
                f"{WIDTH} x {HEIGHT} and {CLASSES} classes: {bytes_text(article)} "
                f"(published: {bytes_text(PUBLISHED[kind])})"
            )
    return lines


def bytes_text(count: float) -> str:
    """Bytes in decimal units, such as ``29.6 KB``."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
