"""CUDA implementations; the only folder that imports numba.cuda, and only when one is asked for."""

import importlib
import importlib.util
from typing import Any

from ..errors import DeviceUnavailableError

__all__ = ["aggregate_log_prob", "memory_limit", "usable_devices"]

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
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return list(__all__)


def require() -> None:
    """Raise where no CUDA device can be used."""
    try:
        compat = importlib.import_module("._compat", __name__)
        if compat.cuda.is_available():
            return
        why = _obstacle(compat)
    except DeviceUnavailableError:
        raise
    except Exception as error:  # a broken CUDA installation may fail in any way
        why = f"numba-cuda cannot be used ({type(error).__name__}: {error}); {_INSTALL}"
    raise DeviceUnavailableError(
        f"device='cuda' needs an NVIDIA GPU, its driver and numba-cuda, but {why}, or pass device='cpu'."
    )


def _obstacle(compat: Any) -> str:
    """Why there is no device, and what to do about it."""
    if getattr(compat.config, "DISABLE_CUDA", 0):
        return "CUDA is disabled by NUMBA_DISABLE_CUDA; unset that variable"
    if compat.TARGET == "numba-cuda" and importlib.util.find_spec("numba_cuda") is None:
        return f"numba-cuda is not installed; {_INSTALL}"
    told = " ".join(str(compat.cuda.cuda_error() or "").split())
    if told:
        return f"the driver found no device ({told}); install one, which nvidia-smi then lists"
    return f"its compiler (NVVM) was not found; {_INSTALL}"
