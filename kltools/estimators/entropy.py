"""Entropy and cross-entropy from samples, by nearest neighbours."""

import dataclasses
import math
from typing import Any

import numpy as np

from .. import _validation
from .._formula import digamma
from ..distribution import Distribution, refuse_foreign
from ..errors import InfiniteDivergenceWarning, UnreliableEstimateWarning
from ..estimate import DivergenceEstimate
from ..inference import UNKNOWN, sum_of_means
from ..neighbors import in_safe_range
from ..preprocessing import in_same_planes, spans_fewer_dimensions, spread_rows, tell_lost_digits, tell_mixed_columns
from ..repeats import spread_rounded, tell_shared_rows
from ..scaling import SCALES, fit_scaling
from .call import Call, Terms
from .density import log_densities, share_outside
from .problem import Problem, Result, check_reference

_ROWS_TO_LOOK_AT = 500
_DISCRETE_SHARE = 0.1  # more tied rows than this, and the data have no density
_TIED = "there the smallest positive radius is taken, and the rows within it are counted"


def estimate_entropy(
    X: Any,
    *,
    n_neighbors: Any = None,
    scale: str = "whiten",
    unit: str = "nats",
    nan_policy: str = "raise",
    n_jobs: int | None = None,
    random_state: Any = None,
    memory_limit: int | None = None,
) -> DivergenceEstimate:
    r"""Estimate the differential entropy of P in nats from a sample X (Kozachenko and Leonenko).

    .. math:: H(P) \approx \psi(n) - \psi(k) + \log c_d + \frac{d}{n} \sum_i \log \rho_k(i)

    where :math:`\rho_k(i)` is the distance from row i to its k-th neighbour among the others, and
    :math:`c_d` the volume of the unit ball. Values for several k are averaged. At a zero or repeated
    distance, k becomes the number of rows within the smallest positive one from there on. Rounded columns,
    which lie on a lattice with ten or more values, are spread over its cells by uniform noise first.

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P. NumPy, pandas, polars, torch, lists.
    n_neighbors : int or sequence of int, optional
        By default 5, 10 and 20, each cut to n - 1.
    scale : {"whiten", "std", "none"}
        How features are made comparable; the logarithm of the determinant is put back.
    unit : {"nats", "bits"}
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the random blocks of the standard error, and the noise that spreads rounded columns over the cells
        of their lattice; no other value has any randomness.
    memory_limit : int, optional
        Bytes of workspace beside some copies of the data, at least 1 MiB; by default 256 MiB.

    Returns
    -------
    DivergenceEstimate
        -inf where a column is constant or linear in others: then P has no density. ``standard_error``
        comes from leaving out twenty random blocks of rows: the interval is about variance, not bias, which
        near edges of P and in many features is the larger one. ``reliable`` is False for discrete data.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For what cannot be estimated; the message names the argument.

    Warns
    -----
    TiesWarning, SmallSampleWarning, UnreliableEstimateWarning, InfiniteDivergenceWarning
        Each is also kept as text in ``warnings`` of the result.

    References
    ----------
    L. F. Kozachenko, N. N. Leonenko (1987), Sample estimate of the entropy of a random vector; with the
    constant of A. Kraskov, H. Stoegbauer, P. Grassberger (2004), Estimating mutual information, eq. 20.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> estimate = kl.estimate_entropy(rng.normal(0, 1, 2000), random_state=0)
    >>> round(estimate.value, 2)  # the truth is 1.42
    1.41
    """
    call = Call.checked(n_neighbors, unit, nan_policy, n_jobs, random_state, memory_limit)
    _validation.choice(scale, "scale", SCALES)
    rows, n_dropped = _validation.sample(X, "X", nan_policy, tell=call.notes.add)
    _validation.check_enough_rows(len(rows), "X", 2, "an entropy")
    return call.report(
        _entropy(rows, scale, call),
        quantity="entropy",
        direction="P",
        method="knn",
        n_p=len(rows),
        n_q=None,
        d=rows.shape[1],
        n_dropped=n_dropped,
    )


def _entropy(X: np.ndarray, scale: str, call: Call) -> Result:
    d = X.shape[1]
    search = call.search(len(X), None)
    tell_lost_digits((X,), call.notes)
    if spans_fewer_dimensions(X):
        call.notes.add(
            InfiniteDivergenceWarning,
            "a column of X is constant, or linear in others: P has no density, the entropy is -inf.",
        )
        return Result(-math.inf, lambda: UNKNOWN)
    X, _ = spread_rounded(X, None, call.seed, call.notes)
    tell_mixed_columns((X,), call.notes)
    scaling = fit_scaling(X, scale)
    (points,), exponent = in_safe_range(scaling.apply(X, call.n_jobs))
    log_det = scaling.log_det - exponent * d * math.log(2.0)

    def terms(points: np.ndarray) -> Terms:
        densities, tied, _ = log_densities(search, search.reference(points), None)
        n = len(points)
        constant = float(digamma(n)) - math.log(n - 1) - log_det  # the densities are those of n - 1 rows
        return Terms.mean([constant - float(density.mean()) for density in densities], int(tied.any(axis=0).sum()))

    ks = search.ks
    result = call.solve(terms, (points,), ks, needed=(ks[-1] + 1,), d=d, tied=_TIED, scale=scaling.kind)
    return _doubted(result, len(X), call)


def estimate_cross_entropy(
    X: Any,
    Y: Any,
    *,
    n_neighbors: Any = None,
    scale: str = "whiten",
    unit: str = "nats",
    nan_policy: str = "raise",
    n_jobs: int | None = None,
    random_state: Any = None,
    memory_limit: int | None = None,
) -> DivergenceEstimate:
    r"""Estimate the cross-entropy -E_P log q in nats from samples X of P and Y of Q.

    .. math:: H(P, Q) \approx \log m - \psi(k) + \log c_d + \frac{d}{n} \sum_i \log \nu_k(i)

    where :math:`\nu_k(i)` is the distance from row i of X to its k-th neighbour in Y. Values for several k
    are averaged. Where Q is known, minus the mean of log q(X). Rounded columns are treated as by
    `estimate_entropy`.

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P.
    Y : array-like of shape (m, d) or (m,), or Distribution
        Rows drawn from Q; or Q itself, if it is known.
    n_neighbors : int or sequence of int, optional
        By default 5, 10 and 20, each cut to m.
    scale : {"whiten", "std", "none"}
        How features are made comparable, learnt from Y; the logarithm of the determinant is put back.
    unit : {"nats", "bits"}
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the random blocks of the standard error, and the noise that spreads rounded columns over the cells
        of their lattice; no other value has any randomness.
    memory_limit : int, optional
        Bytes of workspace beside some copies of the data, at least 1 MiB; by default 256 MiB.

    Returns
    -------
    DivergenceEstimate
        inf where q is known to have no mass at a row of X, or where a column of Y is constant, or linear in
        others, and X is not so too; -inf where both are. The standard error is that of a mean where Q is
        known, else it comes from leaving out twenty random blocks of rows of both samples: the interval is about
        variance, not bias, which is large where P is wider than Q. ``reliable`` is False for discrete data.

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
    N. Leonenko, L. Pronzato, V. Savani (2008), A class of Renyi information estimators for
    multidimensional densities, section 2.3.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(0, 1, 2000), rng.normal(1, 1, 2000)
    >>> round(kl.estimate_cross_entropy(X, Y).value, 2)  # the truth is 1.92
    1.93
    >>> round(kl.estimate_cross_entropy(X, kl.Normal(mean=1, var=1)).value, 2)
    1.95
    """
    call = Call.checked(n_neighbors, unit, nan_policy, n_jobs, random_state, memory_limit)
    _validation.choice(scale, "scale", SCALES)
    if isinstance(Y, Distribution):
        rows, n_dropped = _validation.sample(X, "X", nan_policy, tell=call.notes.add)
        _validation.check_enough_rows(len(rows), "X", 2, "a cross-entropy")
        result, n_q, method = _against_density(rows, Y, call), None, "known density"
    else:
        refuse_foreign(Y, "Y")
        rows, reference, n_dropped = _validation.sample_pair(X, Y, nan_policy, tell=call.notes.add)
        _validation.check_enough_rows(len(rows), "X", 2, "a cross-entropy")
        result, n_q, method = _against_sample(rows, reference, scale, call), len(reference), "knn"
    return call.report(
        result,
        quantity="cross-entropy",
        direction="P, Q",
        method=method,
        n_p=len(rows),
        n_q=n_q,
        d=rows.shape[1],
        n_dropped=n_dropped,
    )


def _against_density(X: np.ndarray, q: Distribution, call: Call) -> Result:
    check_reference(q, X.shape[1])
    log_q = Problem(X, None, q, call.notes, call.n_jobs, call.seed).log_q()
    outside = int(np.isneginf(log_q).sum())
    if outside:
        call.notes.add(
            InfiniteDivergenceWarning, f"q has no mass at {outside} of {len(X)} rows of X: the cross-entropy is inf."
        )
        return Result(math.inf, lambda: UNKNOWN)
    return Result(-float(log_q.mean()), lambda: sum_of_means(log_q, degrees_of_freedom=len(X) - 1))


def _against_sample(X: np.ndarray, Y: np.ndarray, scale: str, call: Call) -> Result:
    d = X.shape[1]
    search = call.search(None, len(Y))
    tell_lost_digits((X, Y), call.notes)
    if len(Y) > 1 and spans_fewer_dimensions(Y):
        return _against_a_plane(X, Y, call)
    tell_shared_rows(X, Y, call.notes)
    X, spread = spread_rounded(X, Y, call.seed, call.notes)
    assert spread is not None
    Y = spread
    tell_mixed_columns((X, Y), call.notes)
    scaling = fit_scaling(Y, scale)
    samples, exponent = in_safe_range(scaling.apply(X, call.n_jobs), scaling.apply(Y, call.n_jobs))
    log_det = scaling.log_det - exponent * d * math.log(2.0)

    def terms(X: np.ndarray, Y: np.ndarray) -> Terms:
        reference = search.reference(Y)
        densities, tied, _ = log_densities(search, reference, X[reference.order_of(X)])
        values = [-log_det - float(density.mean()) for density in densities]
        some = reference.kth_distances(spread_rows(X, _ROWS_TO_LOOK_AT), search.ks[0])[:, -1]
        outside = share_outside(some, Y, reference, search.ks[0])
        return Terms.mean(values, int(tied.any(axis=0).sum()), share_outside=outside)

    ks = search.ks
    result = call.solve(terms, samples, ks, needed=(1, ks[-1]), d=d, tied=_TIED, scale=scaling.kind)
    return _doubted(result, len(X), call)


def _doubted(result: Result, rows: int, call: Call) -> Result:
    """The result, not to be believed where there is no density."""
    if result.n_ties <= _DISCRETE_SHARE * rows:
        return result
    reason = (
        f"{result.n_ties} of {rows} rows of X lie at zero or repeated distances: the data are discrete and have no "
        "density; their entropy is that of a Categorical."
    )
    call.notes.add(UnreliableEstimateWarning, reason)
    return dataclasses.replace(result, reasons=(*result.reasons, reason))


def _against_a_plane(X: np.ndarray, Y: np.ndarray, call: Call) -> Result:
    """Q lives where no density does: P in the same place makes log q infinite, P elsewhere minus that."""
    inside = in_same_planes(X, Y)
    call.notes.add(
        InfiniteDivergenceWarning,
        "a column of Y is constant, or linear in others, and Q has no density: the cross-entropy is "
        + ("-inf, since X is so too." if inside else "inf, since X is not so, or elsewhere."),
    )
    return Result(-math.inf if inside else math.inf, lambda: UNKNOWN)
