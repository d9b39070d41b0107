"""Closed forms in exact arithmetic, from their textbook definitions: slow, and right for any float64."""

import math

from mpmath import mp

_TOO_LARGE = mp.ldexp(1, 1024)
_SMALLEST = mp.ldexp(1, -1074)
DIGITS = 100  # two covariances may agree in 16 digits, whose divergence has lost 32


def relative_error(value, truth):
    """|value - truth| / |truth|; inf is the float64 of what is beyond its range, 5e-324 of an error is forgiven."""
    if abs(truth) >= _TOO_LARGE:
        return 0.0 if value == math.copysign(math.inf, mp.sign(truth)) else math.inf
    if not math.isfinite(value):
        return math.inf
    error = abs(mp.mpf(float(value)) - truth)
    return 0.0 if error <= _SMALLEST else float(error / abs(truth)) if truth else math.inf


def kl_normal(mean_p, var_p, mean_q, var_q):
    with mp.workdps(DIGITS):
        ratio = mp.mpf(var_p) / mp.mpf(var_q)
        # the means may differ by 600 orders of magnitude: mp.fsub with exact=True drops nothing
        shift = mp.fsub(mp.mpf(mean_p), mp.mpf(mean_q), exact=True)
        return (ratio - 1 - mp.log(ratio) + shift**2 / mp.mpf(var_q)) / 2


def kl_normal_log_var(mu, log_var, mean_q=0.0, var_q=1.0):
    """From the logarithm of the variance of p; log_var may be 1e-150, whose square counts."""
    with mp.workdps(4 * DIGITS):
        difference = mp.mpf(log_var) - mp.log(mp.mpf(var_q))
        shift = mp.fsub(mp.mpf(mu), mp.mpf(mean_q), exact=True)
        return (mp.expm1(difference) - difference + shift**2 / mp.mpf(var_q)) / 2


def kl_diagonal(mean_p, var_p, mean_q, var_q):
    with mp.workdps(DIGITS):
        return mp.fsum(kl_normal(*each) for each in zip(mean_p, var_p, mean_q, var_q, strict=True))


def matrix(array):
    """A symmetric matrix from the lower triangle, which is what a Cholesky factorisation reads."""
    d = len(array)
    return mp.matrix([[mp.mpmathify(array[max(i, j)][min(i, j)]) for j in range(d)] for i in range(d)])


def kl_full(mean_p, cov_p, mean_q, cov_q):
    with mp.workdps(DIGITS):
        p, q = matrix(cov_p), matrix(cov_q)
        inverse = q**-1
        ratio = inverse * p
        shift = mp.matrix([mp.mpf(float(a)) - mp.mpf(float(b)) for a, b in zip(mean_p, mean_q, strict=True)])
        trace = mp.fsum(ratio[i, i] for i in range(len(cov_p)))
        return (trace - len(cov_p) - mp.log(mp.det(p) / mp.det(q)) + (shift.T * inverse * shift)[0]) / 2


def kl_categorical(probs_p, probs_q):
    """sum of p log(p/q) - p + q: the divergence also where rounded probabilities do not sum to exactly 1."""
    with mp.workdps(DIGITS):
        terms = []
        for p, q in zip(map(mp.mpf, probs_p), map(mp.mpf, probs_q), strict=True):
            if p > 0 and q == 0:
                return mp.inf
            terms.append((p * mp.log(p / q) if p > 0 else 0) - p + q)
        return mp.fsum(terms)
