"""What `DriftDetector` has found, in four pictures."""

from typing import Any

import numpy as np

from ..drift.report import DriftReport, FeatureDrift
from ..errors import InvalidTypeError
from ._style import BLUE, GREY, ORANGE, VERMILLION, label, legend_above, note, several_axes, tidy

_MOST_FEATURES, _MOST_CELLS = 15, 12
_WIDTH = 0.4  # of a bar


def plot_drift(report: DriftReport, *, ax: Any = None) -> Any:
    r"""Draw the p-values of the test, the features by what they contribute, and the two that contribute most.

    Parameters
    ----------
    report : DriftReport
        From `DriftDetector.detect`.
    ax : sequence of 4 matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    ndarray of 4 matplotlib.axes.Axes
        P-values, features, and the cells of the first and of the second feature.

    Raises
    ------
    MissingDependencyError
        Without matplotlib.
    InvalidTypeError, InvalidParameterError
        For what is no DriftReport, and for another number of Axes.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> from matplotlib.figure import Figure
    >>> rng = np.random.default_rng(0)
    >>> detector = kl.DriftDetector(random_state=0).fit(rng.normal(size=(300, 2)))
    >>> report = detector.detect(rng.normal([0, 1], 1, (200, 2)))
    >>> kl.plotting.plot_drift(report, ax=Figure().subplots(2, 2)).shape
    (4,)
    """
    if not isinstance(report, DriftReport):
        raise InvalidTypeError(f"report must be what DriftDetector.detect returns, got {type(report).__name__}.")
    axes = several_axes(ax, 2, 2, (10.0, 7.0))
    for draw, each in zip(PARTS, axes, strict=True):
        draw(report, each)
    return axes


def _draw_p_values(report: DriftReport, ax: Any) -> None:
    ax.set_title(f"drift: {'yes' if report.drift else 'no'}")
    values = {
        "joint": report.p_value,
        "neighbours": report.p_value_of_neighbors,
        "means": report.p_value_of_means,
        "single features": report.p_value_of_features,
    }
    colors = [VERMILLION if report.drift else BLUE, GREY, GREY, GREY]
    places = range(len(values))
    ax.set_xscale("log")
    for place, value, color in zip(places, values.values(), colors, strict=True):
        ax.plot(value, place, "o", color=color, markersize=8.0)
        ax.annotate(f"{value:.3g}", (value, place), xytext=(0, 8), textcoords="offset points", ha="center")
    ax.set_yticks(places, list(values))
    ax.set_ylim(len(values) - 0.5, -0.7)
    ax.set_xlim(0.5 * min(1.0 / (report.n_permutations + 1), report.alpha), 2.0)
    alpha = ax.axvline(report.alpha, color=ORANGE, linestyle="--", label=f"alpha = {report.alpha:.3g}", zorder=0)
    ax.set_xlabel(f"p-value, {report.n_permutations} permutations")
    tidy(ax, "x")
    legend_above(ax, [alpha])


def _draw_features(report: DriftReport, ax: Any) -> None:
    shown = report.features[:_MOST_FEATURES]
    few = f"{len(shown)} of {len(report.features)} "
    ax.set_title((few if len(shown) < len(report.features) else "") + "features by contribution")
    if not shown:
        note(ax, "no feature varies")
        return
    sizes = np.array([feature.contribution for feature in shown])
    for drift, color, words in ((True, VERMILLION, "changed"), (False, GREY, "not seen to change")):
        which = [i for i, feature in enumerate(shown) if feature.drift is drift]
        if which:
            ax.barh(which, sizes[which], 0.75, color=color, label=words)
    names = [label(feature.name) for feature in shown]
    ax.set_yticks(range(len(shown)), names)
    ax.set_ylim(max(len(shown), 3) - 0.4, -0.6)
    ax.set_xlabel("standard deviations\nbeyond permuted labels")
    ax.axvline(0.0, color=GREY, linewidth=0.8)
    tidy(ax, "x")
    legend_above(ax, ax.get_legend_handles_labels()[0])


def _draw_cells(report: DriftReport, ax: Any, place: int) -> None:
    if len(report.features) <= place:
        note(ax, "no other feature")
        return
    feature = report.features[place]
    cells, shares = _largest_cells(feature)
    positions = np.arange(len(cells))
    for which, (words, color) in enumerate((("reference", BLUE), ("window", ORANGE))):
        ax.barh(positions + (which - 0.5) * _WIDTH, shares[which], _WIDTH, color=color, label=words)
    ax.set_title(f"{label(feature.name)}\nKL {feature.kl:.3g}, PSI {feature.psi:.3g} nats")
    ax.set_yticks(positions, [label(cell) for cell in cells])
    ax.set_ylim(len(cells) - 0.4, -0.6)
    few = f"\nthe {len(cells)} of {len(feature.cells)} cells that differ most"
    ax.set_xlabel("share of the rows" + (few if len(cells) < len(feature.cells) else ""))
    ax.xaxis.set_major_formatter(lambda share, _: f"{share:.3g}" if share < 0.01 else f"{share:.0%}")
    tidy(ax, "x")
    legend_above(ax, ax.get_legend_handles_labels()[0])


def _largest_cells(feature: FeatureDrift) -> tuple[list[str], np.ndarray]:
    """Cells in their order, with the shares of the rows; of many those whose shares differ most."""
    counts = np.array([feature.reference_counts, feature.window_counts], dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    kept = np.arange(len(feature.cells))
    if len(kept) > _MOST_CELLS:
        kept = np.sort(np.argsort(-np.abs(shares[0] - shares[1]), kind="stable")[:_MOST_CELLS])
    return [feature.cells[i] for i in kept], shares[:, kept]


def _draw_first(report: DriftReport, ax: Any) -> None:
    _draw_cells(report, ax, 0)


def _draw_second(report: DriftReport, ax: Any) -> None:
    _draw_cells(report, ax, 1)


PARTS = (_draw_p_values, _draw_features, _draw_first, _draw_second)
