"""Two samples, and what each row of the first one adds to the estimate of their divergence."""

from typing import Any

import numpy as np

from .. import _validation
from .._arrays import column_names
from .._jit import effective_n_jobs
from ..errors import InvalidParameterError, ShapeMismatchError
from ..estimators.density import log_densities, log_density
from ..neighbors import in_safe_range, references
from ..neighbors.neighborhood import Search
from ..scaling import fit_scaling
from ._style import BLUE, GREY, ORANGE, VERMILLION, label, one_ax, tidy

_BINS, _SHARE_OF_HEIGHT, _SPARE = 40, 0.3, 0.05
_CENTRAL, _REACH = (0.01, 0.99), 3.0  # quantiles; their distances beyond which a row is out of the picture


def contributions(X: np.ndarray, Y: np.ndarray, ks: tuple[int, ...], n_jobs: int) -> np.ndarray:
    """log p(X_i) / q(X_i) by nearest neighbours, averaged over k; the mean is the estimate of method "knn"."""
    scaling = fit_scaling(X, "whiten", Y)
    (x, y), _ = in_safe_range(scaling.apply(X, n_jobs), scaling.apply(Y, n_jobs))
    own, other = references(x, y, n_jobs)
    log_p = np.empty(len(x))
    log_p[own.order] = np.mean(log_densities(Search(ks, n_jobs), own, None)[0], axis=0)
    return log_p - log_density(other, x, ks)


def plot_contributions(
    X: Any, Y: Any, *, n_neighbors: Any = None, unit: str = "nats", n_jobs: int | None = None, ax: Any = None
) -> Any:
    r"""Draw two samples of one or two features, and where they differ: the terms whose mean is the estimate.

    .. math:: \mathrm{KL}(P \,\|\, Q) \approx \frac1n \sum_i \log \frac{\hat p(x_i)}{\hat q(x_i)}

    with densities by nearest neighbours, those of method "knn" of `estimate_kl`. Of one feature the terms are
    drawn over histograms of both samples, of two features as colours of the rows of X over those of Y. No single term
    means much; look at where they are high.

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P, d at most 2.
    Y : array-like of shape (m, d) or (m,)
        Rows drawn from Q.
    n_neighbors : int or sequence of int, optional
        As for `estimate_kl`.
    unit : {"nats", "bits"}
    n_jobs : int, optional
        Threads, -1 for all cores.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingDependencyError
        Without matplotlib.
    ShapeMismatchError
        For more than two features.
    InvalidParameterError, InvalidTypeError, NotEnoughSamplesError
        As `estimate_kl` does, and for a column that does not vary.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> from matplotlib.figure import Figure
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(0, 1, 400), rng.normal(1, 1, 400)
    >>> ax = kl.plotting.plot_contributions(X, Y, ax=Figure().add_subplot())
    >>> ax.get_ylabel()
    'log p / q at the rows of X (nats)'
    """
    factor = _validation.unit_factor(unit)
    threads = effective_n_jobs(_validation.check_n_jobs(n_jobs))
    names = column_names(X) or column_names(Y)
    X, Y, _ = _validation.sample_pair(X, Y)
    if X.shape[1] > 2:
        raise ShapeMismatchError(f"X and Y have {X.shape[1]} features; one or two can be drawn, pick some columns.")
    for rows, name in ((X, "X"), (Y, "Y")):
        _validation.check_enough_rows(len(rows), name, 2, "a picture")
        if (np.ptp(rows, axis=0) == 0.0).any():
            raise InvalidParameterError(f"a column of {name} does not vary: it has no density that could be drawn.")
    terms = factor * contributions(X, Y, _validation.neighbors_within(n_neighbors, len(X), len(Y)), threads)
    ax = one_ax(ax)
    low, high = _ends(X, Y)
    (_draw_line if X.shape[1] == 1 else _draw_plane)(ax, X, Y, terms, unit, low, high)
    if names is not None:
        ax.set_xlabel(label(names[0]))
        if len(names) == 2:
            ax.set_ylabel(label(names[1]))
    n_beyond = sum(int(((rows < low) | (rows > high)).any(axis=1).sum()) for rows in (X, Y))
    beyond = f"\n{n_beyond:,} {'row lies' if n_beyond == 1 else 'rows lie'} beyond the axes" if n_beyond else ""
    ax.set_title(f"KL(P||Q) as the mean of {len(X):,} terms: {terms.mean():.3g} {unit}{beyond}")
    return ax


def _ends(X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the axes: those of all rows, but for the few that would squeeze the others."""
    rows = np.concatenate([X, Y])
    low, high = np.quantile(rows, _CENTRAL, axis=0)
    reach = _REACH * (high - low)
    inside = np.where((rows >= low - reach) & (rows <= high + reach) | (high == low), rows, np.nan)
    return np.nanmin(inside, axis=0), np.nanmax(inside, axis=0)


def _draw_line(
    ax: Any, X: np.ndarray, Y: np.ndarray, terms: np.ndarray, unit: str, low: np.ndarray, high: np.ndarray
) -> None:
    below = ax.twinx()
    heights = [
        below.hist(
            rows[:, 0], np.linspace(low[0], high[0], _BINS + 1), density=True, color=color, alpha=0.35, label=name
        )[0]
        for rows, color, name in ((X, BLUE, "X ~ p"), (Y, ORANGE, "Y ~ q"))
    ]
    below.set_ylim(0.0, max(map(np.max, heights)) / _SHARE_OF_HEIGHT)
    below.set_axis_off()
    ax.set_zorder(below.get_zorder() + 1)
    ax.patch.set_visible(False)
    ax.plot(X[:, 0], terms, ".", color=BLUE, markersize=3.0, alpha=0.6, rasterized=True, label="_terms")
    ax.axhline(0.0, color=GREY, linewidth=0.8)
    mean = ax.axhline(terms.mean(), color=VERMILLION, linestyle="--", linewidth=1.2, label="their mean")
    finite = terms[np.isfinite(terms)]
    bottom, top = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    room = _SHARE_OF_HEIGHT / (1.0 - _SHARE_OF_HEIGHT) * max(top - bottom, 1e-9)
    ax.set_ylim(bottom - room, top + 0.05 * max(top - bottom, 1e-9))
    spare = _SPARE * (high[0] - low[0])
    ax.set(xlabel="x", ylabel=f"log p / q at the rows of X ({unit})", xlim=(low[0] - spare, high[0] + spare))
    tidy(ax)
    ax.legend(handles=[*below.get_legend_handles_labels()[0], mean], frameon=False, loc="best")


def _draw_plane(
    ax: Any, X: np.ndarray, Y: np.ndarray, terms: np.ndarray, unit: str, low: np.ndarray, high: np.ndarray
) -> None:
    reach = float(np.quantile(np.abs(terms[np.isfinite(terms)]), 0.98)) if np.isfinite(terms).any() else 1.0
    (others,) = ax.plot(*Y.T, ".", color=GREY, markersize=3.0, alpha=0.5, rasterized=True, label="Y ~ q")
    order = np.argsort(np.abs(terms), kind="stable")
    look = {"cmap": "PuOr_r", "vmin": -reach, "vmax": reach, "edgecolors": GREY, "linewidths": 0.2}
    drawn = ax.scatter(*X[order].T, c=terms[order], s=12.0, rasterized=True, **look)
    (sign,) = ax.plot([], [], "o", color=drawn.cmap(0.8), markersize=4.0, label="X ~ p")
    ax.figure.colorbar(drawn, ax=ax, label=f"log p / q at the rows of X ({unit})", extend="both")
    spare = _SPARE * (high - low)
    ax.set(xlabel="first feature", ylabel="second feature")
    ax.set(xlim=(low[0] - spare[0], high[0] + spare[0]), ylim=(low[1] - spare[1], high[1] + spare[1]))
    tidy(ax, "both")
    ax.legend(handles=[sign, others], frameon=False, loc="best")
