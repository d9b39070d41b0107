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

Term = Callable[[np.ndarray], np.ndarray]

_NEAR = 0.5  # of log-ratios: further apart, nothing cancels
_LEAST = -1.7e308
_NEGLIGIBLE = -709.0  # log of a density that weighs nothing, even times a log-ratio beyond the range of float64
_FAR, _FARTHER = 1e150, 1e300

_expm1_minus_x = Formula(expm1_minus_x)


def _log_ratio(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """log(q / p); where both are 0 it is 0."""
    return np.maximum(log_q, _LEAST) - np.maximum(log_p, _LEAST)


def _relative_entropy(log_p: np.ndarray, log_ratio: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """p log(p / q) - p + q from log(q / p)."""
    p = np.exp(log_p)
    value = np.where(
        log_ratio < _NEAR,
        p * _expm1_minus_x(np.minimum(log_ratio, _NEAR)),
        np.exp(log_q) - np.where(p > 0.0, p * (1.0 + log_ratio), 0.0),
    )
    return np.where(np.isneginf(log_q) & (log_p > _NEGLIGIBLE), np.inf, value)


def kl(logs: np.ndarray) -> np.ndarray:
    """p log(p / q) - p + q."""
    return _relative_entropy(logs[0], _log_ratio(logs[0], logs[1]), logs[1])


def jeffreys(logs: np.ndarray) -> np.ndarray:
    """(p - q) log(p / q)."""
    size = np.abs(_log_ratio(logs[0], logs[1]))
    top = np.maximum(logs[0], logs[1])
    value = np.exp(top) * -np.expm1(-size) * size
    return np.where(np.isneginf(logs).any(axis=0) & (top > _NEGLIGIBLE), np.inf, np.where(size > 0.0, value, 0.0))


def total_variation(logs: np.ndarray) -> np.ndarray:
    """|p - q| / 2."""
    return 0.5 * np.exp(np.maximum(logs[0], logs[1])) * -np.expm1(-np.abs(_log_ratio(logs[0], logs[1])))


def jensen_shannon(weights: Sequence[float]) -> Term:
    """Sum over all laws of w p log(p / m) - w p + w m, where m is their mixture."""
    return functools.partial(_jensen_shannon, np.asarray(weights))


def _jensen_shannon(weights: np.ndarray, logs: np.ndarray) -> np.ndarray:
    top = np.maximum(logs.max(axis=0), _LEAST)
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
    outside = np.isneginf(log_q) & (log_p > _NEGLIGIBLE) if alpha > 1.0 else np.zeros(log_p.shape, bool)
    return np.where(outside, np.inf, np.where(np.isneginf(log_p) | np.isneginf(log_q), -np.inf, value))


def affinity(alpha: float) -> Term:
    """p^a q^(1 - a)."""
    return lambda logs: np.exp(log_power(alpha, logs[0], logs[1]))


def of_generator(f: Callable[[np.ndarray], np.ndarray]) -> Term:
    """q f(p / q), with its limits where p or q is 0."""
    with np.errstate(all="ignore"):
        at_zero = _value(f, 0.0)
        at_zero = _value(f, 5e-324) if np.isnan(at_zero) else at_zero
        slope, earlier = _value(f, _FARTHER) / _FARTHER, _value(f, _FAR) / _FAR
    slope = slope if abs(slope - earlier) <= 1e-9 * abs(slope) + 1e-30 else np.inf

    def term(logs: np.ndarray) -> np.ndarray:
        log_p, log_q = logs[0], logs[1]
        log_ratio = -_log_ratio(log_p, log_q)
        ratio = np.exp(np.clip(log_ratio, -700.0, 690.0))
        values = np.asarray(f(ratio), dtype=np.float64)
        inside = np.where(log_ratio > 0.0, np.exp(log_p) * (values / ratio), np.exp(log_q) * values)
        inside = np.where(np.isneginf(log_p), _times(at_zero, log_q), inside)
        inside = np.where(np.isneginf(log_q), _times(slope, log_p), inside)
        return np.where(np.isneginf(log_p) & np.isneginf(log_q), 0.0, inside)

    return term


def _value(f: Callable[[np.ndarray], np.ndarray], ratio: float) -> float:
    return float(np.asarray(f(np.array([ratio])), dtype=np.float64)[0])


def _times(factor: float, log_density: np.ndarray) -> np.ndarray:
    """factor * density; of an infinite factor nothing is left where the density is next to nothing."""
    if np.isinf(factor):
        return np.where(log_density > _NEGLIGIBLE, factor, 0.0)
    return factor * np.exp(log_density)


def cross_entropy(logs: np.ndarray) -> np.ndarray:
    """-p log q, the last of the logs being that of the measure that densities refer to."""
    log_p, log_q, log_measure = logs[0], logs[-2], logs[-1]
    p = np.exp(log_p)
    value = np.where(p > 0.0, p * -_log_ratio(log_measure, log_q), 0.0)
    return np.where(np.isneginf(log_q) & (log_p > _NEGLIGIBLE), np.inf, value)
