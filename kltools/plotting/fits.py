"""A density and the normal distributions closest to it, by either direction of KL."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _validation
from ..closed_forms import kl_divergence
from ..distribution import Distribution, check_distribution
from ..errors import NoClosedFormError, ShapeMismatchError
from ..families import GaussianMixture, Mixture, Normal
from ..fits import DIRECTIONS, fit_gaussian
from ._style import BLUE, GREY, VERMILLION, one_ax, tidy

_POINTS, _REACH = 801, 4.0
_FAR_HIGHER = 100.0  # than another curve, which a linear axis would hide
_STYLES = {
    "forward": (BLUE, "-", "KL(p||N)"),
    "reverse": (VERMILLION, "--", "KL(N||p)"),
}


def plot_fits(target: Distribution, *, directions: Sequence[str] = DIRECTIONS, ax: Any = None) -> Any:
    r"""Draw a density p with its normal fits of least KL(p || N), which covers p, and KL(N || p), which takes a mode.

    Parameters
    ----------
    target : Distribution
        p, of one number or of vectors of length 1, without a batch.
    directions : sequence of {"forward", "reverse"}
        Both by default; `fit_gaussian` tells which of them exists.
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
        For batches and longer vectors.
    InvalidParameterError, InvalidTypeError, NoClosedFormError
        As `fit_gaussian` does.

    Examples
    --------
    >>> import kltools as kl
    >>> from matplotlib.figure import Figure
    >>> p = kl.GaussianMixture(weights=[0.5, 0.5], means=[[-3.0], [3.0]], covs=[[1.0], [1.0]])
    >>> ax = kl.plotting.plot_fits(p, ax=Figure().add_subplot())
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['p', 'least KL(p||N): 0.462 nats', 'least KL(N||p): 0.689 nats']
    """
    check_distribution(target, "target")
    if target.batch_shape or target.event_shape not in ((), (1,)):
        raise ShapeMismatchError(
            f"target has batch shape {target.batch_shape} and event shape {target.event_shape}; a single density over "
            "numbers can be drawn."
        )
    for direction in directions:
        _validation.choice(direction, "directions", DIRECTIONS)
    fits = {direction: fit_gaussian(target, direction=direction) for direction in directions}
    ax = one_ax(ax, (7.0, 3.8))
    x = _places(target, list(fits.values()))
    ax.fill_between(x, _density(target, x), color=GREY, alpha=0.35, linewidth=0.8, label="p")
    heights = [float(_density(target, x).max())]
    for direction, fit in fits.items():
        color, style, name = _STYLES[direction]
        ax.plot(x, _density(fit, x), style, color=color, label=f"least {name}{_least(target, fit, direction)}")
        heights.append(float(_density(fit, x).max()))
    ax.set(xlabel="x", ylabel="density", xlim=(x[0], x[-1]), ylim=(0.0, None))
    if max(heights) > _FAR_HIGHER * min(heights):
        ax.set(yscale="log", ylim=(min(heights) / _FAR_HIGHER, 2.0 * max(heights)))
    tidy(ax)
    ax.legend(frameon=False, loc="best")
    return ax


def _places(target: Distribution, fits: list[Any]) -> np.ndarray:
    """Evenly where the fits are, and as draws of p and each fit lie, so that no narrow peak is missed."""
    means = np.array([float(np.ravel(fit.mean)[0]) for fit in fits])
    stds = np.array([math.sqrt(float(np.ravel(fit.var)[0])) for fit in fits])
    low, high = float((means - _REACH * stds).min()), float((means + _REACH * stds).max())
    even = np.linspace(-_REACH, _REACH, _POINTS)
    draws = np.ravel(target.sample(_POINTS, random_state=0))
    x = np.concatenate([np.linspace(low, high, _POINTS), draws, (means[:, None] + stds[:, None] * even).ravel()])
    return np.unique(x[(low <= x) & (x <= high)])


def _density(law: Distribution, x: np.ndarray) -> np.ndarray:
    return np.exp(np.asarray(law.log_prob(x[:, None] if law.event_shape else x)))


def _least(target: Distribution, fit: Any, direction: str) -> str:
    """The divergence in words, where it can be integrated."""
    p, normal = _of_numbers(target), Normal(mean=float(np.ravel(fit.mean)[0]), var=float(np.ravel(fit.var)[0]))
    try:
        value = kl_divergence(*((p, normal) if direction == "forward" else (normal, p)), method="quadrature")
    except NoClosedFormError:
        return ""
    return f": {value:.3g} nats"


def _of_numbers(law: Any) -> Distribution:
    """The same law over numbers, where it is one over vectors of length 1."""
    if isinstance(law, GaussianMixture):
        return Mixture(weights=law.weights, components=Normal(mean=law.means[:, 0], var=law.covs.reshape(-1)))
    if law.event_shape == (1,) and hasattr(law, "mean") and hasattr(law, "_moments"):
        mean, var = law._moments()
        return Normal(mean=float(mean[0]), var=float(var[0]))
    return law
