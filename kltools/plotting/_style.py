"""What all pictures share: the way to matplotlib, colours that the colour-blind tell apart, labels, intervals."""

import importlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import _validation
from ..errors import InvalidParameterError, InvalidTypeError, MissingDependencyError
from ..estimate import DivergenceEstimate, shortened

# Okabe and Ito (2008), without black and yellow, which are lost on a dark or a light page
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
COLORS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY)
GREY = "#8C8C8C"
PICTURES, PAGES = (".png", ".svg", ".pdf"), (".html", ".htm")
_LONGEST_LABEL = 24


def need_matplotlib() -> Any:
    """The module ``matplotlib.pyplot``."""
    try:
        return importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise MissingDependencyError(
            "pictures need matplotlib; install it with pip install 'kltools[plot]'."
        ) from error


def check_picture(path: Any) -> None:
    """Raise where no picture can be written: before anything is computed."""
    need_matplotlib()
    suffix = Path(path).suffix.lower()
    if suffix not in PICTURES:
        raise InvalidParameterError(f"{path}: unknown kind of picture {suffix!r}; known are {', '.join(PICTURES)}.")
    _check_folder(path)


def check_page(path: Any) -> None:
    """The same of a page, which has pictures."""
    need_matplotlib()
    suffix = Path(path).suffix.lower()
    if suffix not in PAGES:
        raise InvalidParameterError(f"{path}: a report is a page, not {suffix!r}; name it {' or '.join(PAGES)}.")
    _check_folder(path)


def _check_folder(path: Any) -> None:
    folder = Path(path).parent
    if not folder.is_dir():
        raise InvalidParameterError(f"{path}: there is no folder {str(folder)!r}; make it first.")


def one_ax(ax: Any, size: tuple[float, float] = (6.0, 4.0)) -> Any:
    """The Axes that were passed, or those of a new figure."""
    if ax is None:
        return need_matplotlib().subplots(figsize=size, layout="constrained")[1]
    if not hasattr(ax, "get_xlim"):
        raise InvalidTypeError(f"ax must be Axes of matplotlib, got {type(ax).__name__}.")
    return ax


def several_axes(ax: Any, rows: int, columns: int, size: tuple[float, float]) -> np.ndarray:
    """As many Axes in a flat array: those that were passed, or those of a new figure."""
    if ax is None:
        grid = need_matplotlib().subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)[1]
        return grid.ravel()
    given = np.empty(np.size(ax), dtype=object)
    given[:] = np.ravel(np.asarray(ax, dtype=object))
    if len(given) != rows * columns:
        raise InvalidParameterError(f"ax must hold {rows * columns} Axes, one for each picture, got {len(given)}.")
    for each in given:
        one_ax(each)
    return given


def label(name: Any) -> str:
    """A name as it stands: no mathematics between dollars, no control characters, not too long.

    matplotlib leaves what begins with an underscore out of legends.
    """
    text = shortened("".join(c if c.isprintable() else " " for c in str(name)), _LONGEST_LABEL)
    return (f" {text}" if text.startswith("_") else text).replace("$", r"\$")


def tidy(ax: Any, grid: str = "y") -> None:
    """Less ink."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=grid, alpha=0.3, linewidth=0.6)
    ax.set_axisbelow(True)


def note(ax: Any, text: str) -> None:
    """A line of text in place of a picture."""
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, wrap=True)
    ax.set_axis_off()


def checked_estimates(estimates: Sequence[Any], name: str) -> str | None:
    """The unit of estimates that stand in one picture."""
    for each in estimates:
        if not isinstance(each, DivergenceEstimate):
            raise InvalidTypeError(f"{name} must be DivergenceEstimate, got {type(each).__name__}.")
    units = {each.unit for each in estimates}
    if len(units) != 1:
        found = ", ".join(sorted(map(str, units))) or "none"
        raise InvalidParameterError(f"{name} must have one unit, found {found}; use estimate.to('nats').")
    return units.pop()


def quantity_with_unit(estimates: Sequence[DivergenceEstimate]) -> str:
    """What an axis shows, as "KL(P||Q) (nats)"."""
    first = estimates[0]
    same = all((e.quantity, e.direction) == (first.quantity, first.direction) for e in estimates)
    name = f"{first.quantity}({first.direction})" if same else "estimate"
    return label(name) if first.unit is None else f"{label(name)} ({first.unit})"


def intervals(
    ax: Any,
    places: Sequence[float],
    estimates: Sequence[DivergenceEstimate],
    confidence_level: float,
    *,
    across: bool = False,
    color: str = BLUE,
) -> None:
    """Values with intervals at places of the x axis, or of the y axis where they lie ``across``.

    Of estimates that are not reliable the points are hollow; infinite values are told in words.
    """
    level = _validation.confidence_level(confidence_level)
    for place, estimate in zip(places, estimates, strict=True):
        if not math.isfinite(estimate.value):
            where = (0.98, place) if across else (place, 0.96)
            transform = ax.get_yaxis_transform() if across else ax.get_xaxis_transform()
            ha, va = ("right", "center") if across else ("center", "top")
            ax.text(*where, f"{estimate.value:g}", ha=ha, va=va, transform=transform, color=VERMILLION)
            continue
        low, high = estimate.confidence_interval(level)
        ends = [[place, place], [low, high]]
        if math.isfinite(low) and math.isfinite(high):
            ax.plot(*(ends[::-1] if across else ends), "-", color=color, linewidth=1.6, label="_interval")
        point = (estimate.value, place) if across else (place, estimate.value)
        face = "none" if estimate.reliable is False else color
        ax.plot(*point, "o", color=color, markerfacecolor=face, markersize=6.0, label="_value")


def legend_above(ax: Any, handles: Sequence[Any]) -> None:
    """In a row between the title and the picture, where nothing is drawn."""
    if not handles:
        return
    ax.set_title(ax.get_title(), pad=24.0)
    where = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": len(handles), "fontsize": "small"}
    ax.legend(handles=list(handles), frameon=False, columnspacing=1.0, handletextpad=0.4, handlelength=1.4, **where)


def not_reliable(ax: Any, estimates: Sequence[DivergenceEstimate]) -> list[Any]:
    """The handle that says what hollow points mean, where there are any."""
    if not any(estimate.reliable is False for estimate in estimates):
        return []
    return list(ax.plot([], [], "o", color=BLUE, markerfacecolor="none", label="not reliable"))
