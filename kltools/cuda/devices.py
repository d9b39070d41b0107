"""What there is to compute on."""

from . import require
from ._compat import SIMULATED, TARGET, cuda


def usable_devices() -> str:
    """Describe what compiles kernels, and every device with its capability and memory.

    Returns
    -------
    str
        What ``kltools doctor`` prints.

    Raises
    ------
    DeviceUnavailableError
        Where no device can be used; the message says why, and what to do.

    Examples
    --------
    >>> from kltools.cuda import usable_devices
    >>> usable_devices().startswith("usable")
    True
    """
    require()
    if SIMULATED:
        return f"usable: {TARGET} (NUMBA_ENABLE_CUDASIM is set), on the CPU and slow"
    described = []
    for number, device in enumerate(cuda.gpus):
        with device:
            name, (major, minor) = device.name, device.compute_capability
            free, total = cuda.current_context().get_memory_info()
        name = name.decode() if isinstance(name, bytes) else name
        described.append(f"{number}: {name}, capability {major}.{minor}, {free >> 20} of {total >> 20} MiB free")
    return f"usable by {TARGET}; {'; '.join(described)}"
