"""How many numbers lie near each of others."""

from typing import Any

import numpy as np

from . import _arrays, _device
from ._jit import jit, run_rows


def count_near(x: Any, y: Any, radius: float, *, n_jobs: int = 1, device: str | None = None) -> Any:
    """How many of the numbers y lie within a radius of each number x."""
    if _device.resolve(device, x, y) == "cuda":
        return _device.twin("count_near")(x, y, radius)
    x, y = _arrays.numeric_array(x, "x"), _arrays.numeric_array(y, "y")
    out = np.empty(len(x))
    run_rows(_count, len(x), x, y, radius, out, n_jobs=n_jobs, row_cost=len(y))
    return out


@jit
def is_near(x, y, radius):
    return 1.0 if abs(x - y) <= radius else 0.0


@jit
def _count(start, stop, x, y, radius, out):
    for i in range(start, stop):
        out[i] = 0.0
        for j in range(len(y)):
            out[i] += is_near(x[i], y[j], radius)
