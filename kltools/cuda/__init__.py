"""CUDA implementations; the only folder that imports numba.cuda, and only when one is asked for."""

import importlib
from typing import Any

from ..errors import DeviceUnavailableError

_INSTALL = "pip install 'kltools[cuda13]' (or [cuda12], by what the driver supports)"
_MODULES = {  # of what has a twin on the CPU, and of what is public besides
    "Rows": "moments",
    "aggregate_log_prob": "posterior",
    "estimate_kl_from_log_prob": "log_prob",
    "estimate_kl_monte_carlo": "monte_carlo",
    "evaluate": "formulas",
    "evaluate_sum": "formulas",
    "total": "formulas",
    "memory_limit": "memory",
    "host_copy": "interop",
    "kth_neighbor_distances": "neighbors",
    "kl_diagonal_and_full": "gaussian",
    "kl_from_full_prior": "vae",
    "kl_multivariate_normal": "gaussian",
    "normals": "random",
    "structure": "neighbors",
    "settle_latents": "vae",
    "uniforms": "random",
    "usable_devices": "devices",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require()
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]


def require() -> None:
    """Raise where no CUDA device can be used."""
    try:
        cuda = importlib.import_module("._compat", __name__).cuda
        if cuda.is_available():
            return
        why = "no CUDA device or driver was found"
    except Exception as error:  # a broken CUDA installation may fail in any way
        why = f"it cannot be used ({type(error).__name__}: {error})"
    raise DeviceUnavailableError(
        f"device='cuda' needs an NVIDIA GPU, its driver and numba-cuda, but {why}; {_INSTALL}, or pass device='cpu'."
    )
