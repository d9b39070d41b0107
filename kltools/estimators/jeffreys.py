"""Jeffreys divergence from samples: the estimates of both KL divergences."""

import dataclasses
import math
from typing import Any

import numpy as np

from .. import _validation
from .._arrays import frozen
from ..estimate import DivergenceEstimate
from ..inference import UNKNOWN, Uncertainty, block_jackknife
from ..preprocessing import Notes
from . import check_options, method_options, solve
from .call import Call
from .problem import Problem, Result


def estimate_jeffreys(
    X: Any,
    Y: Any,
    *,
    method: str = "knn",
    n_neighbors: Any = None,
    unit: str = "nats",
    nan_policy: str = "raise",
    n_jobs: int | None = None,
    random_state: Any = None,
    memory_limit: int | None = None,
    **options: Any,
) -> DivergenceEstimate:
    r"""Estimate the Jeffreys divergence in nats from samples X of P and Y of Q.

    .. math:: J(P, Q) = \mathrm{KL}(P \,\|\, Q) + \mathrm{KL}(Q \,\|\, P)

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P.
    Y : array-like of shape (m, d) or (m,)
        Rows drawn from Q.
    method : {"knn", "gaussian", "auto"}
        The method of `estimate_kl` for both parts.
    n_neighbors : int or sequence of int, optional
        For "knn", as in `estimate_kl`.
    unit : {"nats", "bits"}
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the random blocks of the standard error, and for the models and simulations of "auto"; the other values
        have no randomness.
    memory_limit : int, optional
        Bytes of workspace beside some copies of the data, at least 1 MiB; by default 256 MiB.
    **options
        Options of the method.

    Returns
    -------
    DivergenceEstimate
        The sum of two values of `estimate_kl`, which stand in ``diagnostics["parts"]``. The parts are not
        independent: the standard error comes from leaving out twenty random blocks of rows of both samples; of
        "auto", with 100 rows and more, it is the sum of those of the parts, the most that it can be.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For what cannot be estimated; the message names the argument.

    Warns
    -----
    TiesWarning, SmallSampleWarning, PoorOverlapWarning, UnreliableEstimateWarning, InfiniteDivergenceWarning
        Each is also kept as text in ``warnings`` of the result.

    References
    ----------
    H. Jeffreys (1946), An invariant form for the prior probability in estimation problems, eq. 1; the parts
    as in `estimate_kl`.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(0, 1, 2000), rng.normal(1, 1, 2000)
    >>> round(kl.estimate_jeffreys(X, Y, method="gaussian").value, 2)  # the truth is 1.0
    1.05
    """
    call = Call.checked(n_neighbors, unit, nan_policy, n_jobs, random_state, memory_limit)
    if n_neighbors is not None:
        options["n_neighbors"] = n_neighbors
    check_options(method, options)
    rows, reference, n_dropped = _validation.sample_pair(X, Y, nan_policy, tell=call.notes.add)
    samples = frozen(rows.copy()), frozen(reference.copy())  # kept for the standard error
    problem = Problem(*samples, None, call.notes, call.n_jobs, call.seed, call.memory_limit)
    d, result = _sum(problem, method, options)
    return call.report(
        result,
        quantity="Jeffreys",
        direction="P, Q",
        method=method,
        n_p=len(rows),
        n_q=len(reference),
        d=d,
        n_dropped=n_dropped,
    )


def _sum(problem: Problem, method: str, options: dict[str, Any]) -> tuple[int, Result]:
    """Features that were used, and the sum of both estimates."""
    assert problem.Y is not None
    _validation.check_enough_rows(len(problem.Y), "Y", 2, "an estimate in both directions")
    turned = _turned(problem)
    used, there = solve(problem, method, options)
    _, back = solve(turned, method, options)
    for category, text in turned.notes.items:
        problem.notes.add(category, f"in KL(Q||P), for which X and Y change places: {text}")
    result = Result(
        there.value + back.value,
        lambda: _uncertainty(problem, method, options, (there, back)),
        there.n_neighbors,
        there.n_ties + back.n_ties,
        there.reasons + tuple(f"in KL(Q||P), for which X and Y change places: {text}" for text in back.reasons),
        diagnostics={"parts": {"P||Q": there.value, "Q||P": back.value}},
    )
    return used.d, result


def _turned(problem: Problem) -> Problem:
    assert problem.Y is not None
    return dataclasses.replace(problem, X=problem.Y, Y=problem.X, notes=Notes())


def _uncertainty(problem: Problem, method: str, options: dict[str, Any], parts: tuple[Result, Result]) -> Uncertainty:
    """Both estimates anew without blocks of rows, by the same methods and with the same neighbours."""
    assert problem.Y is not None
    if not all(math.isfinite(part.value) for part in parts):
        return UNKNOWN
    if any(part.assessed for part in parts):  # a model with simulations knows its error
        return _sum_of_errors(parts)
    methods = [part.diagnostics.get("chosen_method", method) for part in parts]
    rows = [1 + (problem.d + 2 if part.n_neighbors is None else part.n_neighbors[-1]) for part in parts]

    def value(problem: Problem, method: str, part: Result) -> float:
        chosen = {name: option for name, option in options.items() if name in method_options(method)}
        if part.n_neighbors is not None:
            chosen["n_neighbors"] = part.n_neighbors
        return solve(problem, method, chosen)[1].value

    def statistic(X: np.ndarray, Y: np.ndarray) -> float:
        there = dataclasses.replace(problem, X=frozen(X), Y=frozen(Y), notes=Notes())
        both = zip((there, _turned(there)), methods, parts, strict=True)
        return math.fsum(value(*one) for one in both)

    return block_jackknife(statistic, (problem.X, problem.Y), (max(rows), max(rows)), problem.seed)


def _sum_of_errors(parts: tuple[Result, Result]) -> Uncertainty:
    found = [part.uncertainty() for part in parts]
    return Uncertainty(sum(one.standard_error for one in found), min(one.degrees_of_freedom for one in found))
