"""From a sweep to distinct trainings: what must run, what is reused, and how long it takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from bench.config import DataConfig, Evaluation, Runtime, TrainingConfig
from bench.datasets import digest, open_split
from bench.errors import BenchError, readable_validation
from sweeps.spec import Profile, Row, Sweep

Fingerprint = Callable[[DataConfig, str], str]
"""Data and split to what identifies the split's images."""


@dataclass
class PlannedTraining:
    """One distinct training and what is known of it.

    Attributes:
        identity: hash of everything that can change its result.
        config: the training.
        evaluations: the rules that its rows are evaluated by.
        evaluated: names of the evaluations that are in the store.
        rows: names of the rows that share it.
        state: ``new``, ``continue`` (from a checkpoint), ``evaluate`` (only that is missing)
            or ``done``.
        run_id: MLflow run of an earlier attempt.
        resume: where an earlier attempt's checkpoint is.
        teacher: identity of the training whose network labels a part of its data.
        label_set: identity of those labels.
        labels: their folder, once they are there.
    """

    identity: str
    config: TrainingConfig
    evaluations: list[Evaluation] = field(default_factory=list)
    evaluated: set[str] = field(default_factory=set)
    rows: list[str] = field(default_factory=list)
    state: str = "new"
    run_id: str | None = None
    resume: str | None = None
    teacher: str | None = None
    label_set: str | None = None
    labels: Path | None = None

    @property
    def needs_labels(self) -> bool:
        """Whether it can't go on without its teacher."""
        return self.teacher is not None and self.state in ("new", "continue")

    @property
    def remaining(self) -> list[Evaluation]:
        """The evaluations that are still to be done."""
        return [rule for rule in self.evaluations if rule.name not in self.evaluated]

    @property
    def label(self) -> str:
        """For progress displays: the first row that needs it, and the seed."""
        return f"{self.rows[0] if self.rows else 'teacher'} s{self.config.seed}"

    @property
    def relative_cost(self) -> float:
        """Pixels that a step runs through the network, for ordering and estimates."""
        config = self.config
        pixels = config.augment.crop[0] * config.augment.crop[1] * config.optim.batch_size
        return config.optim.steps * pixels * sum(scale**2 for scale in config.train_scales)


@dataclass
class Plan:
    """A sweep made concrete: rows, seeds and distinct trainings.

    Attributes:
        sweep: the sweep.
        profile_name: the profile's name.
        profile: the profile, with command-line changes applied.
        runtime: resources of a trial.
        rows: the chosen rows, in the table's order.
        seeds: the seeds that every row is trained with.
        trainings: distinct trainings, the longest first.
        fingerprints: split -> fingerprint of its data.
        unavailable: rows left out, with the reason: the device lacks their precision.
    """

    sweep: Sweep
    profile_name: str
    profile: Profile
    runtime: Runtime
    rows: list[Row]
    seeds: list[int]
    trainings: list[PlannedTraining]
    fingerprints: dict[str, str]
    unavailable: dict[str, str]

    def evaluation(self, row: Row) -> Evaluation:
        """The rule by which a row is evaluated in this plan."""
        return row_evaluation(row, self.profile)

    def training_of(self, row: Row, seed: int) -> PlannedTraining:
        """The training that a row needs for a seed."""
        config = row.training.with_seed(seed)
        return next(training for training in self.trainings if training.config == config)

    @property
    def pending(self) -> list[PlannedTraining]:
        """What is left to do, the longest first; a teacher only while it has a student."""
        teachers = {training.teacher for training in self.trainings if training.needs_labels}
        return [
            training
            for training in self.trainings
            if training.state != "done" and (training.rows or training.identity in teachers)
        ]


def row_evaluation(row: Row, profile: Profile) -> Evaluation:
    """The rule by which a row is evaluated under a profile."""
    return Evaluation(
        strategy=row.strategy,
        scales=row.eval_scales,
        split=profile.split,
        images=profile.eval_images,
    )


def choose_profile(sweep: Sweep, name: str | None) -> tuple[str, Profile]:
    """A profile by name; the sweep's first by default."""
    chosen = name or next(iter(sweep.profiles))
    if chosen not in sweep.profiles:
        raise BenchError(
            f"sweep {sweep.name} has no profile {chosen!r}; known: {', '.join(sweep.profiles)}"
        )
    return chosen, sweep.profiles[chosen]


def choose_rows(sweep: Sweep, base: TrainingConfig, names: Sequence[str] | None) -> list[Row]:
    """The sweep's rows over a base configuration, or those named.

    Raises:
        BenchError: a row that is not valid, names that are not unique, or an unknown name.
    """
    with readable_validation(f"sweep {sweep.name}"):
        rows = sweep.rows(base)
    known = [row.name for row in rows]
    if len(set(known)) != len(known):
        raise BenchError(f"sweep {sweep.name}: row names must be unique, not {', '.join(known)}")
    if names is None:
        return rows
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BenchError(f"sweep {sweep.name} has no row {unknown[0]!r}; known: {', '.join(known)}")
    return [row for row in rows if row.name in names]


def make_plan(
    sweep: Sweep,
    *,
    profile: str | None = None,
    rows: Sequence[str] | None = None,
    seeds: int | None = None,
    device: str = "cpu",
    data_root: Path | None = None,
) -> Plan:
    """Expand a sweep; everything that is wrong with it fails here, before any work.

    Args:
        sweep: the sweep.
        profile: name of one of its profiles; the first by default.
        rows: names of the rows to run; all by default.
        seeds: number of seeds; the profile's by default.
        device: ``cpu`` or ``cuda``.
        data_root: folder of the data set.

    Raises:
        BenchError: an unknown name, an invalid row, or a data set that is not there.
    """
    name, chosen = choose_profile(sweep, profile)
    runtime = chosen.runtime.replace(data_root=data_root)
    if device == "cpu":
        runtime = runtime.replace(gpus=0)
    base = chosen.base.replace(
        device=device, precision=resolve_precision(chosen.base.precision, device)
    )
    selected, unavailable = _available(choose_rows(sweep, base, rows), device)
    for row in selected:
        _check_network(sweep, row)

    @cache
    def fingerprint(data: DataConfig, split: str) -> str:
        return _fingerprint(data, split, data_root)

    splits = sorted({base.data.split, chosen.split})
    fingerprints = {split: fingerprint(base.data, split) for split in splits}
    numbers = [base.seed + i for i in range(seeds or chosen.seeds)]
    trainings: dict[str, PlannedTraining] = {}
    for row in selected:
        for seed in numbers:
            planned = _plan_training(row.training.with_seed(seed), fingerprint, trainings)
            evaluation = row_evaluation(row, chosen)
            if evaluation not in planned.evaluations:
                planned.evaluations.append(evaluation)
            if row.name not in planned.rows:
                planned.rows.append(row.name)
    ordered = sorted(trainings.values(), key=lambda t: (t.config.seed, -t.relative_cost))
    return Plan(sweep, name, chosen, runtime, selected, numbers, ordered, fingerprints, unavailable)


def _plan_training(
    config: TrainingConfig, fingerprint: Fingerprint, trainings: dict[str, PlannedTraining]
) -> PlannedTraining:
    """A training, planned together with its teacher unless ``trainings`` has them."""
    identity = config.identity(_data_fingerprint(config.data, fingerprint))
    if identity not in trainings:
        planned = PlannedTraining(identity, config)
        extra = config.data.extra
        if extra and extra.teacher:
            planned.teacher = _plan_training(extra.teacher, fingerprint, trainings).identity
            threshold = None if extra.labels == "soft" else extra.threshold
            images = fingerprint(_without_teacher(config.data), extra.split)
            label_set = digest(planned.teacher, threshold, extra.scales, images)
            planned.label_set = f"labels-{label_set}"
        trainings[identity] = planned
    return trainings[identity]


def _data_fingerprint(data: DataConfig, fingerprint: Fingerprint) -> str:
    """What identifies all images that a training sees, and those that its teacher saw."""
    plain = _without_teacher(data)
    own = fingerprint(plain, data.split)
    if data.extra is None:
        return own
    teacher = data.extra.teacher
    taught = [_data_fingerprint(teacher.data, fingerprint)] if teacher else []
    return digest(own, fingerprint(plain, data.extra.split), *taught)


def _without_teacher(data: DataConfig) -> DataConfig:
    """The same images, whoever labels them."""
    if data.extra is None:
        return data
    return data.replace(extra=data.extra.replace(labels="coarse", teacher=None))


def resolve_precision(requested: str, device: str) -> str:
    """The dtype's name that ``auto`` means on this machine; it is part of the identity.

    Raises:
        BenchError: an unknown name, or a dtype that the device lacks.
    """
    import torch

    from models.precision import choose_precision

    if requested == "auto" and device == "cuda" and not torch.cuda.is_available():
        return "auto"
    try:
        return choose_precision(requested, torch.device(device)).name
    except ValueError as error:
        raise BenchError(str(error)) from error


def _available(rows: Sequence[Row], device: str) -> tuple[list[Row], dict[str, str]]:
    """The rows that a device can run, and why it can't run the others.

    Raises:
        BenchError: it can run none, or a row's precision is unknown.
    """
    from models.precision import DTYPES

    runnable: list[Row] = []
    unavailable: dict[str, str] = {}
    for row in rows:
        precision = row.training.precision
        try:
            resolve_precision(precision, device)
        except BenchError:
            if precision not in DTYPES or (row is rows[-1] and not runnable):
                raise
            unavailable[row.name] = f"{precision} is not available on {device}"
        else:
            runnable.append(row)
    return runnable, unavailable


def _check_network(sweep: Sweep, row: Row) -> None:
    """Refuse a trunk, decoder or file of weights that does not exist."""
    from models import DECODERS, TRUNKS

    network = row.training.network
    where = f"sweep {sweep.name}, row {row.name}"
    for kind, name, known in (
        ("trunk", network.trunk, TRUNKS),
        ("decoder", network.decoder, DECODERS),
    ):
        if name not in known:
            raise BenchError(f"{where}: unknown {kind} {name!r}; known: {', '.join(known)}")
    if isinstance(network.pretrained, str) and not Path(network.pretrained).is_file():
        raise BenchError(f"{where}: no file of weights {network.pretrained}")


def _fingerprint(data: DataConfig, split: str, root: Path | None) -> str:
    dataset = open_split(data, split, root)
    if not getattr(dataset, "labelled", True):
        raise BenchError(
            f"{dataset.name} {split} has no public labels to train on or to report: take "
            "another split, such as val"
        )
    return dataset.fingerprint()
