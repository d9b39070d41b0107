"""CUDA implementations; the only folder that imports numba.cuda, and only when one is asked for."""

from ..errors import DeviceUnavailableError


def require() -> None:
    """Raise where no CUDA device can be used."""
    try:
        from numba import cuda

        if cuda.is_available():
            return
        why = "no CUDA device or driver was found"
    except Exception as error:  # a broken CUDA installation may fail in any way
        why = f"numba.cuda cannot be used ({type(error).__name__}: {error})"
    raise DeviceUnavailableError(
        f"device='cuda' needs an NVIDIA GPU, its driver and numba-cuda, but {why}; pass device='cpu'."
    )
