"""What a normal distribution asks of the rows of a sample: their moments, and quadratic functions of each."""

from dataclasses import dataclass

import numpy as np

from ..preprocessing import deviations


@dataclass(frozen=True)
class Rows:
    """A sample that is traversed where it lives; `cuda.moments.Rows` are those on a device.

    Points are told as a row, the origin, plus a small offset, which keeps the digits of data far from 0.
    """

    X: np.ndarray

    @property
    def n(self) -> int:
        return self.X.shape[0]

    @property
    def d(self) -> int:
        return self.X.shape[1]

    @property
    def origin(self) -> np.ndarray:
        return self.X[0]

    def scaled(self, exponents: np.ndarray | int) -> "Rows":
        """The columns times powers of two."""
        return type(self)(np.ldexp(self.X, exponents)) if np.any(exponents) else self

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean less the origin, and the products of deviations from the mean, summed: shapes (d,) and (d, d)."""
        deviation = deviations(self.X)
        return (self.X - self.X[0]).mean(axis=0), deviation.T @ deviation

    def squares(
        self,
        origin: np.ndarray,
        offset: np.ndarray,
        matrix: np.ndarray | None = None,
        constants: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> np.ndarray:
        """Sums of weighted squares of matrix (x - origin - offset) + constants for each row x, shape (n,)."""
        turned = (self.X - origin) - offset
        if matrix is not None:
            turned = turned @ matrix.T
        if constants is not None:
            turned += constants
        turned *= turned
        return turned.sum(axis=1) if weights is None else turned @ weights
