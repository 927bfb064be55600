"""``python -m bench.predict``: images, folders, videos, and what can't be read."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from made_network import trained_folder
from PIL import Image

from bench.errors import run_main
from bench.inference import segment
from bench.predict import main
from bench.trained import Trained, open_trained
from bench.video import VideoReader, VideoWriter

SIZE = (48, 80)
RATE = Fraction(30000, 1001)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_folder(tmp_path_factory.mktemp("trial")) / "model.pt"


@pytest.fixture(scope="module")
def trained(network: Path) -> Trained:
    return open_trained(network, "cpu")


def photo(path: Path, seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(image).save(path)
    return image


def predict(network: Path, out: Path, *arguments: object) -> int:
    return run_main(main, ["--checkpoint", str(network), "--out", str(out), *map(str, arguments)])


def test_an_image_leaves_overlay_labels_and_attention(
    network: Path, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = photo(tmp_path / "street.png")
    out = tmp_path / "out"
    assert predict(network, out, tmp_path / "street.png", "--scales", "0.5,1,2") == 0
    seen = segment(trained.model, image, (0.5, 1.0, 2.0), trained.precision)
    labels = Image.open(out / "street_labels.png")
    assert (np.array(labels) == seen.classes).all()
    colors = np.array(trained.colors, np.uint8)[seen.classes]
    assert (np.array(labels.convert("RGB")) == colors).all()
    overlay = np.array(Image.open(out / "street_overlay.png"), float)
    assert np.abs(overlay - (image / 2 + colors / 2)).max() <= 0.5
    weights = [np.array(Image.open(out / f"street_attention_{s}.png")) for s in ("0.5", "1", "2")]
    assert np.abs(np.sum(weights, 0, dtype=int) - 255).max() <= 2
    assert "1 frame in" in capsys.readouterr().out


def test_folders_keep_their_tree_and_broken_files_are_listed(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo(tmp_path / "photos/a.png")
    photo(tmp_path / "photos/a.jpg", 1)
    photo(tmp_path / "photos/deep/b.png", 2)
    whole = (tmp_path / "photos/deep/b.png").read_bytes()
    (tmp_path / "photos/deep/cut.png").write_bytes(whole[:200])
    out = tmp_path / "out"
    assert predict(network, out, tmp_path / "photos") == 1
    shown = capsys.readouterr().out
    assert "3 frames in" in shown and "frames/s" in shown
    (skipped,) = [line for line in shown.splitlines() if line.startswith("skipped")]
    assert "cut.png" in skipped
    names = {str(path.relative_to(out)) for path in out.rglob("*_labels.png")}
    assert names == {"a_png_labels.png", "a_jpg_labels.png", "deep/b_labels.png"}


def test_photographs_are_turned_as_their_camera_says(network: Path, tmp_path: Path) -> None:
    image = Image.fromarray(photo(tmp_path / "upright.png"))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert predict(network, tmp_path / "out", tmp_path / "turned.jpg") == 0
    assert Image.open(tmp_path / "out/turned_labels.png").size == SIZE


def test_a_video_gives_a_video(network: Path, trained: Trained, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with VideoWriter(tmp_path / "drive.mp4", RATE) as writer:
        for _ in range(4):
            blocks = rng.integers(0, 256, (5, 8, 3), dtype=np.uint8)
            writer.write(blocks.repeat(10, 0).repeat(11, 1)[:49, :81])
    source = list(VideoReader(tmp_path / "drive.mp4"))
    out = tmp_path / "out"
    assert predict(network, out, tmp_path / "drive.mp4", "--scales", "0.5,1") == 0
    reader = VideoReader(out / "drive_overlay.mp4")
    assert reader.rate == RATE
    overlays = list(reader)
    assert len(overlays) == len(source) == 4
    assert overlays[0].shape == (48, 80, 3)
    for index, frame in enumerate(source):
        seen = segment(trained.model, frame, (0.5, 1.0), trained.precision)
        stored = np.array(Image.open(out / f"drive_labels/{index:06d}.png"))
        assert (stored == seen.classes).all()
        wanted = frame / 2 + np.array(trained.colors)[seen.classes] / 2
        assert np.abs(overlays[index] - wanted).mean() < 20, "lossy, yet the same picture"
    for scale in ("0.5", "1"):
        assert len(list(VideoReader(out / f"drive_attention_{scale}.mp4"))) == 4


def test_what_is_wrong_gets_one_line(
    network: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photo(tmp_path / "good.png")
    (tmp_path / "broken.png").write_text("no image")
    (tmp_path / "broken.mp4").write_text("no video")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    cases: dict[tuple[object, ...], str] = {
        ("broken.png",): "broken.png: cannot be read",
        ("broken.mp4",): "cannot be read as a video",
        ("broken.png", "broken.mp4"): "(and 1 more)",
        ("notes.txt",): "neither image nor video",
        ("missing.png",): "no such file",
        ("empty",): "holds no image or video",
        ("good.png", "good.png"): "a second file named good",
        ("good.png", "--scales", "0.5"): "lack 1.0",
        ("good.png", "--opacity", "2"): "from 0 to 1",
        ("good.png", "--out", tmp_path / "file" / "out"): "can't be written",
    }
    monkeypatch.chdir(tmp_path)
    for arguments, said in cases.items():
        assert predict(network, tmp_path / "out", *arguments) == 2, arguments
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: ") and said in lines[0], lines
