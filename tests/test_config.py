"""Configurations: validation messages, and identities that change with results only."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from bench.config import Evaluation, Frozen, Runtime, TrainingConfig, check_scales
from bench.errors import BenchError
from bench.plan import choose_profile, choose_rows, make_plan
from sweeps import SWEEPS, load_sweep
from sweeps.spec import Row, Sweep
from sweeps.table3 import SWEEP

BASE = SWEEP.profiles["quick"].base

CHANGES = {
    "data": BASE.data.replace(train_images=7),
    "augment": BASE.augment.replace(flip=0.1),
    "network": BASE.network.replace(width=32),
    "optim": BASE.optim.replace(lr=1e-5),
    "loss": BASE.loss.replace(scale_weight=0.05),
    "strategy": "hierarchical",
    "train_scales": (0.5, 1.0),
    "seed": 7,
    "precision": "float32",
    "device": "cuda",
    "threads": 2,
    "devices": 2,
}


def test_every_field_is_part_of_the_identity() -> None:
    assert set(CHANGES) == set(TrainingConfig.model_fields)
    identities = {BASE.identity("x")}
    for field, value in CHANGES.items():
        identities.add(BASE.replace(**{field: value}).identity("x"))
    assert len(identities) == len(CHANGES) + 1


def test_identity_depends_on_the_data_and_on_nothing_of_the_runtime() -> None:
    assert BASE.identity("a") != BASE.identity("b")
    assert BASE.identity("a") == TrainingConfig(**BASE.model_dump()).identity("a")
    assert not set(Runtime.model_fields) & set(TrainingConfig.model_fields)


@pytest.mark.parametrize(
    ("scales", "said"),
    [((0.5, 2.0), "lack 1.0"), ((1.0, 1.0), "distinct"), ((0.0, 1.0), "positive")],
)
def test_scale_sets_say_what_is_wrong(scales: tuple[float, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_scales(scales)


def test_scales_are_sorted() -> None:
    assert Evaluation(strategy="avgpool", scales=(2.0, 0.5, 1.0)).scales == (0.5, 1.0, 2.0)


def test_single_takes_one_scale() -> None:
    with pytest.raises(ValidationError, match="avgpool takes more"):
        Evaluation(strategy="single", scales=(0.5, 1.0))


def test_unknown_keys_are_errors() -> None:
    with pytest.raises(ValidationError, match="batch_sise"):
        BASE.optim.replace(batch_sise=3)


def test_explicit_is_bound_to_its_train_scales() -> None:
    training = BASE.replace(strategy="explicit", train_scales=(0.5, 1.0, 2.0))
    with pytest.raises(ValidationError, match="bound to its train scales"):
        Row(name="x", label="x", training=training, strategy="explicit", eval_scales=(0.5, 1.0))


def test_a_single_training_cannot_do_hierarchical() -> None:
    with pytest.raises(ValidationError, match="can't do hierarchical"):
        Row(name="x", label="x", training=BASE, strategy="hierarchical", eval_scales=(0.5, 1.0))


@pytest.mark.parametrize("name", SWEEPS)
def test_sweeps_expand_and_say_how_to_run_them(name: str) -> None:
    sweep = load_sweep(name)
    for profile in sweep.profiles.values():
        rows = choose_rows(sweep, profile.base, None)
        assert sweep.baseline in [row.name for row in rows]
    module = __import__(f"sweeps.{name}", fromlist=["__doc__"])
    assert f"python -m bench.sweep {name}" in module.__doc__


def test_table3_has_five_rows_from_three_trainings() -> None:
    plan = make_plan(SWEEP, seeds=2)
    assert len(plan.rows) == 5
    assert len(plan.trainings) == 3 * 2
    single, avgpool = plan.rows[:2]
    assert plan.training_of(single, 0) is plan.training_of(avgpool, 0)
    assert plan.trainings[0].config.strategy == "explicit", "the longest starts first"


@pytest.mark.parametrize("profile", SWEEP.profiles)
def test_a_trial_asks_for_a_gpu_where_it_runs_on_one(profile: str) -> None:
    chosen = replace(SWEEP.profiles[profile], base=BASE)
    sweep = replace(SWEEP, profiles={profile: chosen})
    assert make_plan(sweep, device="cuda").runtime.gpus == 1
    assert make_plan(sweep, device="cpu").runtime.gpus == 0


def test_published_values_are_those_of_the_article() -> None:
    published = [row.published for row in SWEEP.rows(BASE)]
    assert [value["iou"] for value in published] == [47.7, 49.4, 51.4, 51.6, 52.2]
    assert [value["cost"] for value in published] == [1.0, 1.0, 5.25, 1.25, 1.25]
    assert [value["minibatch"] for value in published] == [0.8, 0.8, 3.1, 1.2, 1.2]


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(BenchError, match="quick, camvid, mapillary"):
        choose_profile(SWEEP, "fast")
    with pytest.raises(BenchError, match="single, avgpool, explicit"):
        choose_rows(SWEEP, BASE, ["double"])
    with pytest.raises(ValueError, match="table3"):
        load_sweep("table33")


def test_unknown_parts_of_a_network_fail_in_the_plan() -> None:
    for change, said in (
        ({"trunk": "resnet51"}, "row a: unknown trunk 'resnet51'; known: mini, .*hrnet_w48"),
        (
            {"decoder": "unet"},
            "row a: unknown decoder 'unet'; known: deeplabv3plus, ocr, deeperlab",
        ),
        ({"pretrained": "none.pth"}, "row a: no file of weights none.pth"),
    ):
        with pytest.raises(BenchError, match=said):
            make_plan(one_row(network=BASE.network.replace(**change)))


def one_row(**changes: object) -> Sweep:
    """Table 3's baseline alone, changed."""

    def rows(base: TrainingConfig) -> list[Row]:
        training = base.replace(**changes)
        return [
            Row(name="a", label="a", training=training, strategy="single", eval_scales=(1.0,)),
        ]

    return replace(SWEEP, rows=rows)


def test_float16_is_left_out_on_a_cpu() -> None:
    sweep = load_sweep("precision")
    plan = make_plan(sweep)
    assert [row.name for row in plan.rows] == ["float32", "bfloat16"]
    assert plan.unavailable == {"float16": "float16 is not available on cpu"}
    assert not make_plan(sweep, device="cuda").unavailable
    with pytest.raises(BenchError, match="'float16' needs a GPU"):
        make_plan(sweep, rows=["float16"])
    with pytest.raises(BenchError, match="unknown precision 'float8'; known: auto, float32"):
        make_plan(one_row(precision="float8"))


def test_a_batch_is_shared_evenly() -> None:
    for devices in (3, 4):
        with pytest.raises(ValidationError, match="equal shares of at least 2 images"):
            BASE.replace(devices=devices)


def test_replace_validates() -> None:
    class Thing(Frozen):
        count: int

    with pytest.raises(ValidationError):
        Thing(count=1).replace(count="many")
