"""A latent space in four pictures."""

import importlib
import math
from typing import Any

import numpy as np

from ..errors import InvalidTypeError
from ..estimate import DivergenceEstimate
from ..latents import LatentReport
from ..latents.known import ACTIVE
from ._style import BLUE, COLORS, GREEN, GREY, ORANGE, PURPLE, VERMILLION, label, legend_above, note, several_axes, tidy

_MOST_NAMES, _MOST_MARGINALS, _MOST_DECADES, _CHARACTERS_OF_WIDTH = 24, 8, 9, 45
_WIDE = 20.0  # times the median width of what is drawn on one axis
_MARKERS = ("o", "^", "s")
_BINS, _REACH = 240, 4.0
_KINDS = ((BLUE, "active"), (GREY, "collapsed"), (VERMILLION, "over-spread"))
_STANDARD = "N(0, I)"  # the prior whose marginals are known here


def plot_latents(report: LatentReport, *, ax: Any = None) -> Any:
    r"""Draw the KL of each unit, the parts of their sum, the marginals of q(z), and codes in the two most active units.

    Parameters
    ----------
    report : LatentReport
        From `latent_report`.
    ax : sequence of 4 matplotlib.axes.Axes, optional
        By default those of a new figure; of one of yours, made with ``layout="constrained"``, for room between them.

    Returns
    -------
    ndarray of 4 matplotlib.axes.Axes
        Sorted KL of the units with the line at or below which they are collapsed, on a scale that is linear up to it
        and logarithmic above; the mean KL in parts; q(z_j) of up to 8 units of the largest KL; codes (mu, or z where
        nothing else is known) with the draws of the prior that they cover least.

    Raises
    ------
    MissingDependencyError
        Without matplotlib.
    InvalidTypeError, InvalidParameterError
        For what is no LatentReport, and for another number of Axes.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> from matplotlib.figure import Figure
    >>> mu = 0.9 * np.random.default_rng(0).normal(size=(500, 2))
    >>> report = kl.latent_report(mu, np.full((500, 2), np.log(0.19)), n_samples=1000, random_state=0)
    >>> kl.plotting.plot_latents(report, ax=Figure().subplots(2, 2)).shape
    (4,)
    """
    if not isinstance(report, LatentReport):
        raise InvalidTypeError(f"report must be what latent_report returns, got {type(report).__name__}.")
    axes = several_axes(ax, 2, 2, (11.0, 8.0))
    for draw, each in zip(PARTS, axes, strict=True):
        draw(report, each)
    return axes


def _draw_units(report: LatentReport, ax: Any) -> None:
    if report.kl_per_unit is None:
        values, what = report.marginal_kl, "KL(q(z_j)||p(z_j)) of each unit"
    else:
        values, what = report.kl_per_unit, "mean KL of each unit"
    order = _by_size(values)
    shown = values[order]
    colors = [VERMILLION if j in report.over_spread else BLUE if values[j] > ACTIVE else GREY for j in order]
    finite = shown[np.isfinite(shown)]
    top = 2.0 * max(float(finite.max()) if len(finite) else 1.0, 2.0 * ACTIVE)
    bars = ax.bar(range(len(order)), np.where(np.isfinite(shown), shown, top), color=colors)
    ax.set_yscale("symlog", linthresh=ACTIVE, linscale=0.7)
    decades = range(-2, 1 + math.ceil(math.log10(top)))
    step = -(-len(decades) // _MOST_DECADES)
    ticks = [0.0, *(10.0**e for e in decades[step - 1 :: step])]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_ylim(min(0.0, float(finite.min()) if len(finite) else 0.0), top)
    line = ax.axhline(ACTIVE, color=ORANGE, linestyle="--", linewidth=1.2, label=f"collapse at {ACTIVE:g}")
    for bar, value in zip(bars, shown, strict=True):
        if not math.isfinite(value):
            middle = bar.get_x() + 0.5 * bar.get_width()
            ax.text(middle, 0.8 * top, f"{value:g}", ha="center", va="top", rotation=90, color="white")
    _name_units(report, ax, order)
    ax.set_ylabel("nats")
    ax.set_title(what)
    tidy(ax)
    patch = importlib.import_module("matplotlib.patches").Patch
    patches = [patch(color=color, label=name) for color, name in _KINDS if color in colors]
    legend_above(ax, [*patches, line])


def _name_units(report: LatentReport, ax: Any, order: np.ndarray) -> None:
    if len(order) > _MOST_NAMES:
        ax.set_xlabel(f"{len(order)} units, sorted")
        ax.set_xticks([])
        return
    names = [label(report.names[j]) for j in order]
    turned = sum(map(len, names)) + len(names) > _CHARACTERS_OF_WIDTH
    ax.set_xticks(range(len(order)), names, rotation=45 if turned else 0, ha="right" if turned else "center")
    ax.set_xlabel("unit")


def _draw_split(report: LatentReport, ax: Any) -> None:
    parts: list[tuple[str, DivergenceEstimate | None, str]]
    if report.kl is None:
        parts = [("KL(q(z)||p(z))", report.aggregate_kl, VERMILLION)]
        ax.set_title("aggregate posterior")
    else:
        parts = [
            (f"mutual information\n(log n = {report.mutual_information_limit:.3g})", report.mutual_information, BLUE),
            ("total correlation", report.total_correlation, ORANGE),
            ("dimension-wise KL", report.dimension_wise_kl, GREEN),
            ("prior coupling", report.prior_coupling, PURPLE),
        ]
        ax.set_title("mean KL in parts" if math.isfinite(report.kl) else "mean KL inf: its finite parts")
    start, rows = 0.0, []
    for name, part, color in parts:
        if part is not None and math.isfinite(part.value):
            rows.append((name, start, part.value, part.standard_error, color))
            start += part.value
    if report.kl is not None and math.isfinite(report.kl):
        rows.insert(0, ("mean KL", 0.0, report.kl, report.kl_standard_error or 0.0, GREY))
    if not rows:
        note(ax, "the divergences are infinite")
        return
    reach = max(max(left, left + width) for _, left, width, _, _ in rows) or 1.0
    for place, (_, left, width, error, color) in enumerate(rows):
        ax.barh(place, width, 0.62, left=left, color=color)
        words = f"{width:.3g}" + (f" ± {error:.1g}" if error > 0.0 else "")
        inside = max(left, left + width) > 0.6 * reach and left > 0.45 * reach
        edge = min(left, left + width) if inside else max(left, left + width)
        ha = "right" if inside else "left"
        ax.annotate(words, (edge, place), (-4 if inside else 4, 0), textcoords="offset points", va="center", ha=ha)
    ax.set_yticks(range(len(rows)), [name for name, *_ in rows])
    ax.set_ylim(max(len(rows), 3) - 0.5, -0.5)
    ax.set_xlim(min(0.0, *(min(left, left + width) for _, left, width, _, _ in rows)), 1.3 * reach)
    ax.set_xlabel("nats")
    tidy(ax, "x")


def _draw_marginals(report: LatentReport, ax: Any) -> None:
    units = _by_size(report.marginal_kl if report.kl_per_unit is None else report.kl_per_unit)[:_MOST_MARGINALS]
    edges = _edges(report, units)
    middles = 0.5 * (edges[1:] + edges[:-1])
    curves = [marginal_density(report, int(j), edges) for j in units]
    with np.errstate(over="ignore"):
        normal = np.exp(-0.5 * middles**2) / math.sqrt(2.0 * math.pi)
    step = 1.15 * max(float(normal.max()), float(np.median([curve.max() for curve in curves])))
    reaching = _unit_ranges(report, units)
    for place, (j, curve) in enumerate(zip(units, curves, strict=True)):
        cut = "" if edges[0] <= reaching[0, place] and reaching[1, place] <= edges[-1] else ", wider than shown"
        base, height = -place * step, np.minimum(curve, 1.05 * step)  # a spike would hide its neighbours
        ax.fill_between(middles, base, base + height, color=BLUE, alpha=0.6, linewidth=0.8)
        if report.prior == _STANDARD:
            ax.plot(middles, base + normal, "--", color=VERMILLION, linewidth=1.0)
        ax.text(
            *(edges[-1], base + 0.12 * step, f"KL {report.marginal_kl[j]:.2g}{cut}"),
            **{"ha": "right", "va": "bottom", "fontsize": "small"},
        )
    ax.set_yticks([-place * step for place in range(len(units))], [label(report.names[j]) for j in units])
    ax.set(xlim=(edges[0], edges[-1]), ylim=(-(len(units) - 1) * step - 0.05 * step, 1.15 * step), xlabel="z_j")
    dashed = ", dashed: prior" if report.prior == _STANDARD else ""
    ax.set_title(f"q(z_j) and its KL in nats{dashed}")
    tidy(ax, "x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0.0)


def _unit_ranges(report: LatentReport, units: np.ndarray) -> np.ndarray:
    """Ends of what holds nearly all that the codes of these units may be, (2, units)."""
    mu, log_var, z = report.codes.mu, report.codes.log_var, report.codes.z
    if mu is not None and log_var is not None:
        reach = _REACH * np.exp(0.5 * log_var[:, units])
        ends = np.quantile(mu[:, units] - reach, 0.01, axis=0), np.quantile(mu[:, units] + reach, 0.99, axis=0)
        return np.array(ends)
    assert z is not None
    return np.array([z[:, units].min(axis=0), z[:, units].max(axis=0)])


def _edges(report: LatentReport, units: np.ndarray) -> np.ndarray:
    """Of bins on the axis of these units, but for those that would squeeze the others."""
    ends = _unit_ranges(report, units)
    widths = ends[1] - ends[0]
    ends = ends[:, widths <= _WIDE * np.median(widths)]
    low, high = ends.min(), ends.max()
    if report.prior == _STANDARD:
        low, high = np.minimum(low, -3.0), np.maximum(high, 3.0)
    spare = 0.02 * (high - low) + 1e-3 * (high == low)
    return np.linspace(low - spare, high + spare, _BINS + 1)


def marginal_density(report: LatentReport, unit: int, edges: np.ndarray) -> np.ndarray:
    """q(z_j), of the rows that are kept for pictures, as means over bins."""
    mu, log_var, z = report.codes.mu, report.codes.log_var, report.codes.z
    if mu is None or log_var is None:
        assert z is not None
        counts = np.histogram(z[:, unit], edges[::6])[0].repeat(6)
        return counts / (len(z) * 6.0 * np.diff(edges))
    from scipy.special import ndtr

    below = ndtr((edges - mu[:, unit, None]) * np.exp(-0.5 * log_var[:, unit, None]))
    return np.diff(below, axis=1).mean(axis=0) / np.diff(edges)


def _draw_codes(report: LatentReport, ax: Any) -> None:
    values = report.marginal_kl if report.kl_per_unit is None else report.kl_per_unit
    rows = report.codes.z if report.codes.mu is None else report.codes.mu
    kind = "z" if report.codes.mu is None else "mu"
    assert rows is not None
    if report.d == 1:
        note(ax, "one unit: its codes are what the marginal shows")
        return
    units = _by_size(values)[:2]
    _draw_points(ax, rows[:, units], report.codes.labels)
    if report.holes is not None:
        look = {"color": VERMILLION, "markersize": 7.0, "markeredgewidth": 1.8, "label": "least covered by codes"}
        ax.plot(*report.holes[:, units].T, "x", **look)
    names = [f"unit {name}" if name.isdigit() else name for name in (report.names[j] for j in units)]
    ax.set(xlabel=f"{kind} of {label(names[0])}", ylabel=f"{kind} of {label(names[1])}")
    ax.set_title("codes in the two units of the largest KL")
    tidy(ax, "both")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=1.6, handletextpad=0.3)


def _draw_points(ax: Any, rows: np.ndarray, labels: np.ndarray | None) -> None:
    look = {"linestyle": "none", "markersize": 3.0, "alpha": 0.7, "markeredgewidth": 0.0, "rasterized": True}
    kinds = [] if labels is None else list(dict.fromkeys(sorted(labels.tolist(), key=lambda x: (str(type(x)), x))))
    if labels is None or len(kinds) > len(COLORS) * len(_MARKERS):
        name = "_codes" if labels is None else f"{len(kinds)} labels, not told apart"
        ax.plot(*rows.T, marker="o", color=BLUE, label=name, **look)
        return
    for number, kind in enumerate(kinds):
        color, marker = COLORS[number % len(COLORS)], _MARKERS[number // len(COLORS)]
        chosen = labels == kind
        ax.plot(*rows[chosen].T, marker=marker, color=color, label=label(kind), **look)


def _by_size(values: np.ndarray) -> np.ndarray:
    """Units, those of the largest values first."""
    return np.argsort(-values, kind="stable")


PARTS = (_draw_units, _draw_split, _draw_marginals, _draw_codes)
