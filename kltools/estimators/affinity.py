"""Renyi divergence and Hellinger distance from samples: integrals of p^a q^(1-a) by nearest neighbours."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _validation
from .._formula import Formula
from .._log_sums import log_mean_exp
from ..errors import InfiniteDivergenceWarning, InvalidParameterError, KLToolsWarning, PoorOverlapWarning
from ..estimate import DivergenceEstimate
from ..inference import UNKNOWN
from ..neighbors import in_safe_range
from ..neighbors.neighborhood import Search
from ..neighbors.reductions import log_ratios
from ..preprocessing import Notes, drop_constant_columns, drop_dependent_columns, tell_lost_digits, tell_mixed_columns
from ..repeats import tell_shared_rows
from ..scaling import SCALES, fit_scaling
from .call import Call, Terms
from .density import counts_where_tied, share_outside
from .problem import Result


@Formula
def _log_correction(n_own: float, n_other: float, alpha: float) -> float:
    """log B of Poczos and Schneider (2011), for numbers of neighbours that may differ."""
    own = math.lgamma(n_own) - math.lgamma(n_own + 1.0 - alpha)
    return own + math.lgamma(n_other) - math.lgamma(n_other + alpha - 1.0)


def estimate_renyi(
    X: Any,
    Y: Any,
    *,
    alpha: float,
    n_neighbors: Any = None,
    scale: str = "whiten",
    unit: str = "nats",
    nan_policy: str = "raise",
    n_jobs: int | None = None,
    random_state: Any = None,
    memory_limit: int | None = None,
) -> DivergenceEstimate:
    r"""Estimate the Renyi divergence of order alpha in nats from samples X of P and Y of Q.

    .. math:: R_\alpha = \frac{1}{\alpha - 1} \log D_\alpha, \quad
        D_\alpha = \int p^\alpha q^{1-\alpha} \approx
        \frac{B}{n} \sum_i \left( \frac{(n-1) \rho_k(i)^d}{m \nu_k(i)^d} \right)^{1-\alpha}

    where :math:`\rho_k(i)` and :math:`\nu_k(i)` are the distances from row i of X to its k-th neighbour
    in X and in Y, and :math:`B = \Gamma(k)^2 / (\Gamma(k - \alpha + 1) \Gamma(k + \alpha - 1))`. The
    integrals for several k are averaged, then the logarithm is taken. Where distances tie, rows within equal
    radii are counted instead, as by `estimate_kl`, whose estimate is the limit for alpha to 1.

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P.
    Y : array-like of shape (m, d) or (m,)
        Rows drawn from Q.
    alpha : float
        > 0 and not 1. The estimate exists for n_neighbors > abs(alpha - 1), and has a finite variance for
        twice that.
    n_neighbors : int or sequence of int, optional
        By default 5, 10 and 20, each cut to min(n - 1, m).
    scale : {"whiten", "std", "none"}
        How features are made comparable, learnt from X.
    unit : {"nats", "bits"}
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the random blocks of the standard error; the value itself has no randomness.
    memory_limit : int, optional
        Bytes of workspace beside some copies of the data, at least 1 MiB; by default 256 MiB.

    Returns
    -------
    DivergenceEstimate
        ``diagnostics["affinity"]`` is the estimate of the integral. inf where the samples have nothing in
        common, and for alpha > 1 also where a column shows P to have mass where Q has none.

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
    B. Poczos, J. Schneider (2011), On the estimation of alpha-divergences, eq. 5.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(0, 1, 2000), rng.normal(1, 1, 2000)
    >>> round(kl.estimate_renyi(X, Y, alpha=0.5).value, 2)  # the truth is 0.25
    0.25
    """
    call = Call.checked(n_neighbors, unit, nan_policy, n_jobs, random_state, memory_limit)
    alpha = _order(alpha)

    def transform(log_affinity: float) -> float:
        return log_affinity / (alpha - 1.0) + 0.0  # 0.0, not -0.0

    rows, reference, n_dropped = _validation.sample_pair(X, Y, nan_policy, tell=call.notes.add)
    result = _of_affinity(rows, reference, alpha, transform, scale, call)
    return call.report(
        result,
        quantity=f"Renyi {alpha:g}",
        direction="P||Q",
        method="knn",
        n_p=len(rows),
        n_q=len(reference),
        d=rows.shape[1],
        n_dropped=n_dropped,
    )


def estimate_hellinger(
    X: Any,
    Y: Any,
    *,
    n_neighbors: Any = None,
    scale: str = "whiten",
    nan_policy: str = "raise",
    n_jobs: int | None = None,
    random_state: Any = None,
    memory_limit: int | None = None,
) -> DivergenceEstimate:
    r"""Estimate the Hellinger distance, a number without a unit, from samples X of P and Y of Q.

    .. math:: H(P, Q) = \sqrt{1 - \mathrm{BC}}, \quad \mathrm{BC} = \int \sqrt{p q}

    The affinity BC is the integral that `estimate_renyi` estimates, at alpha = 0.5. Nothing keeps its
    estimate below 1 where P and Q agree: an affinity of 1 + e gives the value -sqrt(e), so that no
    information is lost and means are not biased by clipping (see ``clipped``).

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P.
    Y : array-like of shape (m, d) or (m,)
        Rows drawn from Q.
    n_neighbors : int or sequence of int, optional
        By default 5, 10 and 20, each cut to min(n - 1, m).
    scale : {"whiten", "std", "none"}
        How features are made comparable, learnt from X.
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the random blocks of the standard error; the value itself has no randomness.
    memory_limit : int, optional
        Bytes of workspace beside some copies of the data, at least 1 MiB; by default 256 MiB.

    Returns
    -------
    DivergenceEstimate
        Its ``unit`` is None; ``diagnostics["affinity"]`` is BC. 1 where the samples have nothing in
        common. Around 0 the root is so steep that the standard error means little.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For what cannot be estimated; the message names the argument.

    Warns
    -----
    TiesWarning, SmallSampleWarning, PoorOverlapWarning, UnreliableEstimateWarning
        Each is also kept as text in ``warnings`` of the result.

    References
    ----------
    B. Poczos, J. Schneider (2011), On the estimation of alpha-divergences, eq. 5.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(0, 1, 2000), rng.normal(1, 1, 2000)
    >>> round(kl.estimate_hellinger(X, Y).value, 2)  # the truth is 0.34
    0.34
    """
    call = Call.checked(n_neighbors, "nats", nan_policy, n_jobs, random_state, memory_limit)
    rows, reference, n_dropped = _validation.sample_pair(X, Y, nan_policy, tell=call.notes.add)
    result = _of_affinity(rows, reference, 0.5, _signed_root_of_deficit, scale, call)
    return call.report(
        result,
        unit=None,
        quantity="Hellinger",
        direction="P, Q",
        method="knn",
        n_p=len(rows),
        n_q=len(reference),
        d=rows.shape[1],
        n_dropped=n_dropped,
    )


def _signed_root_of_deficit(log_affinity: float) -> float:
    deficit = 0.0 - math.expm1(log_affinity)  # 0.0, not -0.0
    return math.sqrt(deficit) if deficit >= 0.0 else -math.sqrt(-deficit)


def _order(alpha: Any) -> float:
    alpha = _validation.positive(alpha, "alpha")
    if alpha == 1.0:
        raise InvalidParameterError("alpha=1 is the KL divergence, in the limit; call estimate_kl.")
    return alpha


def _of_affinity(
    X: np.ndarray, Y: np.ndarray, alpha: float, transform: Callable[[float], float], scale: str, call: Call
) -> Result:
    """A function of log D_alpha."""
    _validation.choice(scale, "scale", SCALES)
    _validation.check_enough_rows(len(X), "X", 2, "an estimate")
    search = call.search(len(X), len(Y))
    ks = search.ks
    if ks[0] <= abs(alpha - 1.0):
        raise InvalidParameterError(
            f"alpha={alpha:g} needs n_neighbors > {abs(alpha - 1.0):g}, got n_neighbors={ks[0]}; use more neighbours."
        )
    tell_lost_digits((X, Y), call.notes)
    category = InfiniteDivergenceWarning if math.isinf(transform(-math.inf)) else PoorOverlapWarning
    X, Y, decided = _without_idle_columns(X, Y, alpha, call.notes, category)
    if decided is not None:
        return _decided(transform(decided), decided)
    tell_mixed_columns((X, Y), call.notes)
    tell_shared_rows(X, Y, call.notes)
    scaling = fit_scaling(X, scale, Y, call.notes)
    samples, _ = in_safe_range(scaling.apply(X, call.n_jobs), scaling.apply(Y, call.n_jobs))

    def terms(X: np.ndarray, Y: np.ndarray) -> Terms:
        logs, n_ties, outside = _log_affinities(X, Y, alpha, search)
        together = float(log_mean_exp(logs))
        affinity = {"affinity": _exp(together)}
        return Terms(transform(together), tuple(transform(float(log)) for log in logs), n_ties, affinity, outside)

    tied = "they are estimated by counts within equal radii"
    return call.solve(terms, samples, ks, needed=(ks[-1] + 1, ks[-1]), d=X.shape[1], tied=tied, scale=scaling.kind)


def _log_affinities(X: np.ndarray, Y: np.ndarray, alpha: float, search: Search) -> tuple[np.ndarray, int, float]:
    """log D_alpha for each number of neighbours, how many rows of X tie, and which share of them lies outside of Y."""
    own, other = search.references(X, Y)
    rho, nu = search.among(own), search.of(own.points, other)
    tied = rho.tied | (nu.distances == 0.0)  # far from Y, distances to it agree to many digits: no ties
    log_rows = math.log(len(X) - 1) - math.log(len(Y))
    logs = []
    for k, near, far, tie in zip(search.ks, rho.distances, nu.distances, tied, strict=True):
        log_terms = log_rows - X.shape[1] * log_ratios(far, near, search.n_jobs)
        log_terms = (1.0 - alpha) * log_terms + _log_correction(k, k, alpha)
        if tie.any():
            chosen, n_own, n_other = counts_where_tied((own, other), (near, far), tie)
            log_terms[chosen] = (1.0 - alpha) * log_rows + _log_correction(n_own, n_other, alpha)
        logs.append(log_mean_exp(log_terms))
    return np.array(logs), int(tied.any(axis=0).sum()), share_outside(nu.distances[0], Y, other, search.ks[0])


def _exp(x: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(x))


def _without_idle_columns(
    X: np.ndarray, Y: np.ndarray, alpha: float, notes: Notes, category: type[KLToolsWarning]
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """The samples without columns that say nothing, and log D_alpha where columns decide it.

    ``category`` is that of the warning where P and Q have nothing in common.
    """
    found = Notes()
    x, y, kl = drop_constant_columns(X, Y, found)
    assert y is not None
    apart = kl == math.inf and _have_a_column_apart(X, Y)
    if kl is None:
        x, y, kl = drop_dependent_columns(x, y, found)
        apart = kl == math.inf
    if apart:
        notes.add(
            category,
            "a column of one sample is constant, or linear in others, where the other sample never is: P and Q have "
            f"nothing in common, the affinity of order {alpha:g} is {0 if alpha < 1.0 else math.inf:g}.",
        )
        return X, Y, -math.inf if alpha < 1.0 else math.inf
    if kl == math.inf and alpha < 1.0:
        return X, Y, None  # P has mass where Q has none, but elsewhere they meet
    notes.items.extend(found.items)
    return x, y, kl


def _have_a_column_apart(X: np.ndarray, Y: np.ndarray) -> bool:
    """Whether a column has a single value in one sample, and never that value in the other."""
    return any(
        bool(((one == one[0]).all(axis=0) & (other != one[0]).all(axis=0)).any()) for one, other in ((X, Y), (Y, X))
    )


def _decided(value: float, log_affinity: float) -> Result:
    return Result(value, lambda: UNKNOWN, diagnostics={"affinity": _exp(log_affinity)})
