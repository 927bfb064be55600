"""``python -m bench.models``: what it lists, and that its numbers are those of a real pass."""

import pytest
import torch

from bench.errors import run_main
from bench.meters import peak_mib
from bench.models import choose, main, measure_network
from models import DECODERS, STRATEGIES, TRUNKS, build_model


def test_the_listing_covers_every_trunk_and_with_all_every_combination() -> None:
    usual = choose(None, None, None, False)
    assert [trunk for trunk, _, _ in usual] == list(TRUNKS)
    assert ("hrnet_w48", "ocr", "single") in usual
    assert ("resnet50", "deeplabv3plus", "single") in usual
    everything = choose(None, None, None, True)
    assert len(set(everything)) == len(TRUNKS) * len(DECODERS) * len(STRATEGIES)
    assert choose("mini", "ocr", None, True) == [("mini", "ocr", name) for name in STRATEGIES]


def test_memory_by_shapes_is_that_of_a_pass_on_the_cpu() -> None:
    size, scales = (96, 64), (0.5, 1.0, 2.0)
    cost = measure_network("mini", "ocr", "hierarchical", size, 5)
    model = build_model("mini", "ocr", "hierarchical", 5).eval()
    image = torch.zeros(1, 3, *size)

    @torch.inference_mode()
    def infer() -> None:
        model(image.contiguous(memory_format=torch.channels_last), scales)

    assert cost.peak_mib == pytest.approx(peak_mib(infer, torch.device("cpu")), rel=1e-6)
    assert cost.parameters == sum(weight.numel() for weight in model.parameters())


def test_it_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--trunk", "mini", "--strategy", "single,avgpool", "--size", "64x128"]
    assert main([*arguments, "--classes", "5"]) == 0
    single, avgpool = [line for line in capsys.readouterr().out.splitlines() if "mini" in line]
    assert single.split()[:3] == ["mini", "deeplabv3plus", "single"]
    ratio = float(avgpool.split()[5]) / float(single.split()[5])
    assert ratio == pytest.approx(5.25, rel=0.15), "0.25 + 1 + 4 times the pixels"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--trunk", "resnet51"], "unknown trunk 'resnet51'; known: mini, "),
        (["--decoder", "unet"], "unknown decoder 'unet'; known: deeplabv3plus, ocr"),
        (["--strategy", "both"], "unknown strategy 'both'; known: single"),
        (["--size", "512"], "--size 512: height x width"),
        (["--size", "32x512"], "--size 32x512: height x width of at least 64"),
        (["--classes", "1"], "--classes 1: at least 2"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run_main(main, arguments) == 2
    assert said in capsys.readouterr().err
