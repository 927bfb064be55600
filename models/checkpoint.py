"""Import of released weights: a table of names that must be used up, then a strict load.

The released files carry the names of the code that wrote them; ``models.keytables`` says what
those are called here. A released name that no line knows or that leads nowhere in the network,
and an entry of the network that nothing fills, are errors that list every such name.
"""

import codecs
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models import keytables
from models.contracts import Trunk
from models.keytables import Table
from models.multiscale import Explicit, Strategy

WRAPPERS = ("state_dict", "model_state_dict")
"""Entries under which training scripts keep the weights, beside optimiser and counters."""

_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
HARMLESS: list[Any] = [
    np.dtype,
    np.dtypes.Float32DType,
    np.dtypes.Float64DType,
    np.dtypes.Int64DType,
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),
    (_NUMPY_SCALAR, "numpy._core.multiarray.scalar"),
    codecs.encode,
]
"""What training scripts store beside tensors: a score as a numpy number."""

Source = str | Path | Mapping[str, Any]


class CheckpointError(ValueError):
    """A weights file that cannot be read, or that belongs to another network."""


def import_released(model: Strategy, source: Source) -> None:
    """Fill a network with the released weights of the same architecture.

    Args:
        model: from ``build_model``, at the released width, classes and scales.
        source: a file, or its content; ``module.`` prefixes and wrappers are taken off.

    Raises:
        CheckpointError: an unreadable file, or names or shapes that do not fit; the network is
            left as it was.
    """
    state = read_state(source)
    if isinstance(model, Explicit):
        state = _order_scales(state)
    _load(model, state, network_table(model))


def network_table(model: Strategy) -> Table:
    """What the entries of a whole released network are called in this one.

    Raises:
        CheckpointError: no released weights are known for its trunk or decoder.
    """
    trunk, decoder = model.segmenter.trunk.name, model.segmenter.decoder.name
    return (
        *_inside("backbone.", "segmenter.trunk.", _table("trunk", trunk, keytables.TRUNKS)),
        *_inside("", "segmenter.decoder.", _table("decoder", decoder, keytables.DECODERS)),
        *keytables.ATTENTION,
        *keytables.TRAINING_ONLY,
    )


def import_trunk(trunk: Trunk, source: Source) -> None:
    """Fill a trunk with released ImageNet weights; the classifier's entries are left out.

    Raises:
        CheckpointError: as for ``import_released``.
    """
    _load(trunk, read_state(source), _table("trunk", trunk.name, keytables.TRUNKS))


def load_weights(path: str | Path) -> Mapping[str, Any]:
    """Read a file of tensors, running nothing that it contains.

    Raises:
        CheckpointError: no such file, a damaged one, or one that needs arbitrary unpickling.
    """
    try:
        with torch.serialization.safe_globals(HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"no weights file {path}") from None
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"refused {path}: it needs arbitrary unpickling, which can run code; "
            "save its state dict alone"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged or no weights file: {error}") from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a state dict")
    return content


def read_state(source: Source) -> dict[str, Tensor]:
    """The state dict of a file or of its content, without wrappers and ``module.``.

    Raises:
        CheckpointError: an unreadable file, or entries that are no tensors.
    """
    content = source if isinstance(source, Mapping) else load_weights(source)
    for wrapper in WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    strangers = [name for name, value in content.items() if not isinstance(value, Tensor)]
    if strangers or not content:
        raise CheckpointError(f"no state dict: entries that are no tensors: {strangers}")
    return {name.removeprefix("module."): tensor for name, tensor in content.items()}


def _table(kind: str, name: str, tables: Mapping[str, Table]) -> Table:
    if name not in tables:
        raise CheckpointError(
            f"no released weights are known for {kind} {name!r}, only for {', '.join(tables)}"
        )
    return tables[name]


def _inside(released: str, here: str, table: Table) -> Table:
    """The same table for a part of a network: with what comes before its names."""
    return tuple(
        (re.escape(released) + pattern, None if name is None else here + name)
        for pattern, name in table
    )


def _order_scales(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Bring the released explicit attention into this project's order: highest scale first.

    Released: features of 1.0, 0.5, 2.0 side by side; attention channels for 0.5, 1.0, 2.0.
    """
    ordered = dict(state)
    if (features := state.get("scale_attn.0.weight")) is not None:
        ordered["scale_attn.0.weight"] = features.unflatten(1, (3, -1))[:, [2, 0, 1]].flatten(1, 2)
    if (channels := state.get("scale_attn.2.weight")) is not None:
        ordered["scale_attn.2.weight"] = channels.flip(0)
    return ordered


def rename(state: Mapping[str, Tensor], table: Table) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors under their names here, and the names that no line of the table knows."""
    lines = [(re.compile(pattern), name) for pattern, name in table]
    renamed: dict[str, Tensor] = {}
    unknown = []
    for released, tensor in state.items():
        match, name = next(
            ((found, name) for line, name in lines if (found := line.fullmatch(released))),
            (None, None),
        )
        if match is None:
            unknown.append(released)
        elif name is not None:
            here = match.expand(name)
            if here in renamed:
                raise CheckpointError(f"two entries mean {here!r}; one of them is {released!r}")
            renamed[here] = tensor
    return renamed, unknown


def _load(module: nn.Module, state: Mapping[str, Tensor], table: Table) -> None:
    """Rename, compare with the module's own entries, and load strictly."""
    renamed, unknown = rename(state, table)
    own = module.state_dict()
    if not any(name.endswith("num_batches_tracked") for name in renamed):
        # files older than PyTorch 0.4.1 lack these counters, which evaluation does not read
        renamed |= {name: t for name, t in own.items() if name.endswith("num_batches_tracked")}
    problems = {
        "left over": unknown + [name for name in renamed if name not in own],
        "missing": [name for name in own if name not in renamed],
        "of another shape": [
            f"{name} {tuple(renamed[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in own.items()
            if name in renamed and renamed[name].shape != tensor.shape
        ],
    }
    if any(problems.values()):
        raise CheckpointError(
            "these weights belong to another network: "
            + "; ".join(f"{kind}: {', '.join(names)}" for kind, names in problems.items() if names)
        )
    module.load_state_dict(renamed, strict=True)
