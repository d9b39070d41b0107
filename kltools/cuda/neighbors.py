"""Nearest neighbours on a device: the structure that suits some points, and distances in the library of the caller."""

from typing import Any

import numpy as np

from .._device import is_on_gpu
from ..neighbors import distances_to_nearest
from .brute import Brute
from .interop import Place, host_copy


def structure(points: np.ndarray) -> Any:
    """Points prepared by the algorithm that suits them, for `neighbors.Reference`."""
    return Brute(points)


def kth_neighbor_distances(X: Any, Y: Any = None, *, k: Any) -> Any:
    """The twin of `neighbors.kth_neighbor_distances`."""
    queries, points = (host_copy(x, name) if is_on_gpu(x) else x for x, name in ((X, "X"), (Y, "Y")))
    distances = distances_to_nearest(queries, points, k, device="cuda")
    with Place(X, Y) as place:
        return distances if place.is_host else place.deliver(distances)
