"""How many numbers lie near each of others, on a GPU: a thread for each of these."""

from typing import Any

from .. import counting
from ._compat import MOST_BLOCKS, THREADS, Kernel, cuda, device
from .interop import Place
from .memory import telling_shortage

is_near = device(counting.is_near)


def count_near(x: Any, y: Any, radius: float) -> Any:
    with telling_shortage(), Place(x, y) as place:
        x, y = place.view(x), place.view(y)
        n, m = x.shape[0], y.shape[0]
        out, flat = place.result((n,))
        blocks = min(-(-n // THREADS), MOST_BLOCKS)
        _kernel(
            blocks, THREADS, place.stream, x.flat, y.flat, x.first, x.strides[0], y.first, y.strides[0], m, radius, flat
        )
        return place.receive(flat) if place.is_host else out


def _count(x, y, x_first, x_step, y_first, y_step, m, radius, out):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        total = 0.0
        for j in range(m):
            total += is_near(x[x_first + i * x_step], y[y_first + j * y_step], radius)
        out[i] = total


_kernel = Kernel(_count)
