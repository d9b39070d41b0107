"""Whether rows look like draws of one normal distribution."""

import math

import numpy as np

from .mixture import single

_MOST_ROWS, _ROWS_AT_ONCE = 5_000, 500


def departure_from_normal(X: np.ndarray) -> float:
    """The larger of the standardised skewness and kurtosis of Mardia (1970, eq. 2.23 and 3.12).

    For normal rows both are about standard normal: the one as a power of chi-squared (Wilson and Hilferty 1931), of
    which an excess counts alone, the other on either side.
    """
    X = X[:: -(-len(X) // _MOST_ROWS)]
    n, d = X.shape
    normal = single(X)
    Z = np.linalg.solve(normal.factors[0], (X - normal.means[0]).T).T
    moments = np.zeros((d * d, d))
    for start in range(0, n, _ROWS_AT_ONCE):
        block = Z[start : start + _ROWS_AT_ONCE]
        moments += (block[:, :, None] * block[:, None, :]).reshape(-1, d * d).T @ block
    freedom = d * (d + 1) * (d + 2) / 6.0
    chi_squared = float((moments**2).sum()) / (6.0 * n)
    spread = 2.0 / (9.0 * freedom)
    skewness = ((chi_squared / freedom) ** (1.0 / 3.0) - 1.0 + spread) / math.sqrt(spread)
    squares = (Z * Z).sum(axis=1)
    expected = d * (d + 2.0) * (n - 1.0) / (n + 1.0)
    kurtosis = (float((squares * squares).mean()) - expected) / math.sqrt(8.0 * d * (d + 2.0) / n)
    return max(skewness, abs(kurtosis))
