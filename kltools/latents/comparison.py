"""Two encoders, compared for each input and between their aggregate posteriors."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _latent_validation, _progress, _validation
from .._jit import effective_n_jobs
from ..errors import InvalidParameterError, InvalidTypeError, ShapeMismatchError
from ..estimate import Deferred, DivergenceEstimate, Report
from ..inference import Uncertainty
from ..vae import kl_log_var_normal
from .aggregate import Aggregate, Groups
from .call import DEFAULT_COMPONENTS, DEFAULT_SAMPLES, checked_sizes
from .monte_carlo import Controls, Means, Plan
from .report import plus_minus


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class LatentComparison(Report):
    """What `compare_latents` has found, in nats: a comes first, b second.

    Attributes
    ----------
    n_a, n_b : int
        Rows.
    d : int
        Latent units.
    per_input, per_input_reverse : ndarray of shape (n,) or None
        KL(a_i || b_i) and KL(b_i || a_i) of the posteriors of each input; None where the numbers of rows differ.
    per_unit : ndarray of shape (d,) or None
        Mean over inputs of KL(a_i || b_i) in each unit.
    mean, mean_reverse : float or None
        Means over inputs; those of the aggregates cannot be larger.
    aggregate, aggregate_reverse : DivergenceEstimate
        KL(q_a(z) || q_b(z)) of the aggregate posteriors, and the reverse.
    warnings : tuple of str

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> mu = np.random.default_rng(0).normal(size=(500, 2))
    >>> same = kl.compare_latents((mu, np.zeros((500, 2))), (mu + [1.0, 0.0], np.zeros((500, 2))), random_state=0)
    >>> same.mean.__round__(6), bool(same.aggregate.value < same.mean)
    (0.5, True)
    """

    n_a: int
    n_b: int
    d: int
    per_input: np.ndarray | None
    per_input_reverse: np.ndarray | None
    per_unit: np.ndarray | None
    mean: float | None
    mean_reverse: float | None
    aggregate: DivergenceEstimate
    aggregate_reverse: DivergenceEstimate
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain Python objects; estimates with their standard errors and intervals."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name, value in fields.items():
            if isinstance(value, DivergenceEstimate):
                fields[name] = value.to_dict()
            elif isinstance(value, np.ndarray):
                fields[name] = value.tolist()
        return fields

    def _summary_rows(self) -> list[tuple[str, str]]:
        return [("latents", f"{self.n_a} rows of a, {self.n_b} of b, {self.d} units"), *self._lines()]

    def _lines(self) -> Iterator[tuple[str, str]]:
        if self.per_input is not None and self.per_unit is not None:
            low, middle, high = np.quantile(self.per_input, [0.05, 0.5, 0.95])
            yield (
                "each input",
                f"KL(a||b) {self.mean:.4g} on average, median {middle:.4g}, 90% in [{low:.4g}, {high:.4g}]",
            )
            yield "", f"KL(b||a) {self.mean_reverse:.4g} on average"
            order = np.argsort(-self.per_unit, kind="stable")[:5]
            yield "units", "most in " + ", ".join(f"{j}: {self.per_unit[j]:.3g}" for j in order)
        for name, estimate in (("KL(a||b)", self.aggregate), ("KL(b||a)", self.aggregate_reverse)):
            yield "aggregates", f"{name} {estimate.value:.4g}{plus_minus(estimate.standard_error)}"
        for text in self.warnings:
            yield "warning", text

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        mean = "" if self.mean is None else f"mean={self.mean:.4g}, "
        return (
            f"LatentComparison({mean}aggregate={self.aggregate.value:.4g}, "
            f"aggregate_reverse={self.aggregate_reverse.value:.4g}, n_a={self.n_a}, n_b={self.n_b}, d={self.d})"
        )


def compare_latents(
    a: Any,
    b: Any,
    *,
    n_samples: int = DEFAULT_SAMPLES,
    max_components: int = DEFAULT_COMPONENTS,
    n_jobs: int | None = None,
    random_state: Any = None,
    progress: Any = None,
) -> LatentComparison:
    r"""Compare what two encoders, or one at two times, make of the same or of other inputs.

    .. math::
        \mathrm{KL}(q_a(z|x_i) \,\|\, q_b(z|x_i)) \text{ of each input, and }
        \mathrm{KL}\Big(\frac1n \sum_i q_a(z|x_i) \,\Big\|\, \frac1m \sum_j q_b(z|x_j)\Big)

    The first is exact. The second is the mean over draws of log q_a - log q_b, both densities those of the whole
    mixtures; where rows of both are of the same inputs it cannot exceed the mean of the first (convexity).

    Parameters
    ----------
    a, b : tuple (mu, log_var)
        Outputs of the two encoders, arrays of shape (n, d) and (m, d); row i of both is of the same input where n = m.
    n_samples : int, >= 100
        Draws from each aggregate, as in `latent_report`.
    max_components : int, >= 100
        More rows are refused: a part of them would have to stand for q_a and q_b.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
    progress : True or callable, optional
        As `show_progress` takes it.

    Returns
    -------
    LatentComparison

    Raises
    ------
    InvalidTypeError, InvalidParameterError, ShapeMismatchError, NotEnoughSamplesError
        As `latent_report` does, with a or b named; and for different numbers of latents.

    References
    ----------
    T. M. Cover and J. A. Thomas (2006), Elements of Information Theory, theorem 2.7.2 (convexity).

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> mu = np.random.default_rng(0).normal(size=(500, 2))
    >>> found = kl.compare_latents((mu, np.zeros((500, 2))), (-mu, np.zeros((500, 2))), random_state=0)
    >>> bool(found.mean > 1.0), bool(found.aggregate.value < 0.1)  # inputs moved, the aggregate did not
    (True, True)
    """
    n_samples, most = checked_sizes(n_samples, max_components)
    threads = effective_n_jobs(_validation.check_n_jobs(n_jobs))
    rng = _validation.generator(random_state)
    shown = _progress.shown(_progress.checked(progress), everywhere=True)
    first, second = _aggregate(a, "a", most), _aggregate(b, "b", most)
    if first.d != second.d:
        raise ShapeMismatchError(f"a has {first.d} latents, b has {second.d}: these are different spaces.")
    check = _latent_validation.check_alike if len(first) == len(second) else _validation.check_same_columns
    check(a[0], b[0], "mu of a", "mu of b")
    with shown:
        return _compared(first, second, n_samples, threads, rng)


@np.errstate(over="ignore", invalid="ignore")  # inf is an answer, and then there is no standard error
def _compared(
    first: Aggregate, second: Aggregate, n_samples: int, threads: int, rng: np.random.Generator
) -> LatentComparison:
    forward = backward = None
    if len(first) == len(second):
        forward, backward = _kl_of_rows(first, second), _kl_of_rows(second, first)
    return LatentComparison(
        n_a=len(first),
        n_b=len(second),
        d=first.d,
        per_input=None if forward is None else forward.sum(axis=1),
        per_input_reverse=None if backward is None else backward.sum(axis=1),
        per_unit=None if forward is None else forward.mean(axis=0),
        mean=None if forward is None else float(forward.sum(axis=1).mean()),
        mean_reverse=None if backward is None else float(backward.sum(axis=1).mean()),
        aggregate=_aggregate_kl(first, second, n_samples, threads, rng),
        aggregate_reverse=_aggregate_kl(second, first, n_samples, threads, rng),
        warnings=() if forward is not None else _UNEQUAL,
    )


_UNEQUAL = ("the numbers of rows differ: inputs were not compared, only the aggregates.",)


def _aggregate(x: Any, name: str, most: int) -> Aggregate:
    if not isinstance(x, tuple | list) or len(x) != 2:
        size = f" of {len(x)} items" if isinstance(x, tuple | list) else ""
        raise InvalidTypeError(
            f"{name} is a {type(x).__name__}{size}; pass the tuple (mu, log_var) of an encoder's outputs."
        )
    mu, log_var = _latent_validation.encoder_outputs(x[0], x[1], f" of {name}")
    if len(mu) > most:
        raise InvalidParameterError(
            f"{name} has {len(mu)} rows, more than max_components={most}; pass a random part of the rows of both."
        )
    return Aggregate(mu, log_var, len(mu))


def _kl_of_rows(p: Aggregate, q: Aggregate) -> np.ndarray:
    """Of each coordinate, (rows, d), in units in which q is N(0, 1)."""
    shift = (p.mu - q.mu) * np.exp(-0.5 * q.log_var)
    return kl_log_var_normal.summed(shift, p.log_var - q.log_var, 0.0, 1.0, 0.0, n_axes=0)


def _aggregate_kl(
    p: Aggregate, q: Aggregate, n_samples: int, n_jobs: int, rng: np.random.Generator
) -> DivergenceEstimate:
    plan = Plan(p, n_samples, rng)
    controls, means = Controls(p, plan.each), Means(plan)
    sides = [Groups.of(side, np.arange(len(side)), 1) for side in (p, q)]
    for draws in plan.blocks():
        log_p, log_q = (side.log_sums(draws.z, n_jobs) - math.log(len(side.whole)) for side in sides)
        means.add(controls.rid(log_p - log_q, controls.of(draws)[:, :, -1:]))
    error = float(means.standard_errors[0])
    return DivergenceEstimate(
        value=float(means.values[0]),
        method="monte_carlo",
        n_p=len(plan.components),
        n_q=None,
        d=p.d,
        direction="q_a(z)||q_b(z)",
        uncertainty=Deferred(lambda: Uncertainty(error)),
    )
