"""What `latent_report` tells."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..estimate import DivergenceEstimate, Report

_MOST_UNITS = _MOST_LABELS = 20  # told one by one
_ROUNDING = 1e-13  # nats


@dataclass(frozen=True, kw_only=True)
class Codes:
    """Rows that a picture of the latent space is drawn from, a random part where there are many.

    Attributes
    ----------
    mu, log_var, z : ndarray of shape (rows, d) or None
    labels : ndarray of shape (rows,) or None
    """

    mu: np.ndarray | None
    log_var: np.ndarray | None
    z: np.ndarray | None
    labels: np.ndarray | None


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class LatentReport(Report):
    """What `latent_report` has found in a latent space: nats, per row; arrays of shape (d,) tell of each unit.

    Attributes
    ----------
    n : int
        Rows: inputs that were encoded.
    names : tuple of str
        Of the units: columns of a frame, else "0", "1", ...
    prior : str
        In words.
    kl, kl_standard_error : float or None
        Mean over rows of KL(q(z|x) || p(z)), the KL term of the loss; the error is 0 where there is a formula, and nan
        where the mean is inf. None where only z is known.
    kl_per_unit : ndarray or None
        The same for each unit alone, from the prior of that unit.
    mu_variance, mean_variance : ndarray or None
        Of each unit the variance over rows of mu, and the mean over rows of exp(log_var).
    active_by_kl, active_by_mu, collapsed, over_spread : tuple of int
        Units with a mean KL above 0.01; with a variance of mu above 0.01; with a mean KL of at most 0.01; with a mean
        squared distance from the mean of the prior of more than twice its variance.
    mutual_information : DivergenceEstimate or None
        I(x; z) of the rows (their index) and their codes: how well codes tell inputs apart.
    mutual_information_limit : float
        log n, which it cannot exceed.
    mutual_information_bounds : tuple of float or None
        Kolchinsky-Tracey bounds of I(x; z); None where not all rows could be compared.
    total_correlation : DivergenceEstimate or None
        KL(q(z) || prod_j q(z_j)): the dependence of units in the aggregate posterior.
    dimension_wise_kl : DivergenceEstimate or None
        sum_j KL(q(z_j) || p(z_j)).
    prior_coupling : DivergenceEstimate or None
        E_q log(prod_j p(z_j) / p(z)), where the units of the prior are dependent: mutual information, total
        correlation, dimension-wise KL and this sum to ``kl``.
    aggregate_kl : DivergenceEstimate
        KL(q(z) || p(z)) of the aggregate posterior q(z) = mean_i q(z|x_i).
    aggregate_kl_bounds : tuple of float or None
        Kolchinsky-Tracey bounds; None where the prior is no single Gaussian, or not all rows could be compared.
    bounds_standard_error : float
        Of the bounds, where they are means over a part of the rows; else 0.
    marginal_kl, marginal_kl_standard_error : ndarray
        KL(q(z_j) || p(z_j)) of each unit.
    hole_share, hole_share_standard_error : float or None
        Share of draws of the prior that the aggregate posterior hardly covers: where q(z) / p(z) is at most a half, and
        no more than at 1% of the codes (under the posteriors of other rows). Where no density of the prior is known,
        q(z) is compared, and there is no half. It is at most about 0.01 for q = p; None where codes of different rows
        hardly overlap, unless it is large.
    holes, hole_log_ratios : ndarray or None
        The draws of the prior that are covered least, (10, d), and log q(z) / p(z) there.
    kl_by_label : dict or None
        Mean KL of the rows with each label.
    warnings : tuple of str
        What speaks against the latent space, or against these numbers.
    codes : Codes
        For pictures; not in ``to_dict``.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> mu = np.column_stack([rng.normal(size=2000), np.zeros(2000)])
    >>> report = kl.latent_report(0.9 * mu, np.log([0.19, 1.0]) * np.ones((2000, 2)), random_state=0)
    >>> report.active_by_kl, report.collapsed
    ((0,), (1,))
    """

    n: int
    names: tuple[str, ...]
    prior: str
    kl: float | None = None
    kl_standard_error: float | None = None
    kl_per_unit: np.ndarray | None = None
    mu_variance: np.ndarray | None = None
    mean_variance: np.ndarray | None = None
    active_by_kl: tuple[int, ...]
    active_by_mu: tuple[int, ...] = ()
    collapsed: tuple[int, ...] = ()
    over_spread: tuple[int, ...]
    mutual_information: DivergenceEstimate | None = None
    mutual_information_limit: float
    mutual_information_bounds: tuple[float, float] | None = None
    total_correlation: DivergenceEstimate | None = None
    dimension_wise_kl: DivergenceEstimate | None = None
    prior_coupling: DivergenceEstimate | None = None
    aggregate_kl: DivergenceEstimate
    aggregate_kl_bounds: tuple[float, float] | None = None
    bounds_standard_error: float = 0.0
    marginal_kl: np.ndarray
    marginal_kl_standard_error: np.ndarray
    hole_share: float | None = None
    hole_share_standard_error: float | None = None
    holes: np.ndarray | None = None
    hole_log_ratios: np.ndarray | None = None
    kl_by_label: dict[Any, float] | None = None
    warnings: tuple[str, ...] = ()
    codes: Codes

    @property
    def d(self) -> int:
        """Latent units."""
        return len(self.names)

    def to_dict(self) -> dict[str, Any]:
        """All fields but ``codes`` as plain Python objects; estimates with their standard errors and intervals."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "codes"}
        return {name: _plain(value) for name, value in fields.items()}

    def _summary_rows(self) -> list[tuple[str, str]]:
        return [
            ("latents", f"{_counted(self.n, 'row')}, {_counted(self.d, 'unit')}; prior {self.prior}"),
            *self._parts(),
            *self._about_aggregate(),
            *self._about_units(),
            *self._each_unit(),
            *self._each_label(),
            *(("warning", text) for text in self.warnings),
        ]

    def _parts(self) -> Iterator[tuple[str, str]]:
        if self.kl is None or self.kl_standard_error is None or self.mutual_information is None:
            return
        error = self.kl_standard_error or math.nan  # of a formula it is 0, and not told
        yield "mean KL", f"{self.kl:.6g}{plus_minus(error)} nats for each row: the parts below sum to it"
        low, high = self.mutual_information_bounds or (math.nan, math.nan)
        within = "" if self.mutual_information_bounds is None else f", within [{low:.4g}, {high:.4g}]"
        limit = f"at most log n = {self.mutual_information_limit:.4g}"
        yield "  information", f"{_with_error(self.mutual_information)} of rows and codes{within}, {limit}"
        for name, part, what in (
            ("  correlation", self.total_correlation, "total correlation of the units"),
            ("  marginals", self.dimension_wise_kl, "dimension-wise KL from the prior"),
            ("  prior", self.prior_coupling, "for the dependence of the units of the prior"),
        ):
            if part is not None:
                yield name, f"{_with_error(part)} {what}"

    def _about_aggregate(self) -> Iterator[tuple[str, str]]:
        low, high = self.aggregate_kl_bounds or (math.nan, math.nan)
        within = "" if self.aggregate_kl_bounds is None else f", within [{low:.4g}, {high:.4g}]"
        yield "aggregate", f"KL(q(z)||p(z)) {_with_error(self.aggregate_kl)}{within}"
        if self.hole_share is not None:
            share = f"{self.hole_share:.1%} of the draws of the prior lie where the aggregate posterior hardly is"
            yield "holes", f"{share} (at most 1% where it is the prior)"

    def _about_units(self) -> Iterator[tuple[str, str]]:
        if self.kl_per_unit is not None:
            yield "active", f"{len(self.active_by_kl)} of {self.d} units by KL, {len(self.active_by_mu)} by Var mu"
        for name, units in (("collapsed", self.collapsed), ("over-spread", self.over_spread)):
            if units:
                yield name, f"{len(units)}: {listed(self.names, units)}"

    def _each_unit(self) -> Iterator[tuple[str, str]]:
        order = range(self.d) if self.kl_per_unit is None else np.argsort(-self.kl_per_unit, kind="stable").tolist()
        for j in list(order)[:_MOST_UNITS]:
            marginal = f"marginal KL {self.marginal_kl[j]:.3g}{plus_minus(self.marginal_kl_standard_error[j], 1)}"
            if self.kl_per_unit is None or self.mu_variance is None or self.mean_variance is None:
                yield f"unit {self.names[j]}", marginal
                continue
            spread = f"Var mu {self.mu_variance[j]:.3g}, mean var {self.mean_variance[j]:.3g}"
            yield f"unit {self.names[j]}", f"KL {self.kl_per_unit[j]:.4g}, {spread}, {marginal}"
        if self.d > _MOST_UNITS:
            yield "", f"and {_counted(self.d - _MOST_UNITS, 'unit')} more"

    def _each_label(self) -> Iterator[tuple[str, str]]:
        labels = list((self.kl_by_label or {}).items())
        for label, value in labels[:_MOST_LABELS]:
            yield f"label {label}", f"mean KL {value:.4g}"
        if len(labels) > _MOST_LABELS:
            yield "", f"and {_counted(len(labels) - _MOST_LABELS, 'label')} more"

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        kl = "" if self.kl is None else f"kl={self.kl:.4g}, "
        information = self.mutual_information
        told = "" if information is None else f"mutual_information={information.value:.4g}, "
        units = f"active={len(self.active_by_kl)}, " if self.kl_per_unit is not None else ""
        return (
            f"LatentReport(n={self.n}, d={self.d}, {kl}{told}aggregate_kl={self.aggregate_kl.value:.4g}, "
            f"{units}warnings={len(self.warnings)})"
        )


def listed(names: tuple[str, ...], units: tuple[int, ...]) -> str:
    """Names of units, of many of them the first ones."""
    told = ", ".join(names[j] for j in units[:_MOST_UNITS])
    return told if len(units) <= _MOST_UNITS else f"{told}, ..."


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _with_error(estimate: DivergenceEstimate) -> str:
    if abs(estimate.value) + estimate.standard_error < _ROUNDING:
        return "0 (to rounding)"
    return f"{estimate.value:.4g}{plus_minus(estimate.standard_error)}"


def plus_minus(error: float, digits: int = 2) -> str:
    """The standard error of a number that is printed, where it has one."""
    return "" if math.isnan(error) else f" +- {error:.{digits}g}"


def _plain(value: Any) -> Any:
    if isinstance(value, DivergenceEstimate):
        return value.to_dict()
    return value.tolist() if isinstance(value, np.ndarray) else value
