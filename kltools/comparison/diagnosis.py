"""What can be seen of the trustworthiness of an estimate from the samples themselves."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _progress, _validation
from .._jit import effective_n_jobs
from ..errors import KLToolsError
from ..estimate import DivergenceEstimate, Report
from ..preprocessing import count_shared_rows
from ..repeats import lattice_steps
from .halves import mean_value, quiet_estimate, random_halves
from .shape import count_repeated, intrinsic_dimension, participation_ratio

_UNLIKE = ("auto", "gaussian", "knn", "classifier", "kde")  # methods that go about it in different ways
NEIGHBORS = (1, 2, 5, 10, 20, 50, 100)
_FEWEST_NEIGHBORS_TO_JUDGE = 5
_FEWEST_ROWS_FOR_OVERLAP = 50
# what is worth a finding: a share of rows, a share of a value, standard errors, a share of the features
_MANY_OUTSIDE, _MANY_REPEATED, _MUCH, _DEVIATIONS, _FEW_DIMENSIONS = 0.05, 0.01, 0.2, 3.0, 0.6
_ROWS_PER_FEATURE = 10


@dataclass(frozen=True, kw_only=True, repr=False)
class Diagnosis(Report):
    """What `diagnose` has seen in two samples; pairs of numbers are of X and of Y.

    Attributes
    ----------
    estimates : dict of str to DivergenceEstimate
        KL(P || Q) by every method that could be used.
    not_estimated : dict of str to str
        Why a method could not be used.
    at_half : dict of str to float
        Mean of the estimates from two random halves of the samples, by method, in nats.
    reverse : DivergenceEstimate
        KL(Q || P) by nearest neighbours.
    by_n_neighbors : dict of int to float
        The nearest-neighbour estimate with several numbers of neighbours, in nats.
    outside : tuple of float
        Share of the rows of X farther from Y than 99% of the rows of Y from each other, and the reverse;
        nan where there are fewer than 50 rows.
    participation_ratio : tuple of float
        d^2 / sum_ij r_ij^2 over the correlations of the columns that vary: 1 for columns that move together,
        d for uncorrelated ones.
    intrinsic_dimension : tuple of float
        By nearest neighbours; nan where there are too few distinct rows.
    n_repeated : tuple of int
        Rows that occur again in the same sample.
    n_shared : int
        Rows of X that occur in Y.
    lattice_columns : tuple of int
        Columns of rounded or whole numbers.
    n_p, n_q, d : int
        Rows of X and Y that were used, and features.
    n_dropped : int
        Rows dropped because of NaN.
    findings : tuple of str
        What speaks against the estimates, and what to do.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> kl.diagnose(rng.normal(0, 1, (2000, 2)), rng.normal(0.3, 1, (2000, 2)), random_state=0).findings
    ()
    """

    estimates: dict[str, DivergenceEstimate]
    not_estimated: dict[str, str]
    at_half: dict[str, float]
    reverse: DivergenceEstimate
    by_n_neighbors: dict[int, float]
    outside: tuple[float, float]
    participation_ratio: tuple[float, float]
    intrinsic_dimension: tuple[float, float]
    n_repeated: tuple[int, int]
    n_shared: int
    lattice_columns: tuple[int, ...]
    n_p: int
    n_q: int
    d: int
    n_dropped: int = 0
    findings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain Python objects; estimates with their standard errors and intervals."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["estimates"] = {name: estimate.to_dict() for name, estimate in self.estimates.items()}
        fields["reverse"] = self.reverse.to_dict()
        return fields

    def _summary_rows(self) -> list[tuple[str, str]]:
        x, y = self.outside
        rows = [("data", f"{self.n_p} rows of P, {self.n_q} of Q, {self.d} features")]
        if self.n_dropped:
            rows.append(("dropped", f"{self.n_dropped} rows with NaN"))
        for name, estimate in self.estimates.items():
            half = f"; {self.at_half[name]:.4g} from half the rows" if name in self.at_half else ""
            rows.append((name, f"KL(P||Q) {_with_error(estimate)}{half}"))
        rows += [(name, f"not estimated: {why}") for name, why in self.not_estimated.items()]
        rows.append(("reversed", f"KL(Q||P) {_with_error(self.reverse)} by nearest neighbours"))
        if self.by_n_neighbors:
            rows.append(("neighbours", ", ".join(f"{k}: {value:.3g}" for k, value in self.by_n_neighbors.items())))
        rows += [
            ("overlap", f"{_judged(x, '.1%')} of X outside of Y, {_judged(y, '.1%')} of Y outside of X"),
            ("correlation", "participation ratio {:.3g} of X, {:.3g} of Y".format(*self.participation_ratio)),
            ("dimension", "by nearest neighbours {} of X, {} of Y".format(*map(_judged, self.intrinsic_dimension))),
            ("repeated", f"{self.n_repeated[0]} rows of X, {self.n_repeated[1]} of Y, {self.n_shared} of X in Y"),
        ]
        if self.lattice_columns:
            rows.append(("lattice", f"columns {list(self.lattice_columns)}"))
        findings = self.findings or ("nothing speaks against the estimates.",)
        return [*rows, *(("finding", text) for text in findings)]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={estimate.value:.4g}" for name, estimate in self.estimates.items())
        return f"Diagnosis({values}, n_p={self.n_p}, n_q={self.n_q}, d={self.d}, findings={len(self.findings)})"


def _judged(x: float, form: str = ".3g") -> str:
    return "?" if math.isnan(x) else format(x, form)


def _with_error(estimate: DivergenceEstimate) -> str:
    return f"{estimate.value:.4g} +- {estimate.standard_error:.2g} nats"


def diagnose(
    X: Any,
    Y: Any,
    *,
    nan_policy: str = "raise",
    n_jobs: int | None = None,
    random_state: Any = None,
    progress: Any = None,
) -> Diagnosis:
    r"""Look at two samples from several sides, and say what speaks against an estimate of KL(P || Q).

    Estimators that err in unlike ways stand side by side; the estimate is repeated with other numbers of
    neighbours and with half the rows, since one that still moves is biased; and it is checked whether the
    samples overlap, whether rows repeat, and how many dimensions they fill,

    .. math:: \hat d = \Big(\tfrac{1}{n (k - 1)} \sum_i \sum_{j < k} \log \frac{\rho_k(i)}{\rho_j(i)}\Big)^{-1}

    with the distances of standardised rows to their neighbours. No warnings are given: they are in the estimates.

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P.
    Y : array-like of shape (m, d) or (m,)
        Rows drawn from Q.
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the halves and the standard errors.
    progress : True or callable, optional
        As `show_progress` takes it.

    Returns
    -------
    Diagnosis
        Divergences in nats; ``findings`` say what to do, ``summary()`` shows all.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For what cannot be compared; the message names the argument.

    References
    ----------
    E. Levina, P. J. Bickel (2004), Maximum likelihood estimation of intrinsic dimension, eq. 8, with inverses
    averaged over rows (D. J. C. MacKay, Z. Ghahramani 2005).

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> found = kl.diagnose(rng.normal(0, 1, (500, 2)), np.round(rng.normal(0, 1, (500, 2)), 1), random_state=0)
    >>> found.lattice_columns, found.n_repeated[0]
    ((), 0)
    """
    threads = effective_n_jobs(_validation.check_n_jobs(n_jobs))
    _validation.choice(nan_policy, "nan_policy", _validation.NAN_POLICIES)
    rng = _validation.generator(random_state)
    shown = _progress.shown(_progress.checked(progress), everywhere=True)
    X, Y, n_dropped = _validation.sample_pair(X, Y, nan_policy)
    for rows, name in ((X, "X"), (Y, "Y")):
        _validation.check_enough_rows(len(rows), name, 2, "a diagnosis")
    with shown:
        return _diagnosed(X, Y, n_dropped, threads, rng)


def _diagnosed(X: np.ndarray, Y: np.ndarray, n_dropped: int, threads: int, rng: np.random.Generator) -> Diagnosis:
    options: dict[str, Any] = {"n_jobs": threads, "random_state": int(rng.integers(2**63))}
    estimates, at_half, not_estimated = {}, {}, {}
    pairs = random_halves(X, Y, rng)
    for method in _UNLIKE:
        try:
            estimates[method] = quiet_estimate(X, Y, method=method, **options)
            at_half[method] = mean_value([quiet_estimate(*pair, method=method, **options) for pair in pairs])
        except KLToolsError as error:
            if method not in estimates:
                not_estimated[method] = str(error)
    ks = tuple(k for k in NEIGHBORS if k <= min(len(X) - 1, len(Y)))
    forward = quiet_estimate(X, Y, method="knn", n_neighbors=ks, **options)
    reverse = quiet_estimate(Y, X, method="knn", **options)
    found = Diagnosis(
        estimates=estimates,
        not_estimated=not_estimated,
        at_half=at_half,
        reverse=reverse,
        by_n_neighbors=forward.diagnostics.get("value_by_n_neighbors", {}),
        outside=(_outside(forward), _outside(reverse)),
        participation_ratio=(participation_ratio(X), participation_ratio(Y)),
        intrinsic_dimension=(intrinsic_dimension(X, threads), intrinsic_dimension(Y, threads)),
        n_repeated=(count_repeated(X), count_repeated(Y)),
        n_shared=count_shared_rows(X, Y),
        lattice_columns=tuple(int(j) for j in np.flatnonzero(lattice_steps(X, Y))),
        n_p=len(X),
        n_q=len(Y),
        d=X.shape[1],
        n_dropped=n_dropped,
    )
    return dataclasses.replace(found, findings=tuple(_findings(found)))


def _outside(estimate: DivergenceEstimate) -> float:
    known = estimate.n_q is not None and min(estimate.n_p, estimate.n_q) >= _FEWEST_ROWS_FOR_OVERLAP
    return estimate.diagnostics.get("share_outside", math.nan) if known else math.nan


def _findings(found: Diagnosis) -> Iterator[str]:
    infinite = [name for name, estimate in found.estimates.items() if math.isinf(estimate.value)]
    if infinite:
        yield (
            f"the estimate is inf ({', '.join(infinite)}): P has mass where Q has none; see the warnings of the "
            "estimates, and drop the columns they name if the difference is known."
        )
    yield from _about_reliability(found)
    yield from _about_rows(found)
    yield from _about_columns(found)
    yield from _about_bias(found)


def _about_reliability(found: Diagnosis) -> Iterator[str]:
    """What the methods object to themselves, each reason with all that give it."""
    objectors: dict[str, list[str]] = {}
    for name, estimate in found.estimates.items():
        for reason in estimate.reasons:
            objectors.setdefault(reason, []).append(name)
    for reason, names in objectors.items():
        yield f"{', '.join(names)} unreliable: {reason}"


def _about_rows(found: Diagnosis) -> Iterator[str]:
    for share, name, other, consequence in (
        (found.outside[0], "X", "Y", "the divergence is at least what is estimated: draw more rows of Y"),
        (found.outside[1], "Y", "X", "KL(P||Q) does not suffer, KL(Q||P) would: do not exchange the samples"),
    ):
        if share > _MANY_OUTSIDE:
            yield f"{share:.0%} of the rows of {name} lie outside of {other}: {consequence}."
    if found.n_shared > _MANY_REPEATED * found.n_p and not found.lattice_columns:
        yield (
            f"{found.n_shared} rows of X occur in Y: the samples are no independent draws, and shared rows pull the "
            "estimate down; remove them from one of the samples."
        )
    for count, rows, name in ((found.n_repeated[0], found.n_p, "X"), (found.n_repeated[1], found.n_q, "Y")):
        if count > _MANY_REPEATED * rows and not found.lattice_columns:
            yield f"{count} of {rows} rows of {name} repeat, which no density gives: remove copies before estimating."


def _about_columns(found: Diagnosis) -> Iterator[str]:
    if found.lattice_columns:
        yield (
            f"columns {list(found.lattice_columns)} are rounded or whole numbers: take more digits if there are "
            "any, or compare counts with Categorical if the values are few."
        )
    rows = min(found.n_p, found.n_q)
    if rows < _ROWS_PER_FEATURE * found.d:
        yield (
            f"{rows} rows are few for {found.d} features: neighbours are far away; trust gaussian if the columns are "
            "near normal, else draw more rows or drop features."
        )
    dimension = max(found.intrinsic_dimension)
    if dimension < _FEW_DIMENSIONS * found.d:
        yield (
            f"the rows fill about {dimension:.2g} of {found.d} dimensions: project both samples on that many principal "
            "components of X, or drop features that others determine."
        )


def _about_bias(found: Diagnosis) -> Iterator[str]:
    judged = [value for k, value in found.by_n_neighbors.items() if k >= _FEWEST_NEIGHBORS_TO_JUDGE]
    knn = found.estimates.get("knn")
    if knn is not None and judged and _far(judged[0], judged[-1], knn.standard_error):
        yield (
            f"the nearest-neighbour estimate moves from {judged[0]:.3g} to {judged[-1]:.3g} nats with the number of "
            "neighbours: it is biased; prefer few neighbours, and draw more rows."
        )
    for name, half in found.at_half.items():
        estimate = found.estimates[name]
        if _far(estimate.value, half, estimate.standard_error):
            yield (
                f"{name} moves from {half:.3g} to {estimate.value:.3g} nats between half of the rows and all: it has "
                "not settled, and its interval does not contain this; draw more rows."
            )
    for (first, a), (second, b) in itertools.combinations(found.estimates.items(), 2):
        if _far(a.value, b.value, math.hypot(a.standard_error, b.standard_error)):
            yield (
                f"{first} ({a.value:.3g} nats) and {second} ({b.value:.3g}) disagree: the columns are not normal, or "
                "neighbours are too far away; transform the columns, or draw more rows until they agree."
            )


def _far(a: float, b: float, error: float) -> bool:
    """Whether two estimates differ by more than chance and by what matters; an infinite one is told elsewhere."""
    if not (math.isfinite(a) and math.isfinite(b)):
        return False
    chance = 0.0 if math.isnan(error) else _DEVIATIONS * error
    return abs(a - b) > max(chance, _MUCH * max(abs(a), abs(b)))
