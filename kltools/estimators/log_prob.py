"""Monte Carlo from log-densities: log p(x) and log q(x) at draws x ~ p."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _device, _log_prob_validation, _validation
from .._jit import effective_n_jobs
from ..errors import (
    InfiniteDivergenceWarning,
    InvalidParameterError,
    KLToolsWarning,
    NotEnoughSamplesError,
    ShapeMismatchError,
    SmallSampleWarning,
    UnreliableEstimateWarning,
)
from ..estimate import Deferred, DivergenceEstimate
from ..inference import UNKNOWN
from ..pareto import RELIABLE_BELOW, smoothed_log_weights
from ..preprocessing import Notes
from .terms import ESTIMATORS, FEWEST_TO_FIT, USING_RATIO, Outcome, Tally

_EXTRAS = "estimate_kl_from_log_prob with mask, groups or log_weights"
_ERRORS_AWAY = 4.0  # standard errors between 1 and a mean of r that is not 1
_ROUNDING = 1e-9


def estimate_kl_from_log_prob(
    log_p: Any,
    log_q: Any,
    *,
    estimator: str = "k1",
    mask: Any = None,
    groups: Any = None,
    log_weights: Any = None,
    unit: str = "nats",
    n_jobs: int | None = None,
    device: str | None = None,
) -> DivergenceEstimate:
    r"""Estimate KL(p || q) from the log-densities of both at draws x ~ p.

    .. math:: \mathrm{KL}(p \,\|\, q) = \mathbb{E}_{x \sim p}[k(x)], \qquad r(x) = \frac{q(x)}{p(x)}

    with one of the terms

    - "k1": -log r. Unbiased, whatever p and q are.
    - "k2": (log r)^2 / 2. Biased; little where p and q nearly agree.
    - "k3": r - 1 - log r. Never negative.
    - "cv": -log r + c (r - 1). The coefficient c that gives the least variance is fitted, for each of up to 20
      folds of the draws, to all the others, which leaves the mean unbiased; c = 0 is k1, c = 1 is k3. Where
      Pareto k-hat of r is above 0.5, or the variance of r beyond float64, r has no variance to speak of: c is 0.
      (This choice looks at all draws: around that boundary it biases the value, by less than its standard error.)

    "k3" and "cv" rely on the mean of r - 1, which is 0 only where p has mass wherever q has: p = U(0, 1),
    q = U(0, 2) gives 0.193 where the truth is 0.693. And their variance is infinite where q has much heavier
    tails than p. Both are warned about where the draws show it; "k1" has neither weakness.

    The value is the mean of k over all entries that count, each with its weight. The standard error is computed
    from sums per group, over groups that are independent of one another: without ``groups`` every entry of 1-d
    input, every row of 2-d input. So log-probabilities of tokens, of shape (sequences, tokens), give the KL per
    token, with the error of independent sequences of tokens that are not. For the KL per sequence pass sums
    over tokens.

    For draws of another law g pass ``log_weights = log_p - log_g``. So the reverse divergence KL(q || p) from
    the same draws of p is ``estimate_kl_from_log_prob(log_q, log_p, log_weights=log_q - log_p)``.

    Parameters
    ----------
    log_p, log_q : array-like of shape (n,) or (sequences, tokens)
        Logarithms of normalised densities (or probabilities), in nats, of equal shape. -inf in log_q is a draw
        where q has no mass: the divergence is inf. NumPy, torch, lists; a number is one draw.
    estimator : {"k1", "k2", "k3", "cv"}
    mask : array-like of bool of the same shape, optional
        Entries where it is False are ignored, whatever they hold.
    groups : array-like of the same shape, or of shape (sequences,), optional
        Labels (numbers or text); entries with equal labels may depend on each other.
    log_weights : array-like of the same shape, optional
        Logarithms of importance weights, up to a constant. They are Pareto-smoothed and normalised to sum 1.
        Of a weight of 0 (-inf) the log-densities may be -inf.
    unit : {"nats", "bits"}
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    device : {None, "cpu", "cuda"}
        None follows the data.

    Returns
    -------
    DivergenceEstimate
        Its ``diagnostics``: ``mean_ratio``, the mean of r, which is at most 1; for "cv" the mean
        ``coefficient``; for "k3" and "cv" ``pareto_k`` of r; with weights their ``weights_pareto_k`` and
        ``effective_sample_size``; ``n_groups``, ``n_masked``, and ``n_outside``, draws where q has no mass.

    Raises
    ------
    InvalidParameterError
        For nan and inf, for log_p of -inf, for weights that are all 0; the message has the first index.
    ShapeMismatchError
        For unequal shapes; nothing is broadcast.
    NotEnoughSamplesError
        Where there is no entry, or the mask leaves none.
    InvalidTypeError
        For what holds no numbers.
    DeviceUnavailableError
        For arrays on a GPU together with ``mask``, ``groups`` or ``log_weights``, unless ``device="cpu"`` copies them.

    Warns
    -----
    InfiniteDivergenceWarning
        Where q has no mass at draws.
    UnreliableEstimateWarning
        Where Pareto k-hat of the weights, or of r in "k3", is above 0.7 (or cannot be told: of fewer than 21
        draws it is inf); where the mean of r shows that "k3" and "cv" are biased, or that log_p and log_q
        cannot be what they are said to be.
    KLToolsWarning
        Where Pareto k-hat of r is above 0.7 and "cv" therefore is "k1".
    SmallSampleWarning
        Where a single group leaves no standard error, or fewer than 10 no coefficient.

    References
    ----------
    J. Schulman (2020), Approximating KL divergence (k1, k2, k3).
    A. Vehtari, D. Simpson, A. Gelman, Y. Yao, J. Gabry (2024), Pareto smoothed importance sampling, algorithm 1.

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=1)
    >>> x = p.sample(100_000, random_state=0)
    >>> estimate = kl.estimate_kl_from_log_prob(p.log_prob(x), q.log_prob(x))
    >>> estimate.value.__round__(2), estimate.standard_error.__round__(4)  # the truth is 0.5
    (0.5, 0.0032)
    """
    place = _device.resolve(device, log_p, log_q, log_weights)
    _validation.choice(estimator, "estimator", ESTIMATORS)
    _validation.unit_factor(unit)
    _validation.check_n_jobs(n_jobs)
    if place == "cuda":
        plain = mask is None and groups is None and log_weights is None
        counted_there = _device.twin("estimate_kl_from_log_prob" if plain else _EXTRAS)(log_p, log_q, estimator, unit)
        if counted_there is not None:
            return counted_there
        log_p, log_q = (_device.twin("host_copy")(x, name) for x, name in ((log_p, "log_p"), (log_q, "log_q")))
    notes = Notes()
    p = _log_prob_validation.log_densities(log_p, "log_p", tell=notes.add)
    q = _log_prob_validation.log_densities(log_q, "log_q", p.shape, tell=notes.add)
    if p.ndim > 2:
        raise ShapeMismatchError(
            f"log_p has shape {p.shape}, 1-d or 2-d is needed; reshape to (sequences, tokens), or pass groups."
        )
    counted = np.ones(p.shape, dtype=bool) if mask is None else _log_prob_validation.mask(mask, p.shape)
    if not counted.any():
        nothing = "mask leaves no entry" if p.size else f"log_p is empty (shape {p.shape})"
        raise NotEnoughSamplesError(f"{nothing}: at least 1 draw is needed.")
    for array, name in ((p, "log_p"), (q, "log_q")):
        _log_prob_validation.check_log_densities(array, name, counted)
    labels = _labels(groups, p.shape)
    w = None
    if log_weights is not None:
        w = _log_prob_validation.log_densities(log_weights, "log_weights", p.shape, tell=notes.add)
        _log_prob_validation.check_log_densities(w, "log_weights", counted)
    _log_prob_validation.check_within_support(p, counted if w is None else counted & ~np.isneginf(w))
    draws = Draws(p, q, w, labels).where(counted)
    diagnostics = {"n_masked": p.size - len(draws.log_p)}
    return _estimate(draws, estimator, unit, effective_n_jobs(n_jobs), diagnostics, notes)


def _labels(groups: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    if groups is not None:
        return _log_prob_validation.group_labels(groups, shape)
    return np.broadcast_to(np.arange(shape[0])[:, None], shape) if len(shape) == 2 else None


@dataclass(frozen=True)
class Draws:
    """Arrays of one shape; with labels, entries of equal label are one group."""

    log_p: np.ndarray
    log_q: np.ndarray
    log_weights: np.ndarray | None = None
    labels: np.ndarray | None = None

    def where(self, chosen: np.ndarray) -> Draws:
        """The chosen entries, by a mask or by their places, as 1-d arrays."""
        arrays = (self.log_p, self.log_q, self.log_weights, self.labels)
        if chosen.dtype == bool and chosen.all():
            return Draws(*(None if array is None else array.reshape(-1) for array in arrays))  # type: ignore[arg-type]
        return Draws(*(None if array is None else array[chosen] for array in arrays))  # type: ignore[arg-type]

    def by_groups(self) -> tuple[Draws, np.ndarray | None]:
        """Entries of a group side by side, and where groups begin and end; None where each is its own."""
        if self.labels is None:
            return self, None
        sizes = np.bincount(self.labels)
        if sizes.max() == 1:
            return self, None
        in_order = bool((np.diff(self.labels) >= 0).all())
        draws = self if in_order else self.where(np.argsort(self.labels, kind="stable"))
        return draws, np.concatenate([[0], np.cumsum(sizes[sizes > 0])])


def _estimate(
    draws: Draws, estimator: str, unit: str, n_jobs: int, diagnostics: dict[str, Any], notes: Notes
) -> DivergenceEstimate:
    n = len(draws.log_p)
    if draws.log_weights is not None:
        draws = _smoothed(draws, diagnostics, notes)
    n_outside = int(np.isneginf(draws.log_q).sum())
    n_groups, tally = n, Tally(estimator, len(draws.log_p), n_jobs)
    if not n_outside:
        draws, offsets = draws.by_groups()
        n_groups = len(draws.log_p) if offsets is None else len(offsets) - 1
        tally.add(draws.log_p, draws.log_q, draws.log_weights, offsets)
    return concluded(tally, unit, n, n_groups, n_outside, diagnostics, notes, stacklevel=3)


def _smoothed(draws: Draws, diagnostics: dict[str, Any], notes: Notes) -> Draws:
    """Draws of positive weight, with weights that are smoothed and sum to 1."""
    assert draws.log_weights is not None
    positive = ~np.isneginf(draws.log_weights)
    if not positive.any():
        raise InvalidParameterError("log_weights are all -inf: no draw has any weight, nothing is left to average.")
    log_weights, k = smoothed_log_weights(draws.log_weights)
    weights = np.exp(log_weights)
    diagnostics["weights_pareto_k"] = k
    diagnostics["effective_sample_size"] = float(1.0 / (weights**2).sum())
    if k > RELIABLE_BELOW:
        notes.add(
            UnreliableEstimateWarning,
            f"log_weights have a Pareto k-hat of {_in_words(k)}, above {RELIABLE_BELOW}: a few draws decide the "
            "weighted mean, and others would decide otherwise; draw from a law nearer to p.",
        )
    draws = dataclasses.replace(draws, log_weights=log_weights)
    # too small to be a number is too small to count, but in where q has no mass
    return draws.where(positive & ((weights > 0.0) | np.isneginf(draws.log_q)))


def _in_words(k: float) -> str:
    return "inf (too few draws in the tail to tell)" if math.isinf(k) else f"{k:.2f}"


def concluded(
    tally: Tally,
    unit: str,
    n: int,
    n_groups: int,
    n_outside: int,
    diagnostics: dict[str, Any],
    notes: Notes,
    *,
    d: int | None = None,
    stacklevel: int,
) -> DivergenceEstimate:
    """The estimate from counted draws; warnings point `stacklevel` frames up."""
    estimator = tally.estimator
    diagnostics = {"n_groups": n_groups, "n_outside": n_outside, **diagnostics}
    result = Outcome(math.inf, UNKNOWN)
    if n_outside:
        notes.add(InfiniteDivergenceWarning, f"q has no mass at {n_outside} of {n} draws: the divergence is inf.")
    else:
        result, ratio_k = tally.outcome(n_groups), tally.ratio_k()
        diagnostics["mean_ratio"] = result.mean_ratio
        _tell_few_groups(n_groups, estimator, notes)
        if math.isinf(result.mean_ratio):
            _tell_overflow(estimator, "weights_pareto_k" in diagnostics, notes)
        elif diagnostics.get("weights_pareto_k", 0.0) <= RELIABLE_BELOW:
            _tell_mean_ratio(result, n_groups, estimator, notes)
        if result.coefficient is not None:
            diagnostics["coefficient"] = result.coefficient
        if ratio_k is not None:
            diagnostics["pareto_k"] = ratio_k
            _tell_heavy_ratios(ratio_k, estimator, notes)
    reasons = tuple(text for category, text in notes.items if category is UnreliableEstimateWarning)
    notes.issue(stacklevel + 1)
    return DivergenceEstimate(
        value=result.value * _validation.unit_factor(unit),
        unit=unit,
        method=estimator,
        n_p=n,
        n_q=None,
        d=d,
        support_mismatch=n_outside > 0,
        reliable=False if reasons else None,
        reasons=reasons,
        warnings=notes.texts(),
        diagnostics=diagnostics,
        uncertainty=Deferred(lambda: result.uncertainty),
    )


def _tell_few_groups(n_groups: int, estimator: str, notes: Notes) -> None:
    if n_groups == 1:
        notes.add(SmallSampleWarning, "one draw (or group of draws) has no standard error: it is nan.")
    if estimator == "cv" and n_groups < FEWEST_TO_FIT:
        notes.add(
            SmallSampleWarning,
            f"{n_groups} independent draws (or groups) are too few to fit the coefficient of estimator='cv', "
            f"{FEWEST_TO_FIT} are needed: it is 0, the value is that of 'k1'.",
        )


def _tell_overflow(estimator: str, has_weights: bool, notes: Notes) -> None:
    """Draws of another law may lie where q/p is beyond float64; k1 does not mind."""
    if has_weights and estimator != "k3":
        return
    found = "r = q/p is beyond float64 at some of the draws"
    if not has_weights:
        found += ", where no draw from p comes (are p and q swapped, or is a density not normalised?)"
    consequence = {
        "k3": "; the value of estimator='k3' is inf for that alone: use 'k1'",
        "cv": "; the coefficient of estimator='cv' is 0, the value is that of 'k1'",
    }
    notes.add(UnreliableEstimateWarning, f"{found}{consequence.get(estimator, '')}.")


def _tell_mean_ratio(result: Outcome, n_groups: int, estimator: str, notes: Notes) -> None:
    away, error = result.mean_ratio - 1.0, result.mean_ratio_error
    if n_groups < FEWEST_TO_FIT or not abs(away) > _ERRORS_AWAY * error + _ROUNDING:
        return
    found = f"the mean of r = q/p is {result.mean_ratio:.4g} +- {error:.2g}"
    if away > 0.0:
        notes.add(
            UnreliableEstimateWarning,
            f"{found}, but at draws from p it cannot exceed 1: the draws are not from p (are p and q swapped?), or "
            "a density is not normalised.",
        )
    elif estimator in USING_RATIO and result.coefficient != 0.0:
        notes.add(
            UnreliableEstimateWarning,
            f"{found}, not 1: q has mass where p has none (or where no draw came), which biases "
            f"estimator={estimator!r}; use 'k1'.",
        )


def _tell_heavy_ratios(k: float, estimator: str, notes: Notes) -> None:
    if not k > RELIABLE_BELOW:
        return
    found = f"r = q/p has a Pareto k-hat of {_in_words(k)}, above {RELIABLE_BELOW}: it may have no variance"
    if estimator == "cv":
        notes.add(KLToolsWarning, f"{found}. The coefficient of estimator='cv' is 0, the value is that of 'k1'.")
    else:
        notes.add(
            UnreliableEstimateWarning,
            f"{found}, and the standard error of estimator={estimator!r} no meaning; use 'k1'.",
        )
