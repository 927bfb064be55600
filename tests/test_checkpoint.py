"""Released weights are used up by name, or refused with a message that says why."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_weights import released_state
from torch import Tensor

from models import build_model
from models.checkpoint import CheckpointError, import_released, import_trunk, load_weights
from models.multiscale import Strategy

NAME = "mscale_DeepV3R50_65"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return released_state(NAME)


@pytest.fixture(scope="module")
def model() -> Strategy:
    return build_model("resnet50", "deeplabv3plus", "hierarchical", 65)


class Malicious:
    """A pickle of it writes a file when it is loaded without care."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


def test_a_saved_checkpoint_with_its_wrappers_is_imported(
    model: Strategy, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "best.pth"
    extras = {"epoch": 3, "mean_iu": np.float64(0.61), "optimizer": {"state": {}}, "arch": "x"}
    torch.save({"state_dict": state, **extras}, path)
    import_released(model, path)
    weights = model.state_dict()
    assert torch.equal(weights["segmenter.decoder.head.2.weight"], state["module.final.6.weight"])
    assert len(weights) == len(state)


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", None])
def test_wrappers_and_prefix_are_optional(
    model: Strategy, state: dict[str, Tensor], wrapper: str | None
) -> None:
    bare = {name.removeprefix("module."): value for name, value in state.items()}
    import_released(model, {wrapper: bare} if wrapper else bare)


def test_training_only_entries_are_dropped_by_name(
    model: Strategy, state: dict[str, Tensor]
) -> None:
    import_released(model, {**state, "module.criterion.nll_loss.weight": torch.ones(65)})


def test_left_over_and_missing_entries_are_listed_and_nothing_is_loaded(
    model: Strategy, state: dict[str, Tensor]
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    broken = {name: value + 1 for name, value in state.items()}
    del broken["module.final.6.weight"], broken["module.backbone.layer0.1.bias"]
    broken["module.stranger.weight"] = torch.zeros(1)
    broken["module.backbone.layer9.weight"] = torch.zeros(1)
    broken["module.backbone.layer4.9.conv1.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        import_released(model, broken)
    message = str(caught.value)
    assert "\n" not in message
    left_over, missing = message.split("missing: ")
    for name in ("stranger.weight", "backbone.layer9.weight", "layer4.9.conv1.weight"):
        assert name in left_over
    for name in ("segmenter.decoder.head.2.weight", "segmenter.trunk.network.bn1.bias"):
        assert name in missing
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_another_number_of_classes_is_named(state: dict[str, Tensor]) -> None:
    model = build_model("resnet50", "deeplabv3plus", "hierarchical", 19)
    with pytest.raises(CheckpointError, match=r"head\.2\.weight \(65, 256, 1, 1\) instead of"):
        import_released(model, state)


def test_a_network_without_released_weights_says_which_have(state: dict[str, Tensor]) -> None:
    model = build_model("mini", "deeplabv3plus", "single", 5, width=16)
    with pytest.raises(CheckpointError, match="trunk 'mini', only for resnet50, hrnet_w48"):
        import_released(model, state)


def test_a_malicious_pickle_is_refused_and_runs_nothing(tmp_path: Path, model: Strategy) -> None:
    target = tmp_path / "owned"
    for name, save in (("zip.pth", torch.save), ("plain.pth", _pickle)):
        save({"state_dict": {"a": Malicious(target)}}, tmp_path / name)
        with pytest.raises(CheckpointError, match="arbitrary unpickling") as caught:
            import_released(model, tmp_path / name)
        assert "\n" not in str(caught.value)
        assert not target.exists()
    with (tmp_path / "plain.pth").open("rb") as file:
        pickle.load(file)
    assert target.exists(), "the test's pickle is harmless"


def _pickle(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


def test_missing_damaged_and_strange_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no weights file"):
        load_weights(tmp_path / "absent.pth")
    good = tmp_path / "good.pth"
    torch.save({"a": torch.ones(1000)}, good)
    content = good.read_bytes()
    for name, damaged in (("cut", content[:300]), ("empty", b""), ("text", b"hello")):
        path = tmp_path / f"{name}.pth"
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=f"{name}.pth") as caught:
            load_weights(path)
        assert "\n" not in str(caught.value)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="a list, not a state dict"):
        load_weights(tmp_path / "list.pth")


def test_a_trunk_file_leaves_its_classifier_out(tmp_path: Path) -> None:
    source = build_model("resnet50", "deeplabv3plus", "single", 5, width=16).segmenter.trunk
    released = {
        name.removeprefix("network."): value.clone() + 1
        for name, value in source.state_dict().items()
    }
    path = tmp_path / "resnet50.pth"
    torch.save({**released, "fc.weight": torch.zeros(2), "fc.bias": torch.zeros(2)}, path)
    model = build_model("resnet50", "deeplabv3plus", "single", 5, width=16, pretrained=path)
    assert torch.equal(
        model.segmenter.trunk.state_dict()["network.conv1.weight"], released["conv1.weight"]
    )


def test_counters_may_be_absent_altogether(tmp_path: Path) -> None:
    """Files older than PyTorch 0.4.1 have no ``num_batches_tracked``."""
    trunk = build_model("resnet50", "deeplabv3plus", "single", 5, width=16).segmenter.trunk
    released = {
        name.removeprefix("network."): value
        for name, value in trunk.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    import_trunk(trunk, released)
    del released["conv1.weight"]
    with pytest.raises(CheckpointError, match=r"missing: network\.conv1\.weight"):
        import_trunk(trunk, released)
