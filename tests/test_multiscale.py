"""The four strategies: formulas by hand, equivalences, what is run and what is refused."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models import build_model, strips
from models.contracts import Decoded, Decoder, Trunk
from models.layers import resize
from models.multiscale import AvgPool, Explicit, Hierarchical, Single, Strategy
from models.segmenter import AttentionHead, Segmenter

CLASSES = 5
STRATEGIES = {
    "single": (1.0,),
    "avgpool": (0.5, 1.0, 2.0),
    "explicit": (0.5, 1.0, 2.0),
    "hierarchical": (0.25, 0.5, 1.0, 1.5, 2.0),
}


def tiny(strategy: str, train_scales: Sequence[float] = (0.5, 1.0, 2.0)) -> Strategy:
    torch.manual_seed(0)
    return build_model(
        "mini", "deeplabv3plus", strategy, CLASSES, width=16, train_scales=train_scales
    ).eval()


@pytest.fixture
def image() -> Tensor:
    return torch.randn(2, 3, 67, 93, generator=torch.Generator().manual_seed(1))


def up(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


@torch.no_grad()
def one_scale(
    model: Strategy, image: Tensor, scale: float
) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Logits and attention at the size of the image at that scale, and that size."""
    size = (int(image.shape[2] * scale), int(image.shape[3] * scale))
    out = model.segmenter(resize(image, size), attend=model.segmenter.attention is not None)
    attention = out.attention_B1hw
    return up(out.logits_BKhw, size), None if attention is None else up(attention, size), size


@torch.no_grad()
def test_single_is_the_network_at_scale_one(image: Tensor) -> None:
    model = tiny("single")
    logits, _, _ = one_scale(model, image, 1.0)
    torch.testing.assert_close(model(image).logits_BKHW, logits, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("strategy", ["hierarchical", "avgpool", "explicit"])
def test_one_scale_equals_single(strategy: str, image: Tensor) -> None:
    model = tiny(strategy, train_scales=(1.0,))
    got = model(image, (1.0,))
    wanted = Single(model.segmenter)(image).logits_BKHW
    torch.testing.assert_close(got.logits_BKHW.softmax(1), wanted.softmax(1), rtol=1e-5, atol=1e-6)
    if strategy != "avgpool":
        torch.testing.assert_close(got.logits_BKHW, wanted, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_avgpool_is_the_mean_of_probabilities(image: Tensor) -> None:
    model = tiny("avgpool")
    size = (image.shape[2], image.shape[3])
    probabilities = []
    for scale in STRATEGIES["avgpool"]:
        out = model.segmenter(resize(image, (int(size[0] * scale), int(size[1] * scale))))
        probabilities.append(up(out.logits_BKhw, size).softmax(1))
    got = model(image, STRATEGIES["avgpool"]).logits_BKHW
    torch.testing.assert_close(got.softmax(1), sum(probabilities) / 3, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_hierarchical_pair_by_hand(image: Tensor) -> None:
    """U(a_0.5 l_0.5) + (1 - U(a_0.5)) l_1."""
    model = tiny("hierarchical")
    low, weight, _ = one_scale(model, image, 0.5)
    high, _, size = one_scale(model, image, 1.0)
    wanted = up(weight * low, size) + (1 - up(weight, size)) * high
    got = model(image, (1.0, 0.5))
    torch.testing.assert_close(got.logits_BKHW, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(got.attention[0.5], up(weight, size))


@torch.no_grad()
def test_hierarchical_chain_by_hand(image: Tensor) -> None:
    """From 2 down to 0.5: a_1 l_1 + (1 - a_1) D(l_2), then the pair's formula."""
    model = tiny("hierarchical")
    top, _, _ = one_scale(model, image, 2.0)
    middle, a_1, size = one_scale(model, image, 1.0)
    low, a_low, _ = one_scale(model, image, 0.5)
    fused = a_1 * middle + (1 - a_1) * up(top, size)
    rest = 1 - up(a_low, size)
    wanted = up(a_low * low, size) + rest * fused
    got = model(image, (0.5, 1.0, 2.0))
    torch.testing.assert_close(got.logits_BKHW, wanted, rtol=1e-5, atol=1e-5)
    effective = {0.5: 1 - rest, 1.0: rest * a_1, 2.0: rest * (1 - a_1)}
    for scale, weight in effective.items():
        torch.testing.assert_close(got.attention[scale], weight, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_explicit_by_hand(image: Tensor) -> None:
    model = tiny("explicit", (0.5, 1.0))
    size = (image.shape[2], image.shape[3])
    half = resize(image, (size[0] // 2, size[1] // 2))
    high, low = (model.segmenter(each, keep_features=True) for each in (image, half))
    grid = high.features_BChw.shape[-2:]
    features = torch.cat([high.features_BChw, up(low.features_BChw, grid)], 1)
    weights = up(model.attention(features).softmax(1), size)
    wanted = weights[:, :1] * up(high.logits_BKhw, size) + weights[:, 1:] * up(
        low.logits_BKhw, size
    )
    got = model(image, (0.5, 1.0)).logits_BKHW
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_attention_sums_to_one(strategy: str, training: bool, image: Tensor) -> None:
    model = tiny(strategy).train(training)
    with torch.set_grad_enabled(training):
        attention = model(image, STRATEGIES[strategy]).attention
    assert set(attention) == set(STRATEGIES[strategy])
    total = sum(attention.values())
    assert total.shape == (2, 1, 67, 93)
    torch.testing.assert_close(total, torch.ones_like(total))
    assert all(weight.min() >= 0 for weight in attention.values())


@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0), (0.25, 0.5, 1.0, 2.0), (0.75, 1.0, 1.5)])
def test_attention_of_the_highest_scale_is_not_run(
    scales: tuple[float, ...], image: Tensor
) -> None:
    model = tiny("hierarchical")
    widths: list[int] = []
    model.segmenter.attention.register_forward_hook(lambda *call: widths.append(call[-1].shape[3]))
    with torch.no_grad():
        model(image, scales)
    assert len(widths) == len(scales) - 1
    assert all(width < 93 * max(scales) / 4 for width in widths)


@torch.no_grad()
def test_strategies_without_attention_run_none(image: Tensor) -> None:
    hierarchical = tiny("hierarchical")
    calls: list[object] = []
    hierarchical.segmenter.attention.register_forward_hook(lambda *call: calls.append(call))
    for strategy in (Single, AvgPool):
        strategy(hierarchical.segmenter)(image, (1.0,))
    assert not calls


@pytest.mark.parametrize("scales", [(0.5, 1.0), (1.0,), (0.5, 1.0, 2.0, 0.25)])
def test_explicit_refuses_other_scales(scales: tuple[float, ...], image: Tensor) -> None:
    with pytest.raises(ValueError, match=r"bound to its train scales \(2\.0, 1\.0, 0\.5\)"):
        tiny("explicit")(image, scales)


def test_single_refuses_other_scales(image: Tensor) -> None:
    with pytest.raises(ValueError, match="'single' predicts at scale"):
        tiny("single")(image, (0.5, 1.0))


@pytest.mark.parametrize("strategy", ["avgpool", "explicit", "hierarchical"])
def test_scales_without_one_are_refused(strategy: str, image: Tensor) -> None:
    with pytest.raises(ValueError, match=r"lack 1\.0"):
        tiny(strategy)(image, (0.5, 2.0))


def test_order_and_repetition_of_scales_do_not_matter(image: Tensor) -> None:
    model = tiny("hierarchical")
    with torch.no_grad():
        first = model(image, (0.5, 1.0, 2.0)).logits_BKHW
        assert torch.equal(model(image, (2.0, 0.5, 1.0, 1)).logits_BKHW, first)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("size", [(67, 93), (64, 96), (40, 131)])
def test_strips_give_the_numbers_of_whole_maps(
    strategy: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluation computes some rows at a time; with gradients everything is computed whole."""
    monkeypatch.setattr(strips, "STRIP", 5000)
    model = tiny(strategy)
    image = torch.randn(2, 3, *size)
    whole = model(image, STRATEGIES[strategy])
    with torch.no_grad():
        tiled = model(image, STRATEGIES[strategy])
    torch.testing.assert_close(tiled.logits_BKHW, whole.logits_BKHW, rtol=1e-5, atol=2e-5)
    for scale, weight in whole.attention.items():
        torch.testing.assert_close(tiled.attention[scale], weight, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", [((9, 14), (23, 31)), ((23, 31), (9, 14)), ((48, 65), (97, 131))])
def test_rows_of_resized_maps_are_those_of_interpolate(
    sizes: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    before, after = sizes
    maps = torch.randn(2, 3, *before)
    resized = strips.Source(maps).resize(after)
    wanted = up(maps, after)
    for start, stop in ((0, 1), (2, 7), (after[0] - 1, after[0]), (0, after[0])):
        torch.testing.assert_close(resized.rows(start, stop), wanted[:, :, start:stop])
    twice = resized.resize((17, 19)).whole()
    torch.testing.assert_close(twice, up(wanted, (17, 19)))


class OneMap(Trunk):
    """The image itself, as the only feature map: what strategies do is then easy to see."""

    def __init__(self) -> None:
        super().__init__()
        self.channels, self.strides = (3, 3, 3), (1, 1, 1)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        return [image_B3HW] * 3


class Identity(Decoder):
    """Logits are the features, and so are the auxiliary logits, doubled."""

    features_channels = 3

    def forward(self, maps: list[Tensor]) -> Decoded:
        return Decoded(maps[0], maps[0], 2 * maps[0])


@pytest.mark.parametrize("strategy", [Single, Hierarchical, Explicit])
def test_auxiliary_logits_are_fused_as_the_logits_are(strategy: type[Strategy]) -> None:
    torch.manual_seed(0)
    scales = (1.0,) if strategy is Single else (0.5, 1.0)
    segmenter = Segmenter(OneMap(), Identity(), AttentionHead(3, 16))
    model = Explicit(segmenter, scales) if strategy is Explicit else strategy(segmenter)
    image = torch.randn(2, 3, 32, 48)
    prediction = model.train()(image, scales)
    torch.testing.assert_close(prediction.aux_logits_BKHW, 2 * prediction.logits_BKHW)
    with torch.no_grad():
        assert model.eval()(image, scales).aux_logits_BKHW is None


@torch.no_grad()
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_lazy_classes_are_those_of_the_logits(strategy: str, image: Tensor) -> None:
    model = tiny(strategy)
    wanted = model(image, STRATEGIES[strategy])
    lazy = model.lazily(image, STRATEGIES[strategy])
    assert torch.equal(lazy.logits.argmax()[:, 0].long(), wanted.logits_BKHW.argmax(1))
    assert lazy.banded == ()
    for scale, weight in wanted.attention.items():
        assert torch.equal(lazy.attention[scale], weight)


@torch.no_grad()
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_bands_agree_where_the_halo_covers_the_receptive_field(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without image pooling, and with sizes that every stride divides, bands change nothing."""
    monkeypatch.setattr("models.bands.HALO", 512)
    model = build_model(
        "mini", "deeplabv3plus", strategy, CLASSES,
        width=16, rates=(2, 4, 8), train_scales=(0.5, 1.0, 2.0),
    ).eval()  # fmt: skip
    pool = model.segmenter.decoder.aspp.pool
    pool.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    image = torch.randn(1, 3, 1280, 32, generator=torch.Generator().manual_seed(1))
    wanted = model(image, STRATEGIES[strategy])
    got = model.lazily(image, STRATEGIES[strategy], band_pixels=1100 * 32)
    assert got.banded, "the image must be large enough to be cut"
    torch.testing.assert_close(got.logits.whole(), wanted.logits_BKHW, rtol=1e-3, atol=1e-4)
    for scale, weight in wanted.attention.items():
        torch.testing.assert_close(got.attention[scale], weight, rtol=1e-3, atol=1e-4)
