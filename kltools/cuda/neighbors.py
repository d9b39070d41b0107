"""Nearest neighbours on a device: the structure that suits some points, and distances in the library of the caller."""

from typing import Any

import numpy as np

from .._device import is_on_gpu
from ..neighbors import distances_to_nearest
from .brute import Brute
from .interop import Place, host_copy
from .tree import Tree

# in so many features boxes leave out less than they cost, by counts of leaves that are visited
MOST_FEATURES, MOST_FEATURES_OF_MANY = 7, 9
FEWEST_ROWS, MANY_ROWS = 1 << 12, 1 << 19


def structure(points: np.ndarray) -> Any:
    """Points prepared by the algorithm that suits them, for `neighbors.Reference`."""
    m, d = points.shape
    if m < FEWEST_ROWS or d > (MOST_FEATURES_OF_MANY if m >= MANY_ROWS else MOST_FEATURES):
        return Brute(points)
    return Tree(points)


def kth_neighbor_distances(X: Any, Y: Any = None, *, k: Any) -> Any:
    """The twin of `neighbors.kth_neighbor_distances`."""
    queries, points = (host_copy(x, name) if is_on_gpu(x) else x for x, name in ((X, "X"), (Y, "Y")))
    distances = distances_to_nearest(queries, points, k, device="cuda")
    with Place(X, Y) as place:
        return distances if place.is_host else place.deliver(distances)
