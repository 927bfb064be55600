"""The code of a network logged as an MLflow model: MLflow runs this file when it loads one.

Images, B x H x W x 3 in uint8 RGB, give classes, B x H x W in uint8.
"""

from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from bench.inference import segment
from bench.options import chosen_scales
from bench.trained import open_trained


class ServedNetwork(PythonModel):
    """A finished network behind MLflow's interface."""

    def load_context(self, context: Any) -> None:
        """Open the ``model.pt`` that was logged."""
        self.trained = open_trained(context.artifacts["network"])

    # of annotations for arrays, MLflow knows the bare name only
    def predict(
        self,
        context: Any,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> np.ndarray:
        """Classify every pixel; the parameter ``scales`` chooses other eval scales."""
        given = (params or {}).get("scales")
        text = None if given is None else ",".join(map(str, np.atleast_1d(given)))
        scales = chosen_scales(text, self.trained.config.train_scales)
        model = self.trained.ruled(scales)
        return np.stack(
            [
                segment(model, np.asarray(image), scales, self.trained.precision).classes
                for image in model_input
            ]
        )


set_model(ServedNetwork())
