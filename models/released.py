"""Which network a file of released weights belongs to, told by the names of its entries."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.build import build_model
from models.checkpoint import CheckpointError, import_released, read_state
from models.keytables import ATTENTION, DECODERS, TRAINING_ONLY, TRUNKS, Table
from models.multiscale import Strategy

LAST_LAYERS = {
    "deeplabv3plus": "final.6.weight",
    "deeperlab": "conv_up5.weight",
    "ocr": "ocr.cls_head.weight",
}
"""The released name of the layer whose outputs are the classes."""

EXPLICIT_SCALES = (0.5, 1.0, 2.0)
"""The scales that the published explicit attention is bound to."""


@dataclass(frozen=True)
class Released:
    """Names as in ``build_model``; the width is the published one."""

    trunk: str
    decoder: str
    strategy: str
    classes: int

    @property
    def train_scales(self) -> tuple[float, ...]:
        """The scales of a published training step."""
        pairs = {"single": (1.0,), "explicit": EXPLICIT_SCALES, "hierarchical": (0.5, 1.0)}
        return pairs[self.strategy]


def recognise(content: Mapping[str, Any]) -> Released | None:
    """The network of a file's content; ``None`` where its names are no released ones."""
    try:
        state = read_state(content)
    except CheckpointError:
        return None
    trunk_names = [name for name in state if name.startswith("backbone.")]
    own = [name.removeprefix("backbone.") for name in trunk_names]
    rest = [name for name in state if name not in set(trunk_names)]
    rest = [name for name in rest if not _fits([name], ATTENTION + TRAINING_ONLY)]
    trunk = next((name for name, table in TRUNKS.items() if own and _fits(own, table)), None)
    decoder = next((name for name, table in DECODERS.items() if rest and _fits(rest, table)), None)
    if trunk is None or decoder is None or LAST_LAYERS[decoder] not in state:
        return None
    strategy = "single"
    if any(name.startswith("scale_attn.") for name in state):
        strategy = "hierarchical" if "scale_attn.conv0.weight" in state else "explicit"
    return Released(trunk, decoder, strategy, len(state[LAST_LAYERS[decoder]]))


def build_released(released: Released, content: Mapping[str, Any]) -> Strategy:
    """The network with the file's weights.

    Raises:
        CheckpointError: entries left over, missing or of another shape.
    """
    model = build_model(
        released.trunk,
        released.decoder,
        released.strategy,
        released.classes,
        train_scales=released.train_scales,
    )
    import_released(model, content)
    return model


def _fits(names: list[str], table: Table) -> bool:
    """Whether the table knows every name."""
    lines = [re.compile(pattern) for pattern, _ in table]
    return all(any(line.fullmatch(name) for line in lines) for name in names)
