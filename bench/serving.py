"""A finished network as an MLflow model, for ``load_model`` and ``mlflow models serve``.

The model holds ``model.pt`` and the project's code, nothing that is pickled; it loads where the
packages of its requirements are installed, without this checkout.
"""

import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from mlflow import MlflowClient, pyfunc
from mlflow.models import Model, ModelSignature
from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

NAME = "model"
"""Loaded as ``runs:/RUN_ID/model``."""

PACKAGES = ("bench", "models", "sweeps")
REQUIREMENTS = ("torch", "torchvision", "timm", "numpy", "scipy", "pydantic", "pillow")


def log_network(client: MlflowClient, run_id: str, path: Path, scales: tuple[float, ...]) -> None:
    """Log a finished network as the model of its run, where it has none yet.

    Args:
        client: of the store.
        run_id: the training's run.
        path: the ``model.pt``.
        scales: the scales it predicts with where a request doesn't say.
    """
    run = client.get_run(run_id)
    if run.outputs is not None and run.outputs.model_outputs:
        return
    entry = client.create_logged_model(run.info.experiment_id, NAME, source_run_id=run_id)
    root = Path(__file__).resolve().parent.parent
    with warnings.catch_warnings():
        # MLflow would like an input example, and run the network on it
        warnings.filterwarnings("ignore", ".*input example was not provided", UserWarning)
        Model.log(
            artifact_path=None,
            model_id=entry.model_id,
            flavor=pyfunc,
            run_id=run_id,
            python_model=str(root / "bench" / "served.py"),
            artifacts={"network": str(path)},
            code_paths=[str(root / package) for package in PACKAGES],
            signature=signature(scales),
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
        )


def signature(scales: tuple[float, ...]) -> ModelSignature:
    """Images B x H x W x 3 in, classes B x H x W out, eval scales as a parameter."""
    return ModelSignature(
        Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3))]),
        Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1))]),
        ParamSchema([ParamSpec("scales", "double", list(scales), shape=(-1,))]),
    )
