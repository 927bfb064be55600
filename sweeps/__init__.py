"""Sweeps by name: one file a table. A file of the user's own that exports ``SWEEP`` is one too."""

import importlib
import importlib.util
from pathlib import Path

from sweeps.spec import Profile, Rival, Row, Sweep

__all__ = ["SWEEPS", "Profile", "Rival", "Row", "Sweep", "load_sweep"]

SWEEPS = (
    *("table1", "table2", "table3", "table4"),
    *("scales", "thresholds", "trunks", "losses", "precision"),
)


def load_sweep(name: str) -> Sweep:
    """A sweep by its name, or from a Python file that exports ``SWEEP``.

    Raises:
        ValueError: an unknown name, a missing file, or a file without a ``SWEEP``.
    """
    if name in SWEEPS:
        return importlib.import_module(f"sweeps.{name}").SWEEP
    path = Path(name)
    if path.suffix != ".py":
        raise ValueError(
            f"unknown sweep {name!r}; known: {', '.join(SWEEPS)}, or the path of a .py file"
        )
    if not path.is_file():
        raise ValueError(f"sweep file {name} does not exist")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"sweep file {name}: {type(error).__name__}: {error}") from error
    sweep = getattr(module, "SWEEP", None)
    if not isinstance(sweep, Sweep):
        raise ValueError(f"sweep file {name} exports no SWEEP = Sweep(...)")
    return sweep
