"""Windows over a stream, tested one after the other."""

import copy
import math
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .. import _validation
from ..errors import InvalidParameterError, InvalidTypeError
from .columns import FEWEST_ROWS, Table, read_like
from .detector import DriftDetector
from .report import DriftReport

_MOST_PERMUTATIONS = 99_999
_PERMUTATIONS_PER_LEVEL = 4.0  # so many p-values would lie at or below the level


class DriftMonitor:
    r"""Cut windows from a stream of rows and test each against the reference of a detector.

    .. math:: \alpha_t = \frac{6 \alpha}{\pi^2 t^2}, \qquad \sum_{t=1}^{\infty} \alpha_t = \alpha

    is the level of the t-th test with ``spend_alpha``: the probability of any false alarm, ever, is then at most
    alpha, with overlapping windows too. Without it each test has the level alpha, and a stream without drift gives
    false alarms at that rate. No more rows are kept than a window has, beside those that an update brings.

    Parameters
    ----------
    detector : DriftDetector
        Fitted. The monitor keeps a copy: what is done to the detector later changes nothing here.
    window : int
        Rows of a window.
    step : int, optional
        Rows from the beginning of one window to that of the next, at most ``window``, which is the default.
    spend_alpha : bool
        Later tests then use more permutations, so that their p-values can reach their levels: 6.6 t^2 / alpha, which
        for alpha = 0.05 is 132 at first, and 82,247 at t = 25, in seconds a window; but 99999 at most, and where that
        is not enough, the reports warn.

    Attributes
    ----------
    n_tests : int
        Windows tested so far.
    n_rows : int
        Rows seen so far.

    References
    ----------
    P. Armitage, C. K. McPherson, B. C. Rowe (1969), Repeated significance tests on accumulating data (what repeated
    tests do to a level); the series is that of the Basel problem.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> detector = kl.DriftDetector(alpha=0.01, random_state=0).fit(rng.normal(size=(300, 2)))
    >>> monitor = kl.DriftMonitor(detector, window=100)
    >>> for shift in (0.0, 0.0, 1.0):
    ...     for report in monitor.update(rng.normal(shift, 1.0, (100, 2))):
    ...         print(report.first_row, report.drift)
    0 False
    100 False
    200 True
    """

    def __init__(self, detector: DriftDetector, *, window: int, step: int | None = None, spend_alpha: bool = False):
        if not isinstance(detector, DriftDetector):
            raise InvalidTypeError(f"detector must be a fitted DriftDetector, got {type(detector).__name__}.")
        check_is_fitted(detector)
        self.detector = copy.deepcopy(detector)
        self.window = _validation.integer(window, "window", minimum=FEWEST_ROWS)
        self.step = self.window if step is None else _validation.integer(step, "step", minimum=1)
        if self.step > self.window:
            raise InvalidParameterError(f"step={self.step} leaves out rows between windows of {self.window} rows.")
        if not isinstance(spend_alpha, bool | np.bool_):
            raise InvalidTypeError(f"spend_alpha must be True or False, got {spend_alpha!r}.")
        self.spend_alpha = bool(spend_alpha)
        self.n_tests = 0
        self.n_rows = 0
        self._rows: Table | None = None

    def __repr__(self) -> str:
        return (
            f"DriftMonitor(window={self.window}, step={self.step}, spend_alpha={self.spend_alpha}, "
            f"n_tests={self.n_tests}, n_rows={self.n_rows})"
        )

    def update(self, X: Any) -> list[DriftReport]:
        """Take in rows, and test the windows that they complete.

        Parameters
        ----------
        X : frame, dict of columns, or array-like of shape (n, d)
            The next rows of the stream, any number of them.

        Returns
        -------
        list of DriftReport
            One for each window, in their order; ``first_row`` says where it begins.
        """
        new, told = read_like(X, "X", self.detector._reference, fewest=0)
        rows = new if self._rows is None else self._rows.followed_by(new)
        place = self.n_rows - (len(rows) - len(new))
        self.n_rows += len(new)
        reports, first = [], 0
        while first + self.window <= len(rows):
            reports.append(self._tested(rows.take(slice(first, first + self.window)), place + first, told))
            first += self.step
        self._rows = rows.take(slice(first, None))
        return reports

    def _tested(self, window: Table, first_row: int, told: tuple[str, ...]) -> DriftReport:
        self.n_tests += 1
        alpha, n_permutations = float(self.detector.alpha), int(self.detector.n_permutations)
        if self.spend_alpha:
            alpha *= 6.0 / (math.pi * self.n_tests) ** 2
            enough = math.ceil(_PERMUTATIONS_PER_LEVEL / alpha)
            n_permutations = max(n_permutations, min(enough, _MOST_PERMUTATIONS))
        return self.detector._test(window, alpha=alpha, n_permutations=n_permutations, first_row=first_row, told=told)
