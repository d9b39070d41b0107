"""What `diagnose` has seen, in four pictures."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..comparison import Diagnosis
from ..errors import InvalidTypeError
from ._style import BLUE, ORANGE, VERMILLION, legend_above, not_reliable, note, several_axes, tidy
from .estimates import plot_forest

_HEIGHT = 0.36  # of a bar


def plot_diagnosis(diagnosis: Diagnosis, *, ax: Any = None) -> Any:
    r"""Draw the estimates side by side, how they move with k, what lies outside, and how many dimensions are filled.

    Diamonds are the means of estimates from halves of the rows: one that is far from its point is biased.

    Parameters
    ----------
    diagnosis : Diagnosis
        From `diagnose`.
    ax : sequence of 4 matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    ndarray of 4 matplotlib.axes.Axes
        Estimates, neighbours, overlap and dimensions.

    Raises
    ------
    MissingDependencyError
        Without matplotlib.
    InvalidTypeError, InvalidParameterError
        For what is no Diagnosis, and for another number of Axes.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> from matplotlib.figure import Figure
    >>> rng = np.random.default_rng(0)
    >>> diagnosis = kl.diagnose(rng.normal(0, 1, (400, 2)), rng.normal(0.5, 1, (400, 2)), random_state=0)
    >>> kl.plotting.plot_diagnosis(diagnosis, ax=Figure().subplots(2, 2)).shape
    (4,)
    """
    if not isinstance(diagnosis, Diagnosis):
        raise InvalidTypeError(f"diagnosis must be what diagnose returns, got {type(diagnosis).__name__}.")
    axes = several_axes(ax, 2, 2, (10.0, 7.0))
    for draw, each in zip(PARTS, axes, strict=True):
        draw(diagnosis, each)
    return axes


def _draw_estimates(diagnosis: Diagnosis, ax: Any) -> None:
    plot_forest(diagnosis.estimates, ax=ax)
    ax.set_title("estimates by unlike methods")
    places = {name: place for place, name in enumerate(diagnosis.estimates)}
    halves = [(value, places[name]) for name, value in diagnosis.at_half.items() if math.isfinite(value)]
    handles = []
    if halves:
        look = {"color": ORANGE, "markersize": 5.0, "label": "from half the rows"}
        handles += ax.plot(*zip(*halves, strict=True), "D", **look)
    legend_above(ax, [*handles, *not_reliable(ax, list(diagnosis.estimates.values()))])


def _draw_neighbors(diagnosis: Diagnosis, ax: Any) -> None:
    ax.set_title("nearest neighbours")
    finite = {k: value for k, value in diagnosis.by_n_neighbors.items() if math.isfinite(value)}
    if not finite:
        note(ax, "no finite estimate by nearest neighbours")
        return
    ax.plot(list(finite), list(finite.values()), "o-", color=BLUE, label="_value")
    ax.set_xscale("log")
    ax.set_xticks(list(finite), list(map(str, finite)))
    ax.minorticks_off()
    ax.set(xlabel="neighbours k", ylabel="KL(P||Q) (nats)")
    tidy(ax)


def _draw_overlap(diagnosis: Diagnosis, ax: Any) -> None:
    ax.set_title("rows that lie outside of the other sample")
    _pairs(ax, [("outside", diagnosis.outside)], ("X outside of Y", "Y outside of X"), "{:.1%}")
    ax.set_yticks([])
    ax.set(xlabel="share of the rows, about 1% where P = Q", xlim=(0.0, max(0.06, 1.25 * _largest(diagnosis.outside))))
    ax.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    ax.axvline(0.01, color=VERMILLION, linestyle=":", linewidth=1.2)


def _draw_dimensions(diagnosis: Diagnosis, ax: Any) -> None:
    ax.set_title(f"dimensions filled, of {diagnosis.d}")
    rows = [
        ("participation\nratio", diagnosis.participation_ratio),
        ("intrinsic\ndimension", diagnosis.intrinsic_dimension),
    ]
    _pairs(ax, rows, ("X", "Y"), "{:.3g}")
    ax.set_xlim(0.0, 1.25 * max(diagnosis.d, _largest([value for _, pair in rows for value in pair])))
    ax.axvline(diagnosis.d, color=VERMILLION, linestyle=":", linewidth=1.2)
    ax.set_xlabel(f"dimensions (dotted: the {diagnosis.d} features)")


def _pairs(ax: Any, rows: Sequence[tuple[str, tuple[float, float]]], names: tuple[str, str], form: str) -> None:
    """Two bars, of X and of Y, for each row."""
    for which, (name, color) in enumerate(zip(names, (BLUE, ORANGE), strict=True)):
        values = np.array([pair[which] for _, pair in rows])
        places = np.arange(len(rows)) + (which - 0.5) * 1.1 * _HEIGHT
        drawn = ax.barh(places, np.nan_to_num(values), _HEIGHT, color=color, label=name)
        ax.bar_label(drawn, ["not known" if np.isnan(v) else form.format(v) for v in values], padding=3.0)
    ax.set_yticks(range(len(rows)), [name for name, _ in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    tidy(ax, "x")
    legend_above(ax, ax.get_legend_handles_labels()[0])


def _largest(values: Sequence[float]) -> float:
    return max((value for value in values if math.isfinite(value)), default=1.0)


PARTS = (_draw_estimates, _draw_neighbors, _draw_overlap, _draw_dimensions)
