"""How many rows an interval of a given width needs."""

import math
import warnings
from typing import Any

from .. import _progress, _validation
from ..errors import InvalidParameterError, NotEnoughSamplesError, UnreliableEstimateWarning
from ..estimators import METHODS
from .halves import mean_value, quiet_estimate, random_halves

_FAR_FROM_LAW = 2.0
_LARGEST_RATIO = 1e9  # of half-widths: rows in quintillions


def sample_size_for(
    X: Any,
    Y: Any,
    half_width: float,
    *,
    confidence_level: float = 0.95,
    method: str = "auto",
    n_neighbors: Any = None,
    nan_policy: str = "raise",
    n_jobs: int | None = None,
    random_state: Any = None,
    progress: Any = None,
) -> int:
    r"""Rows that each sample needs for a confidence interval of KL(P || Q) of a given half-width.

    .. math:: n^* = \lceil n \, (w_n / w)^2 \rceil

    w_n is the half-width of the interval from n rows of X and of Y (of the longer sample n random rows are
    taken): standard errors fall like n^(-1/2). Whether they do, and whether the estimate itself has
    settled, is checked on random halves of the samples.

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P, a pilot sample; some hundred are advisable.
    Y : array-like of shape (m, d) or (m,)
        Rows drawn from Q.
    half_width : float
        In nats, and no less than a billionth of that seen; where any rows do, the answer is 2.
    confidence_level : float
        In (0, 1).
    method : str
        Of `estimate_kl`.
    n_neighbors : int or sequence of int, optional
        For "knn".
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the halves and the standard errors.
    progress : True or callable, optional
        As `show_progress` takes it.

    Returns
    -------
    int
        Rows of X, and as many of Y.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For what cannot be answered, such as an estimate of inf.

    Warns
    -----
    UnreliableEstimateWarning
        Where the estimate moves by more than the half-width (and its standard error) from n / 2 to n rows, so
        that bias, which no such interval contains, is the larger problem; or where its standard error does not
        fall as it should.

    References
    ----------
    T. B. Berrett, R. J. Samworth (2023), Efficient functional estimation and the super-oracle phenomenon (the
    n^(-1/2) law of divergence estimates).

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(0, 1, 400), rng.normal(1, 1, 400)
    >>> kl.sample_size_for(X, Y, 0.1, method="gaussian", random_state=0)
    1055
    """
    half_width = _validation.positive(half_width, "half_width")
    level = _validation.confidence_level(confidence_level)
    _validation.choice(method, "method", tuple(METHODS))
    _validation.choice(nan_policy, "nan_policy", _validation.NAN_POLICIES)
    rng = _validation.generator(random_state)
    listener = _progress.checked(progress)
    X, Y, _ = _validation.sample_pair(X, Y, nan_policy)
    n = min(len(X), len(Y))
    X, Y = (Z if len(Z) == n else Z[rng.permutation(len(Z))[:n]] for Z in (X, Y))
    options: dict[str, Any] = {"n_jobs": n_jobs, "random_state": int(rng.integers(2**63))}
    if n_neighbors is not None:
        options["n_neighbors"] = n_neighbors
    with _progress.shown(listener, everywhere=True):
        whole = quiet_estimate(X, Y, method=method, **options)
        if math.isinf(whole.value):
            raise InvalidParameterError(
                "the estimate is inf: X has mass where Y has none, and no number of rows gives an interval."
            )
        error = whole.standard_error
        if math.isnan(error):
            raise NotEnoughSamplesError(
                f"no standard error can be computed from {n} rows of X and Y: pass a larger pilot sample."
            )
        halves = [quiet_estimate(*pair, method=method, **options) for pair in random_halves(X, Y, rng)]
        at_half = math.sqrt(math.fsum(half.standard_error**2 for half in halves) / 2)
    _tell_bias(n, whole.value, mean_value(halves), half_width, error)
    _tell_law(n, error, at_half)
    low, high = whole.confidence_interval(level)
    return _rows(n, 0.5 * (high - low), half_width)


def _rows(n: int, seen: float, wanted: float) -> int:
    ratio = seen / wanted
    if not ratio < _LARGEST_RATIO:
        raise InvalidParameterError(
            f"half_width={wanted:g} is so small beside the {seen:.3g} nats seen at {n} rows that no number of rows "
            "gives it; it is in nats."
        )
    return max(2, math.ceil(n * ratio * ratio))


def _tell_bias(n: int, value: float, at_half: float, half_width: float, error: float) -> None:
    """The two estimates share their rows: by chance they differ by less than a standard error."""
    if not abs(value - at_half) <= max(half_width, error):
        warnings.warn(
            f"the estimate moves from {at_half:.3g} nats at {n // 2} rows to {value:.3g} at {n}, more than "
            f"half_width={half_width:g}: its bias, which the interval does not contain, is the larger problem; use "
            "fewer features or another method, or repeat this with a larger sample.",
            UnreliableEstimateWarning,
            stacklevel=3,
        )


def _tell_law(n: int, error: float, at_half: float) -> None:
    ratio = at_half / (math.sqrt(2.0) * error) if error > 0.0 else math.inf
    if not 1.0 / _FAR_FROM_LAW <= ratio <= _FAR_FROM_LAW:
        warnings.warn(
            f"the standard error is {at_half:.3g} nats at {n // 2} rows and {error:.3g} at {n}, which is not the "
            "n^(-1/2) law that the answer rests on: repeat this with a larger sample.",
            UnreliableEstimateWarning,
            stacklevel=3,
        )
