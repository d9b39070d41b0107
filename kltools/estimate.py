"""The result of every estimation."""

from __future__ import annotations

import dataclasses
import html
import json
import math
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import _validation
from .errors import InvalidParameterError
from .inference import UNKNOWN, Uncertainty

_LONGEST_LABEL = 32


class Deferred:
    """An uncertainty that is computed when it is first asked for, and then kept."""

    def __init__(self, compute: Callable[[], Uncertainty]):
        self._compute: Callable[[], Uncertainty] | None = compute
        self._result: Uncertainty = UNKNOWN

    def __call__(self) -> Uncertainty:
        compute = self._compute
        if compute is not None:
            self._result = compute()
            self._compute = None
        return self._result

    def __getstate__(self) -> dict:
        return {"_compute": None, "_result": self()}


class Report:
    """A frozen dataclass that shows itself to a person, a notebook and a file; `_summary_rows` says what it shows."""

    def _summary_rows(self) -> list[tuple[str, str]]:
        """Labels, each with a line of text."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain Python objects."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON; nan is written as null, inf as "Infinity"."""
        return json.dumps(json_ready(self.to_dict()), indent=indent)

    def summary(self) -> str:
        """Lines for a person, of at most 100 columns."""
        return "\n".join(
            textwrap.fill(line, 100, subsequent_indent=" " * 13) for line in in_lines(self._summary_rows())
        )

    def to_html(self, path: Any) -> None:
        """Write a page with the summary, pictures where there is something to draw, and all numbers.

        One file that needs no other, for browsers and phones, light and dark. Pictures need matplotlib.

        Parameters
        ----------
        path : str or path-like
            A file there is replaced.
        """
        from .report import page  # stands above all results

        Path(path).write_text(page(self), encoding="utf-8")

    def _repr_html_(self) -> str:
        return in_html(self._summary_rows())


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class DivergenceEstimate(Report):
    """An estimate of a divergence, or of one of its relatives, from data, with what is needed to judge it.

    ``float(estimate)`` is its value. ``standard_error`` and ``confidence_interval()`` are computed when
    they are first asked for. An unbiased estimate may be negative where the divergence is near 0;
    nothing is clipped (see ``clipped``).

    Attributes
    ----------
    value : float
        The estimate, in ``unit``; inf where the data say that P has mass where Q has none.
    unit : str or None
        "nats" or "bits"; None for a quantity without a unit.
    quantity : str
        What was estimated: "KL", "entropy", "mutual information", ...
    direction : str
        "P||Q": P is the first argument, Q the second (the reference). "P, Q" where the quantity is
        symmetric, "P" where there is no second argument, "X;Y" for two parts of the same rows.
    method : str
        Name of the estimator.
    n_p, n_q : int or None
        Rows used of X and of Y; n_q is None where Q was given as a distribution.
    d : int or None
        Features, after constant columns were dropped; None where log-densities were given.
    n_neighbors : tuple of int or None
        Numbers of neighbours averaged over, for estimators that have them.
    n_ties : int
        Rows at a zero or repeated distance from a neighbour.
    n_dropped : int
        Rows dropped because of NaN.
    support_mismatch : bool
        Whether P was seen to have mass where Q has none.
    reliable : bool or None
        False where there are ``reasons`` not to believe the value, None where that was not assessed.
    reasons : tuple of str
    warnings : tuple of str
        Everything that was warned about in this estimation.
    diagnostics : dict
        What the estimator found on its way.
    uncertainty : callable
        Gives standard error and degrees of freedom in nats; called once, by ``standard_error``.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> estimate = kl.estimate_kl(rng.normal(0, 1, 500), rng.normal(1, 1, 500), random_state=0)
    >>> low, high = estimate.confidence_interval()
    >>> low < 0.5 < high, estimate.to("bits").unit
    (True, 'bits')
    """

    value: float
    method: str
    n_p: int
    n_q: int | None
    d: int | None
    unit: str | None = "nats"
    quantity: str = "KL"
    direction: str = "P||Q"
    n_neighbors: tuple[int, ...] | None = None
    n_ties: int = 0
    n_dropped: int = 0
    support_mismatch: bool = False
    reliable: bool | None = None
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    diagnostics: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False)
    uncertainty: Deferred = dataclasses.field(default_factory=lambda: Deferred(lambda: UNKNOWN), compare=False)

    def __float__(self) -> float:
        return self.value

    @property
    def standard_error(self) -> float:
        """Standard error of the value, in its unit; nan where it cannot be estimated."""
        return self.uncertainty().standard_error * self._factor

    @property
    def _factor(self) -> float:
        return 1.0 if self.unit is None else _validation.unit_factor(self.unit)

    def confidence_interval(self, confidence_level: float = 0.95) -> tuple[float, float]:
        """Interval (low, high) for the divergence, in the unit of the value.

        Parameters
        ----------
        confidence_level : float
            In (0, 1).

        Returns
        -------
        tuple of float
            ``(nan, inf)`` for a value of inf, ``(-inf, nan)`` for -inf. For plain k-NN estimates the
            interval is about the estimator's expectation: it accounts for variance, not for bias.
        """
        level = _validation.confidence_level(confidence_level)
        factor = self._factor
        low, high = self.uncertainty().interval(self.value / factor, level)
        return (low * factor, high * factor)

    def to(self, unit: str) -> DivergenceEstimate:
        """The same estimate in another unit, "nats" or "bits"."""
        ratio = _validation.unit_factor(unit) / self._factor
        if self.unit is None:
            raise InvalidParameterError(f"{self.quantity}({self.direction}) has no unit, it cannot be told in {unit}.")
        return dataclasses.replace(self, value=self.value * ratio, unit=unit)

    def clipped(self) -> float:
        """The value, but 0 where it is negative. Means of clipped values are biased upwards."""
        return max(self.value, 0.0)

    def to_dict(self, confidence_level: float = 0.95) -> dict[str, Any]:
        """All fields, the standard error and the interval, as plain Python objects."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "uncertainty"}
        uncertainty = {
            "standard_error": self.standard_error,
            "confidence_interval": list(self.confidence_interval(confidence_level)),
            "confidence_level": confidence_level,
        }
        return {"value": fields.pop("value"), **uncertainty, **fields}

    def to_json(self, confidence_level: float = 0.95, *, indent: int | None = None) -> str:
        """`to_dict` as JSON; nan is written as null, inf as "Infinity"."""
        return json.dumps(json_ready(self.to_dict(confidence_level)), indent=indent)

    def summary(self, confidence_level: float = 0.95) -> str:
        """A few lines for a person."""
        return "\n".join(in_lines(self._summary_rows(confidence_level)))

    def _summary_rows(self, confidence_level: float = 0.95) -> list[tuple[str, str]]:
        low, high = self.confidence_interval(confidence_level)
        rows = [
            (f"{self.quantity}({self.direction})", f"{self.value:.6g} {self.unit or ''}".rstrip()),
            ("std. error", f"{self.standard_error:.3g}"),
            (f"{100 * confidence_level:.4g}% interval", f"[{low:.6g}, {high:.6g}]"),
            ("method", self._method_in_words()),
            ("data", f"{self._rows_in_words()}{self._features_in_words()}"),
        ]
        rows += self._test_in_words()
        rows += [("unreliable", reason) for reason in self.reasons]
        rows += [("warning", text) for text in self.warnings if text not in self.reasons]
        return rows

    def _test_in_words(self) -> list[tuple[str, str]]:
        found, rows = self.diagnostics, []
        if "g_statistic" in found:
            degrees = found["degrees_of_freedom"]
            rows = [
                ("G test", f"p = {found['p_value']:.3g} (G = {found['g_statistic']:.4g}, {degrees} degrees of freedom)")
            ]
        return [("read", found["read"]), *rows] if "read" in found else rows

    def _method_in_words(self) -> str:
        chosen = self.diagnostics.get("chosen_method")
        neighbors = "" if self.n_neighbors is None else f", n_neighbors {', '.join(map(str, self.n_neighbors))}"
        return f"{self.method}{f' ({chosen})' if chosen else ''}{neighbors}"

    def _rows_in_words(self) -> str:
        if "Q" not in self.direction:
            return f"{self.n_p} rows"
        return f"{self.n_p} rows of P, {'Q known' if self.n_q is None else f'{self.n_q} of Q'}"

    def _features_in_words(self) -> str:
        return "" if self.d is None else f", {self.d} features"

    def __repr__(self) -> str:
        return (
            f"DivergenceEstimate({self._label()}value={self.value:.6g}, unit={self.unit!r}, method={self.method!r}, "
            f"n_p={self.n_p}, n_q={self.n_q}, d={self.d}, reliable={self.reliable})"
        )

    def _label(self) -> str:
        return "" if self.quantity == "KL" else f"quantity={self.quantity!r}, "


def in_lines(rows: list[tuple[str, str]]) -> list[str]:
    """Labels and texts, side by side."""
    labels = [shortened(label, _LONGEST_LABEL) for label, _ in rows]
    width = max(map(len, labels))
    return [f"{label:<{width}} {text}" for label, (_, text) in zip(labels, rows, strict=True)]


def shortened(text: str, longest: int) -> str:
    """The beginning of what is too long."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def in_html(rows: list[tuple[str, str]]) -> str:
    """Labels and texts as a table."""
    cells = (
        f"<tr><th style='text-align:left'>{html.escape(label)}</th>"
        f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
        for label, text in rows
    )
    return f"<table>{''.join(cells)}</table>"


def json_ready(x: Any) -> Any:
    """Numbers, strings, lists and dicts that JSON has; nan becomes null, inf "Infinity"."""
    if isinstance(x, dict):
        return {str(key): json_ready(value) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return [json_ready(value) for value in x]
    if hasattr(x, "tolist"):
        return json_ready(x.tolist())
    if isinstance(x, float) and not math.isfinite(x):
        return None if math.isnan(x) else ("Infinity" if x > 0 else "-Infinity")
    return x
