"""An estimate seen from several sides, beside the samples where these can be drawn."""

from typing import Any

from .. import _validation
from ..distribution import Distribution
from ._style import several_axes
from .contributions import plot_contributions
from .estimates import plot_n_neighbors, plot_sample_size, samples


def plot_estimate(
    X: Any,
    Y: Any,
    *,
    method: str = "auto",
    unit: str = "nats",
    nan_policy: str = "raise",
    confidence_level: float = 0.95,
    n_jobs: int | None = None,
    random_state: Any = None,
    ax: Any = None,
    **options: Any,
) -> Any:
    r"""Draw an estimate of KL(P || Q) against the size of the samples and against k; of few features also the samples.

    The pictures are those of `plot_sample_size` with the method, of `plot_n_neighbors`, and of `plot_contributions`.

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P.
    Y : array-like of shape (m, d) or (m,), or Distribution
        Rows drawn from Q, or Q itself.
    method : str
        Of `estimate_kl`.
    unit : {"nats", "bits"}
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN.
    confidence_level : float
        In (0, 1).
    n_jobs : int, optional
        Threads, -1 for all cores.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
    ax : sequence of matplotlib.axes.Axes, optional
        By default those of a new figure: 3 for samples of one or two features, else 2.
    **options
        Of the method.

    Returns
    -------
    ndarray of matplotlib.axes.Axes

    Raises
    ------
    MissingDependencyError
        Without matplotlib.
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        As `estimate_kl` does, and for another number of Axes.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> from matplotlib.figure import Figure
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(0, 1, (400, 3)), rng.normal(1, 1, (400, 3))
    >>> kl.plotting.plot_estimate(X, Y, method="gaussian", random_state=0, ax=Figure().subplots(1, 2)).shape
    (2,)
    """
    common: dict[str, Any] = {"unit": unit, "n_jobs": n_jobs}
    seed = _validation.repeated_seed(random_state)
    X, Y = samples(X, Y, nan_policy)
    can_be_drawn = X.shape[1] <= 2 and not isinstance(Y, Distribution) and bool((X.std(0) * Y.std(0) > 0.0).all())
    n_axes = 3 if can_be_drawn else 2
    axes = several_axes(ax, 1, n_axes, (5.0 * n_axes, 4.2))
    shared: dict[str, Any] = {"confidence_level": confidence_level, "random_state": seed, **common}
    plot_sample_size(X, Y, ax=axes[0], method=method, **shared, **options)
    plot_n_neighbors(X, Y, ax=axes[1], **shared)
    if can_be_drawn:
        plot_contributions(X, Y, ax=axes[2], **common)
    return axes
