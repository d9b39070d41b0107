"""Estimates with their intervals: against the size of the samples, against k, and of several methods."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import _validation
from ..comparison.diagnosis import NEIGHBORS
from ..comparison.halves import quiet_estimate
from ..distribution import Distribution
from ..errors import InvalidParameterError, InvalidTypeError
from ..estimate import DivergenceEstimate
from ._style import (
    BLUE,
    ORANGE,
    checked_estimates,
    intervals,
    label,
    legend_above,
    not_reliable,
    one_ax,
    quantity_with_unit,
    tidy,
)

_MOST_SIZES, _FEWEST_ROWS = 6, 50


def plot_sample_size(
    X: Any,
    Y: Any,
    *,
    sizes: Sequence[int] | None = None,
    truth: float | None = None,
    confidence_level: float = 0.95,
    random_state: Any = None,
    ax: Any = None,
    **options: Any,
) -> Any:
    r"""Draw the estimate of KL(P || Q) with its interval against the rows that it is made from.

    An estimate that still moves by more than its interval has not settled. Each of the nested random parts of X
    comes with the same share of the rows of Y; points of estimates that are not reliable are hollow.

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P.
    Y : array-like of shape (m, d) or (m,), or Distribution
        Rows drawn from Q, or Q itself.
    sizes : sequence of int, optional
        Rows of X; by default n, n / 2, n / 4 and so on, down to 50.
    truth : float, optional
        A line to compare with.
    confidence_level : float
        In (0, 1).
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the parts and the estimates.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.
    **options
        Of `estimate_kl`: ``method``, ``unit``, ``n_jobs``, ...

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingDependencyError
        Without matplotlib.
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        As `estimate_kl` does, and for sizes out of range.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> from matplotlib.figure import Figure
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(0, 1, 400), rng.normal(1, 1, 400)
    >>> ax = kl.plotting.plot_sample_size(X, Y, method="knn", random_state=0, ax=Figure().add_subplot())
    >>> ax.get_xlabel()
    'rows of X'
    """
    level = _validation.confidence_level(confidence_level)
    rng = _validation.generator(random_state)
    X, Y = samples(X, Y, options.pop("nan_policy", "raise"))
    x_order = rng.permutation(len(X))
    y_order = None if isinstance(Y, Distribution) else rng.permutation(len(Y))
    seed, estimates = _validation.repeated_seed(random_state), []
    chosen = _sizes(sizes, len(X))
    for size in chosen:  # random rows in the order in which they stand: of all of them, the estimate itself
        rows = Y if y_order is None else Y[np.sort(y_order[: max(2, round(size / len(X) * len(Y)))])]
        estimates.append(quiet_estimate(X[np.sort(x_order[:size])], rows, random_state=seed, **options))
    return _against(one_ax(ax), chosen, estimates, level, truth, "rows of X")


def plot_n_neighbors(
    X: Any,
    Y: Any,
    *,
    n_neighbors: Sequence[int] = NEIGHBORS,
    truth: float | None = None,
    confidence_level: float = 0.95,
    ax: Any = None,
    **options: Any,
) -> Any:
    r"""Draw nearest-neighbour estimates of KL(P || Q) with their intervals against the number of neighbours k.

    Few neighbours vary, many are biased: believe an estimate that hardly moves with k. Intervals are about variance
    only.

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P.
    Y : array-like of shape (m, d) or (m,), or Distribution
        Rows drawn from Q, or Q itself.
    n_neighbors : sequence of int
        Those above min(n - 1, m) are left out.
    truth : float, optional
        A line to compare with.
    confidence_level : float
        In (0, 1).
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.
    **options
        Of `estimate_kl`: ``unit``, ``scale``, ``random_state``, ``n_jobs``, ...; the method is "knn" by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingDependencyError
        Without matplotlib.
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        As `estimate_kl` does.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> from matplotlib.figure import Figure
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(0, 1, 400), rng.normal(1, 1, 400)
    >>> ax = kl.plotting.plot_n_neighbors(X, Y, random_state=0, ax=Figure().add_subplot())
    >>> ax.get_xlabel()
    'neighbours k'
    """
    level = _validation.confidence_level(confidence_level)
    asked = _validation.neighbors(n_neighbors) or NEIGHBORS
    X, Y = samples(X, Y, options.pop("nan_policy", "raise"))
    most = len(X) - 1 if isinstance(Y, Distribution) else min(len(X) - 1, len(Y))
    ks = [k for k in asked if k <= most]
    if not ks:
        raise InvalidParameterError(f"n_neighbors={list(asked)}: {len(X)} rows of X allow at most {most} neighbours.")
    estimates = [quiet_estimate(X, Y, **{"method": "knn", **options, "n_neighbors": k}) for k in ks]
    return _against(one_ax(ax), ks, estimates, level, truth, "neighbours k")


def plot_forest(
    estimates: Mapping[str, DivergenceEstimate] | Sequence[DivergenceEstimate],
    *,
    truth: float | None = None,
    confidence_level: float = 0.95,
    ax: Any = None,
) -> Any:
    r"""Draw estimates below each other, each with its interval: a forest plot.

    Parameters
    ----------
    estimates : mapping of str to DivergenceEstimate, or list of them
        In one unit, by what they are to be called, by default their methods; the first one is at the top.
    truth : float, optional
        A line to compare with.
    confidence_level : float
        In (0, 1).
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingDependencyError
        Without matplotlib.
    InvalidParameterError, InvalidTypeError
        For what holds no estimates, and for estimates in several units.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> from matplotlib.figure import Figure
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(0, 1, 400), rng.normal(1, 1, 400)
    >>> estimates = {m: kl.estimate_kl(X, Y, method=m, random_state=0) for m in ("gaussian", "knn")}
    >>> ax = kl.plotting.plot_forest(estimates, truth=0.5, ax=Figure().add_subplot())
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['gaussian', 'knn']
    """
    if not isinstance(estimates, Mapping | Sequence):
        raise InvalidTypeError(f"estimates must map names to DivergenceEstimate, got {type(estimates).__name__}.")
    level = _validation.confidence_level(confidence_level)
    drawn = list(estimates.values() if isinstance(estimates, Mapping) else estimates)
    checked_estimates(drawn, "estimates")
    names = estimates if isinstance(estimates, Mapping) else [estimate.method for estimate in drawn]
    ax = one_ax(ax, (6.0, 1.2 + 0.4 * len(drawn)))
    intervals(ax, range(len(drawn)), drawn, level, across=True)
    ax.set_yticks(range(len(drawn)), [label(name) for name in names])
    ax.set_ylim(len(drawn) - 0.5, -0.5)
    ax.set_xlabel(f"{quantity_with_unit(drawn)}, {100 * level:.4g}% intervals")
    tidy(ax, "x")
    legend_above(ax, [*_truth(ax, ax.axvline, truth), *not_reliable(ax, drawn)])
    return ax


def samples(X: Any, Y: Any, nan_policy: str) -> tuple[Any, Any]:
    """Rows that can be picked; whatever else is wrong with them the estimator tells."""
    _validation.choice(nan_policy, "nan_policy", _validation.NAN_POLICIES)
    if isinstance(Y, Distribution):
        return _validation.sample(X, "X", nan_policy)[0], Y
    return _validation.sample_pair(X, Y, nan_policy)[:2]


def _sizes(sizes: Sequence[int] | None, n: int) -> list[int]:
    if sizes is None:
        halves = [n // 2**i for i in range(_MOST_SIZES)]
        return sorted(size for i, size in enumerate(halves) if i == 0 or size >= _FEWEST_ROWS)
    chosen = sorted({_validation.integer(size, "sizes", minimum=2) for size in sizes})
    if not chosen or chosen[-1] > n:
        raise InvalidParameterError(f"sizes must be numbers of rows from 2 to the {n} of X, got {list(sizes)}.")
    return chosen


def _against(
    ax: Any,
    places: Sequence[int],
    estimates: Sequence[DivergenceEstimate],
    level: float,
    truth: float | None,
    xlabel: str,
) -> Any:
    ax.set_xscale("log")
    ax.plot(places, [_finite(e.value) for e in estimates], "-", color=BLUE, alpha=0.35, linewidth=1.0)
    intervals(ax, places, estimates, level)
    ax.set_xticks(places, [f"{place:,}" for place in places])
    ax.minorticks_off()
    ax.set_xlabel(xlabel)
    ax.set_ylabel(quantity_with_unit(estimates))
    ax.set_title(f"{estimates[0].method}, {100 * level:.4g}% intervals")
    tidy(ax)
    handles = [*_truth(ax, ax.axhline, truth), *not_reliable(ax, estimates)]
    if handles:
        ax.legend(handles=handles, frameon=False)
    return ax


def _truth(ax: Any, draw: Callable[..., Any], truth: float | None) -> list[Any]:
    """The line to compare with, in words where it is at infinity."""
    if truth is None:
        return []
    if not np.isfinite(truth):
        return list(ax.plot([], [], " ", label=f"truth: {truth:g}"))
    return [draw(truth, color=ORANGE, linestyle="--", label="truth", zorder=0)]


def _finite(value: float) -> float:
    return value if np.isfinite(value) else np.nan
