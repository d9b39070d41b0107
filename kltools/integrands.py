"""What divergences integrate: terms of log-densities, exact where these agree and where one of them is -inf.

A term takes logarithms of shape (laws, ...), the first of p, the second of q. All but those of entropies are
homogeneous, term(log p + c, log q + c) = exp(c) term(log p, log q), and vanish to second order where p = q, for
what integrates to 0 has been taken away: quadrature then keeps its relative accuracy.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from ._formula import Formula
from ._scalar import expm1_minus_x
from .errors import InvalidParameterError, InvalidTypeError

Term = Callable[[np.ndarray], np.ndarray]

_NEAR = 0.5  # of log-ratios: further apart, nothing cancels
LEAST = -1.7e308  # of a log-density that overflows where there is one; -inf where there is none
_LITTLE_MASS = -35.0  # log of a density whose product with a log-ratio beyond the range of float64 may be anything
_NOTHING_AT_ALL = -1500.0  # log of a density below the square of the smallest float64
_OVERFLOWS = 0.999 * LEAST
_DIRECTLY = 200.0  # log of ratios up to which a generator is evaluated
_STRAIGHT = 1e-9  # what is straight to this precision is a law
_LITTLE = 1e-14  # beside the usual size of a generator: no change
_SLOW = 0.05  # slope of log f over the logarithm of the ratio: no power
_ROUNDING = 1e-12
_NOTHING = -760.0  # log of a density below all float64, also times a logarithm

_expm1_minus_x = Formula(expm1_minus_x)


def _log_ratio(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """log(q / p); where both are 0 it is 0."""
    return np.maximum(log_q, LEAST) - np.maximum(log_p, LEAST)


def _relative_entropy(log_p: np.ndarray, log_ratio: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """p log(p / q) - p + q from log(q / p)."""
    p = np.exp(log_p)
    value = np.where(
        log_ratio < _NEAR,
        p * _expm1_minus_x(np.minimum(log_ratio, _NEAR)),
        np.exp(log_q) - np.where(p > 0.0, p * (1.0 + log_ratio), 0.0),
    )
    return _where_q_is_0(value, log_p, log_q)


def _where_q_is_0(value: np.ndarray, log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """A term that grows with log(p / q): inf where there is p and no q; see `_where_one_overflows`."""
    is_inf = np.isneginf(log_q) & (log_p > _OVERFLOWS)
    value = np.where((log_q < _OVERFLOWS) & (log_p > _NOTHING_AT_ALL), np.inf, value)
    return np.where(is_inf, np.inf, _where_one_overflows(value, log_p, log_q))


def _where_one_overflows(value: np.ndarray, log_larger: np.ndarray, log_least: np.ndarray) -> np.ndarray:
    """What is inf because one log-density overflows is unknown, nan, where there is little of the other."""
    is_unknown = (log_least == LEAST) & (log_larger < _LITTLE_MASS) & np.isinf(value)
    return np.where(is_unknown, np.nan, value)


def kl(logs: np.ndarray) -> np.ndarray:
    """p log(p / q) - p + q."""
    return _relative_entropy(logs[0], _log_ratio(logs[0], logs[1]), logs[1])


def jeffreys(logs: np.ndarray) -> np.ndarray:
    """(p - q) log(p / q)."""
    size = np.abs(_log_ratio(logs[0], logs[1]))
    top = np.maximum(logs[0], logs[1])
    value = np.where(size > 0.0, np.exp(top) * -np.expm1(-size) * size, 0.0)
    return _where_q_is_0(value, top, logs.min(axis=0))


def total_variation(logs: np.ndarray) -> np.ndarray:
    """|p - q| / 2."""
    return 0.5 * np.exp(np.maximum(logs[0], logs[1])) * -np.expm1(-np.abs(_log_ratio(logs[0], logs[1])))


def jensen_shannon(weights: Sequence[float]) -> Term:
    """Sum over all laws of w p log(p / m) - w p + w m, where m is their mixture."""
    return functools.partial(_jensen_shannon, np.asarray(weights))


def _jensen_shannon(weights: np.ndarray, logs: np.ndarray) -> np.ndarray:
    top = np.maximum(logs.max(axis=0), LEAST)
    column = weights.reshape(-1, *[1] * (logs.ndim - 1))
    with np.errstate(divide="ignore"):
        log_mixture = top + np.log((column * np.exp(logs - top)).sum(axis=0))
    total = np.zeros(logs.shape[1:])
    for weight, log_p in zip(weights, logs, strict=True):
        others = _log_ratio(log_p, logs)
        is_near = (np.abs(others) < _NEAR).all(axis=0)
        near = np.log1p((column * np.expm1(np.where(is_near, others, 0.0))).sum(axis=0))
        log_ratio = np.where(is_near, near, _log_ratio(log_p, log_mixture))
        total += weight * _relative_entropy(log_p, log_ratio, log_mixture)
    return total


def power(alpha: float) -> Term:
    """p^a q^(1 - a) - a p - (1 - a) q."""
    return functools.partial(_power, alpha)


def _power(alpha: float, logs: np.ndarray) -> np.ndarray:
    log_p, log_q, beta = logs[0], logs[1], 1.0 - alpha
    u = _log_ratio(log_p, log_q)
    is_near = np.abs(u) * max(1.0, abs(alpha)) < _NEAR
    small = np.where(is_near, u, 0.0)
    if alpha > 0.5:
        near = np.exp(log_p) * (_expm1_minus_x(beta * small) - beta * _expm1_minus_x(small))
    else:
        near = np.exp(log_q) * (_expm1_minus_x(-alpha * small) - alpha * _expm1_minus_x(-small))
    far = np.exp(log_power(alpha, log_p, log_q)) - alpha * np.exp(log_p) - beta * np.exp(log_q)
    return np.where(is_near, near, far)


def log_power(alpha: float, log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """Logarithm of p^a q^(1 - a); a product with 0 is 0, and p / 0 is inf."""
    value = alpha * log_p + (1.0 - alpha) * log_q
    outside = np.isneginf(log_q) & (log_p > _OVERFLOWS) if alpha > 1.0 else np.zeros(log_p.shape, bool)
    return np.where(outside, np.inf, np.where(np.isneginf(log_p) | np.isneginf(log_q), -np.inf, value))


def affinity(alpha: float) -> Term:
    """p^a q^(1 - a)."""
    return lambda logs: np.exp(log_power(alpha, logs[0], logs[1]))


def of_generator(f: Callable[[np.ndarray], np.ndarray]) -> Term:
    """q f(p / q), with its limits where p or q is 0."""

    def mirrored(ratio: np.ndarray) -> np.ndarray:  # p f*(q / p) is the same
        return ratio * _values(f, 1.0 / ratio)

    if not abs(at_1 := float(_values(f, np.ones(1))[0])) <= _ROUNDING:
        raise InvalidParameterError(f"f(1) must be 0, for no divergence is left where p = q; got {at_1}.")
    with np.errstate(all="ignore"):
        ends = [_End(functools.partial(_values, f)), _End(mirrored)]
        at_zero = float(_values(f, np.zeros(1), may_be_nan=True)[0])
        limits = [ends[0].limit if np.isnan(at_zero) else at_zero, ends[1].limit]

    def term(logs: np.ndarray) -> np.ndarray:
        log_p, log_q, top = logs[0], logs[1], logs[:2].max(axis=0)
        log_ratio = -_log_ratio(log_p, log_q)
        inside = np.abs(log_ratio) < _DIRECTLY
        ratio = np.exp(np.where(inside, log_ratio, 0.0))
        values = _values(f, ratio)
        value = np.where(log_ratio > 0.0, np.exp(log_p) * (values / ratio), np.exp(log_q) * values)
        far = ~inside | np.isinf(values) & (np.abs(log_ratio) > 0.5 * _DIRECTLY)  # where squares overflow, too
        value = np.where(far & (log_ratio < 0.0), ends[0].times(log_q, log_ratio), value)
        value = np.where(far & (log_ratio > 0.0), ends[1].times(log_p, -log_ratio), value)
        value = np.where(log_p < _OVERFLOWS, _times(limits[0], log_q), value)
        value = np.where(log_q < _OVERFLOWS, _times(limits[1], log_p), value)
        value = _where_one_overflows(value, top, logs[:2].min(axis=0))
        return np.where(top < _OVERFLOWS, 0.0, value)

    return term


class _End:
    """How a function goes on towards 0: as a line in the logarithm or as a power, slower than powers, or unknown."""

    _AT = np.array([1e-30, 1e-60, 1e-90])

    def __init__(self, f: Callable[[np.ndarray], np.ndarray]):
        values, usual = f(self._AT), np.abs(f(np.array([0.5, 2.0]))).max()
        logs, self._sign = np.log(np.abs(values)), float(np.sign(values[0]))
        self._log = float(np.log(self._AT[0]))
        self._first, self._slope = float(values[0]), float(values[1] - values[0]) / self._log
        self._is_power = self._is_slow = False
        if abs(values[2] - values[1]) <= _LITTLE * max(usual, abs(values[2])):
            self._first, self._slope = float(values[2]), 0.0
        elif not abs(np.diff(values, 2)[0]) <= _STRAIGHT * np.abs(values).max():
            self._is_power = bool(abs(np.diff(logs, 2)[0]) <= _STRAIGHT * np.abs(logs).max())
            self._is_slow = bool(abs(logs[2] - logs[1]) <= _SLOW * abs(self._log))
            self._first, self._slope = float(logs[0]), float(logs[1] - logs[0]) / self._log
            self._first = self._first if self._is_power or self._is_slow else np.nan

    @property
    def limit(self) -> float:
        if self._is_power or self._is_slow:
            return self._sign * np.inf if self._slope < 0.0 else 0.0 if self._is_power else np.nan
        return self._first if self._slope == 0.0 else -np.inf * self._slope

    def times(self, log_weight: np.ndarray, log_ratio: np.ndarray) -> np.ndarray:
        """exp(log_weight) f(exp(log_ratio)) far out."""
        far = self._first + self._slope * (log_ratio - self._log)
        if self._is_power:
            return self._sign * np.exp(log_weight + far)
        known = np.exp(log_weight) * (np.nan if self._is_slow else far)
        return np.where(np.isnan(self._first) | (log_weight > _NOTHING), known, 0.0)


def _values(f: Callable[[np.ndarray], np.ndarray], ratio: np.ndarray, may_be_nan: bool = False) -> np.ndarray:
    with np.errstate(all="ignore"):
        values = f(ratio)
    try:
        values = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidTypeError(f"f must return an array of numbers, it returned {values!r}.") from None
    if values.shape != ratio.shape:
        raise InvalidParameterError(
            f"f must return an array of the shape of its argument, {ratio.shape}; it returned {values.shape}."
        )
    if not may_be_nan and np.isnan(values).any():
        bad = float(ratio.reshape(-1)[int(np.argmax(np.isnan(values)))])
        raise InvalidParameterError(f"f must have values for all ratios > 0; f({bad:g}) is nan.")
    return values


def _times(factor: float, log_density: np.ndarray) -> np.ndarray:
    """factor * density."""
    if np.isinf(factor):
        return np.where(log_density > _OVERFLOWS, factor, 0.0)
    return factor * np.exp(log_density)


def cross_entropy(logs: np.ndarray) -> np.ndarray:
    """-p log q, the last of the logs being that of the measure that densities refer to."""
    log_p, log_q, log_measure = logs[0], logs[-2], logs[-1]
    p = np.exp(log_p)
    value = np.where(p > 0.0, p * -_log_ratio(log_measure, log_q), 0.0)
    return _where_q_is_0(value, log_p, log_q)
