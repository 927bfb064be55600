"""Between a teacher's training and its students': label the extra images, keep what came out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from bench.datasets import SegmentationDataset, open_split
from bench.datasets.label_folder import LabelFolder, hard_label, read_manifest
from bench.errors import BenchError
from bench.labels.labelling import Labeller, make_labels, weights_digest
from bench.labels.workers import LabelWorkers
from bench.plan import Plan, PlannedTraining
from bench.tracking import Store
from bench.trained import open_trained
from bench.trial import save_classes

EXAMPLES = 3
"""Images that figure 6 shows, at even distances."""


class Lessons:
    """Labels of teachers, kept in the output folder and found again there.

    Args:
        plan: what is run.
        store: where manifests go, and teachers come from.
        parent: MLflow run of this invocation.
        out: the output folder.
        fresh: look at labels again even if an earlier run has finished them.
    """

    def __init__(self, plan: Plan, store: Store, parent: str, out: Path, fresh: bool) -> None:
        self.plan = plan
        self.store = store
        self.parent = parent
        self.out = out
        self.fresh = fresh

    def labels(
        self,
        training: PlannedTraining,
        teacher: PlannedTraining,
        on_image: Callable[[int, int], None],
    ) -> Path:
        """The folder with the labels of a training's extra images, which its teacher makes.

        Args:
            training: the student.
            teacher: its teacher, which is done.
            on_image: called with (done, total).

        Raises:
            BenchError: an image can't be read, a label can't be written, or workers die.
        """
        assert training.label_set and teacher.run_id
        folder = self.out / "labels" / training.label_set
        manifest = read_manifest(folder) or {}
        run = self.store.find(training.label_set)
        logged = run is not None and run.info.status == "FINISHED" and not self.fresh
        if logged and manifest.get("complete") and not manifest["skipped"]:
            return folder
        labeller = self._labeller(training, teacher, folder)
        if manifest and manifest["recipe"]["teacher"] != weights_digest(labeller.teacher):
            rmtree(folder)  # another training of the same teacher
        runtime, device = self.plan.runtime, training.config.device
        workers = LabelWorkers(None, device, runtime.cpus, runtime.gpus)
        manifest = make_labels(labeller, workers, on_image)
        if manifest["skipped"]:
            reason = manifest["skipped"][0]["reason"]
            raise BenchError(f"{len(manifest['skipped'])} images have no label: {reason}")
        self._log(labeller, training.label_set, manifest)
        return folder

    def _labeller(
        self, training: PlannedTraining, teacher: PlannedTraining, folder: Path
    ) -> Labeller:
        data, extra = training.config.data, training.config.data.extra
        assert extra and teacher.run_id
        root = self.plan.runtime.data_root
        with TemporaryDirectory(prefix="scalebench-") as scratch:
            file = self.store.download_model(teacher.run_id, Path(scratch)) / "model.pt"
            trained = replace(open_trained(file, "cpu"), source=teacher.identity)
        images = open_split(data, extra.split, root)
        truth = getattr(images, "truth_split", None)
        soft = extra.labels == "soft"
        return Labeller(
            trained.fitted(images),
            images,
            open_split(data, truth, root) if truth else None,
            LabelFolder(folder, images, soft),
            None if soft else extra.threshold,
            extra.scales,
        )

    def _log(self, labeller: Labeller, label_set: str, manifest: dict[str, Any]) -> None:
        with TemporaryDirectory(prefix="scalebench-") as scratch:
            folder = Path(scratch)
            count = len(labeller.dataset)
            for index in sorted({count * i // EXAMPLES for i in range(EXAMPLES)}):
                save_example(folder / "examples", labeller.dataset, labeller.folder, index)
            self.store.log_labels(self.parent, label_set, manifest, folder)


def save_example(
    folder: Path, dataset: SegmentationDataset, labels: LabelFolder, index: int
) -> None:
    """Write an image, the data set's own label and the teacher's as PNG files."""
    sample = dataset[index]
    target = folder / sample.id.replace("/", "_")
    target.mkdir(parents=True)
    Image.fromarray(sample.image).save(target / "image.png")
    save_classes(target / "own.png", sample.label, dataset.colors)
    save_classes(target / "teacher.png", hard_label(labels.read(sample.id)), dataset.colors)
