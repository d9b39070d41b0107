"""How much memory of a device may be used, and what is said when there is too little."""

import contextlib
import contextvars
from collections.abc import Iterator

from .. import _validation
from ..errors import DeviceMemoryError
from ._compat import SIMULATED, cuda

_SHARE = 0.5  # of the free memory, where nothing else is said
_SIMULATED_BYTES = 1 << 28
_OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY of the driver

_limit: contextvars.ContextVar[int | None] = contextvars.ContextVar("kltools_cuda_memory_limit", default=None)


@contextlib.contextmanager
def memory_limit(n_bytes: int) -> Iterator[None]:
    """Inside of the ``with`` block computations take at most about `n_bytes` of device memory for a block of data.

    Data on the host go to the device in blocks of that size, so that they may be larger than its memory: batches of
    distributions, latents, log-densities, draws, rows of ``gaussian``, points at which `aggregate_log_prob` is asked
    for, and queries and points of a search for neighbours. Without a limit blocks take half of what is free. The result
    does not depend on the limit.

    Not in blocks are arrays that live on the device already and what is computed of them, what a whole batch has in
    common, the encoders of `aggregate_log_prob`, and points of a search in up to 7 features (9 from 2**19 points on),
    4096 or more of them, which take some 40 bytes for each number while their tree is built. A block holds a chunk of
    4096 draws, or a few queries, at least.

    Parameters
    ----------
    n_bytes : int, >= 1

    Examples
    --------
    >>> import kltools as kl
    >>> from kltools.cuda import memory_limit
    >>> with memory_limit(1 << 30):  # doctest: +SKIP
    ...     kl.kl_divergence(p, q, device="cuda")
    """
    token = _limit.set(_validation.integer(n_bytes, "n_bytes", minimum=1))
    try:
        yield
    finally:
        _limit.reset(token)


def workspace() -> int:
    """Bytes that a block of data may take on the current device."""
    limit = _limit.get()
    if limit is not None:
        return limit
    if SIMULATED:
        return _SIMULATED_BYTES
    return int(_SHARE * cuda.current_context().get_memory_info()[0])


@contextlib.contextmanager
def telling_shortage() -> Iterator[None]:
    """Errors of the driver, of torch and of CuPy about memory come out as one of ours."""
    try:
        yield
    except Exception as error:
        if not _is_shortage(error):
            raise
        raise DeviceMemoryError(
            f"the memory of the device does not suffice ({error}); free some, pass data that go in blocks (see "
            "kltools.cuda.memory_limit) from the host within kltools.cuda.memory_limit(n_bytes), or use device='cpu'."
        ) from error


def _is_shortage(error: Exception) -> bool:
    if type(error).__name__ == "OutOfMemoryError":  # of torch and of CuPy; a MemoryError is of the host
        return True
    code = getattr(error, "code", None)
    return type(error).__name__ == "CudaAPIError" and int(getattr(code, "value", code) or 0) == _OUT_OF_MEMORY
