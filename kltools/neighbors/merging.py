"""The nearest of several parts of a sample, from those of each part."""

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows


@jit
def _merge_kernel(start, stop, a, b, a_labels, b_labels, out, out_labels):
    """The smallest of two ascending rows."""
    for i in range(start, stop):
        left, right = 0, 0
        for j in range(out.shape[1]):
            if right == b.shape[1] or (left < a.shape[1] and a[i, left] <= b[i, right]):
                out[i, j] = a[i, left]
                if out_labels is not None:
                    out_labels[i, j] = a_labels[i, left]
                left += 1
            else:
                out[i, j] = b[i, right]
                if out_labels is not None:
                    out_labels[i, j] = b_labels[i, right]
                right += 1


def nearest_of_both(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """The k smallest distances of every row, or as many as there are, from the smallest of two parts."""
    out = np.empty((len(a), min(k, a.shape[1] + b.shape[1])))
    run_rows(_merge_kernel, len(out), frozen(a), frozen(b), None, None, out, None)
    return out


def labelled_of_both(
    a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same, together with a label for every distance."""
    out = np.empty((len(a[0]), min(k, a[0].shape[1] + b[0].shape[1])))
    labels = np.empty(out.shape, dtype=np.int64)
    arguments = (frozen(array) for array in (a[0], b[0], a[1], b[1]))
    run_rows(_merge_kernel, len(out), *arguments, out, labels)
    return out, labels
