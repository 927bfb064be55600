"""Small data sets on disk, in the layouts and encodings of the real ones."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (12, 16)
TRAIN_CITIES = [
    *("aachen", "bochum", "bremen", "cologne", "darmstadt", "dusseldorf", "erfurt", "hamburg"),
    *("hanover", "jena", "krefeld", "monchengladbach", "strasbourg", "stuttgart", "tubingen"),
    *("ulm", "weimar", "zurich"),
]
CITIES = {
    "train": TRAIN_CITIES,
    "val": ["frankfurt", "lindau", "munster"],
    "test": ["berlin", "bielefeld"],
    "train_extra": ["augsburg", "bayreuth"],
}
VISTAS = {"mapillary": ("1.2", 66), "mapillary2": ("2.0", 124)}
REAL_NAMES = {0: "animal--bird", 3: "object--support--pole", 5: "object--traffic-light"}


def random_image(path: Path, rng: np.random.Generator, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


def index_image(path: Path, label: np.ndarray, palette: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(label.astype(np.uint8))
    if palette is not None:
        image.putpalette(palette.astype(np.uint8).ravel().tolist())
    image.save(path)


def camvid(root: Path) -> Path:
    """CamVid: PNG images in train, JPEG in val."""
    rng = np.random.default_rng(0)
    for split, names, suffix in (("train", "abc", "png"), ("val", "de", "jpg")):
        for name in names:
            random_image(root / split / f"{name}.{suffix}", rng)
            index_image(root / f"{split}annot" / f"{name}.png", rng.integers(0, 12, SIZE))
    return root


def cityscapes(
    root: Path,
    images: Path | None = None,
    truth: Path | None = None,
    size: tuple[int, int] = SIZE,
) -> Path:
    """Cityscapes, every city with one image; `images` and `truth` are the packages' own folders."""
    rng = np.random.default_rng(1)
    for folder, cities in CITIES.items():
        kind = "gtCoarse" if folder == "train_extra" else "gtFine"
        for number, city in enumerate(cities):
            name = f"{city}_{number:06d}_000019"
            random_image(
                (images or root) / "leftImg8bit" / folder / city / f"{name}_leftImg8bit.png",
                rng,
                size,
            )
            label = rng.integers(0, 34, size)
            base = (truth or root) / kind / folder / city / f"{name}_{kind}"
            index_image(Path(f"{base}_labelIds.png"), label if folder != "test" else label % 4)
            Image.new("RGBA", size[::-1]).save(f"{base}_color.png")
            Image.fromarray(label.astype(np.uint16)).save(f"{base}_instanceIds.png")
            Path(f"{base}_polygons.json").write_text("{}")
    return root


def vistas_config(count: int) -> dict:
    """A config of the real form: the last of `count` labels is not evaluated."""
    rng = np.random.default_rng(2)
    labels = [
        {
            "color": rng.integers(0, 256, 3).tolist(),
            "instances": bool(index % 2),
            "readable": f"Class {index}" if index < count - 1 else "Unlabeled",
            "name": REAL_NAMES.get(index, f"nature--{index}"),
            "evaluate": index < count - 1,
        }
        for index in range(count)
    ]
    return {"labels": labels, "version": 1.1, "mapping": "public", "folder_structure": "{split}"}


def vistas(root: Path, name: str, times: int = 1) -> Path:
    """Vistas 1.2 as it was first published, or 2.0; images of three sizes, enlarged `times`."""
    version, count = VISTAS[name]
    rng = np.random.default_rng(3)
    config = vistas_config(count)
    root.mkdir(parents=True, exist_ok=True)
    first = version == "1.2"
    (root / ("config.json" if first else "config_v2.0.json")).write_text(json.dumps(config))
    palette = np.zeros((256, 3))
    palette[:count] = [label["color"] for label in config["labels"]]
    for folder in ("training", "validation", "testing"):
        for number, size in enumerate(((12, 16), (20, 14), (9, 31))):
            stem = f"{folder[0]}{number}-_Q"
            size = (times * size[0], times * size[1])
            random_image(root / folder / "images" / f"{stem}.jpg", rng, size)
            if folder != "testing":
                place = root / folder / ("labels" if first else "v2.0/labels")
                index_image(place / f"{stem}.png", rng.integers(0, count, size), palette)
    return root


def folder(root: Path, labels: str = "index") -> Path:
    """A user's own data in one of three encodings."""
    rng = np.random.default_rng(4)
    colors = np.array([[10, 0, 0], [0, 20, 0], [0, 0, 30], [9, 9, 9]])
    classes = [
        {"name": name, "color": color, "thin": name == "wire"}
        for name, color in zip(("ground", "wire", "sky"), colors.tolist(), strict=False)
    ]
    ignore = [[9, 9, 9]] if labels == "color" else [3]
    root.mkdir(parents=True, exist_ok=True)
    content = {"labels": labels, "ignore": ignore, "classes": classes}
    (root / "classes.json").write_text(json.dumps(content))
    for split, names in (("train", "abc"), ("val", "d")):
        for name in names:
            random_image(root / split / "images" / f"{name}.JPG", rng)
            ids = rng.integers(0, 4, SIZE)
            path = root / split / "labels" / f"{name}.png"
            if labels == "color":
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(colors[ids].astype(np.uint8)).save(path)
            else:
                index_image(path, ids, colors[::-1] if labels == "palette" else None)
    return root


def tree(name: str, root: Path) -> Path:
    """The tree of a data set by its name."""
    if name in VISTAS:
        return vistas(root, name)
    return {"camvid": camvid, "cityscapes": cityscapes, "folder": folder}[name](root)
