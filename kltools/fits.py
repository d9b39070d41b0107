"""The normal distribution next to another one: forwards by its moments, in reverse by a search of one mode."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import _validation, quadrature
from ._scalar import LOG_2PI
from .distribution import Distribution, check_distribution
from .errors import InvalidParameterError, InvalidTypeError, NoClosedFormError
from .families.gaussian import MultivariateNormal, MultivariateNormalDiag, Normal
from .families.gaussian_mixture import GaussianMixture
from .families.low_rank import LowRankMultivariateNormal
from .families.real_line import Cauchy
from .families.structural import Independent, Product

DIRECTIONS = ("forward", "reverse")
_SAME = 1e-9  # nats between minima that count as equal
_STEEPEST = 1e-6  # of a slope that counts as none
_FINEST = 2.0**-43
_MOST_STEPS, _SMALL_STEP, _LAST_STEP = 200, 1e-3, 1e-14
_EDGES = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 14.0, 20.0, 38.0])
_EDGES = np.concatenate([-_EDGES[:0:-1], _EDGES])
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(32)
_PLACES, _REACHES = np.linspace(-3.0, 3.0, 13), 2.0 ** np.arange(-4.0, 3.0)  # of starts, in units of a bulk

LogDensity = Callable[[np.ndarray], np.ndarray]
Moments = tuple[np.ndarray, np.ndarray]  # mean and variance, of the shape of the batch and the event


def fit_gaussian(target: Distribution, *, direction: str = "forward") -> Any:
    r"""The normal distribution with independent coordinates that is closest to another distribution.

    .. math:: \arg\min_N \mathrm{KL}(p \,\|\, N) \quad \text{(forward)}, \qquad
        \arg\min_N \mathrm{KL}(N \,\|\, p) \quad \text{(reverse)}

    The forward fit has the mean and the variances of the target p: it covers all of p ("mean seeking"). The reverse fit
    avoids where p has little mass: of several modes it takes one ("mode seeking"). `kl_divergence` of the two tells
    how close they are.

    Parameters
    ----------
    target : Distribution
        p, with a density over numbers or vectors; a batch is fitted one by one. Forward: numbers, and vectors of the
        normal families, of mixtures and of `MultivariateStudentT`. Reverse: numbers, vectors of the normal
        families, and a `GaussianMixture` of one coordinate. Both: what `Independent` and `Product` make of these.
    direction : {"forward", "reverse"}
        Which divergence is least. The reverse one may have several minima: it is searched around all components of a
        mixture, and around the bulk of any other distribution. Of minima that are equal to 1e-9 nats the one with
        the smallest mean is returned.

    Returns
    -------
    Normal or MultivariateNormalDiag
        For numbers and for vectors.

    Raises
    ------
    InvalidTypeError
        For what is no Distribution, or has no density.
    InvalidParameterError
        Where no normal distribution has a finite divergence: forward where the target has no finite variance, in
        reverse where it has no mass on a part of the line; and where a variance leaves the range of float64.
    NoClosedFormError
        For other distributions of vectors, and where an integral does not reach its accuracy.

    References
    ----------
    C. M. Bishop (2006), Pattern Recognition and Machine Learning, section 10.1.2 and eq. 10.16-10.17.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.GaussianMixture(weights=[0.5, 0.5], means=[[-3.0], [3.0]], covs=[[1.0], [1.0]])
    >>> wide = kl.fit_gaussian(p)
    >>> wide.mean.round(4), wide.var.round(4)
    (array([0.]), array([10.]))
    >>> narrow = kl.fit_gaussian(p, direction="reverse")
    >>> narrow.mean.round(4), (narrow.var**0.5).round(4)
    (array([-2.9843]), array([1.0234]))
    """
    check_distribution(target, "target")
    _validation.choice(direction, "direction", DIRECTIONS)
    if not target.is_continuous:
        raise InvalidTypeError(
            f"target is a {target._name}, which has probabilities: its divergence from a normal density, or of one "
            "from it, is infinite."
        )
    if len(target.event_shape) > 1:
        raise NoClosedFormError(
            f"target draws shape {target.event_shape}; normal distributions are fitted to numbers and to vectors."
        )
    with np.errstate(over="ignore", under="ignore"):
        mean, var = _fitted(target, _moments if direction == "forward" else _reverse)
    is_good = (var >= np.finfo(np.float64).tiny) & (var < math.inf) & np.isfinite(mean)
    if not is_good.all():
        raise InvalidParameterError(
            f"the variance of target comes out as {var[~is_good][0]:g}. Where it is infinite, so is KL(target || N) of "
            "every normal N, and only direction='reverse' may have an answer; where it leaves float64, rescale target."
        )
    return (MultivariateNormalDiag if target.event_shape else Normal)(mean=mean, var=var)


def _fitted(law: Distribution, fit: Callable[[Any], Moments]) -> Moments:
    """Parts that are independent are fitted alone."""
    if isinstance(law, Independent):
        return _fitted(law.base, fit)
    if not isinstance(law, Product):
        mean, var = (np.broadcast_to(each, law.batch_shape + law.event_shape) for each in fit(law))
        return mean, var
    parts = []
    for part in law.components:
        shape = law.batch_shape + (part.event_shape or (1,))
        fitted = _fitted(part, fit)
        parts.append([np.broadcast_to(each if part.event_shape else each[..., None], shape) for each in fitted])
    mean, var = (np.concatenate(each, axis=-1) for each in zip(*parts, strict=True))
    return mean, var


def _one_by_one(law: Distribution, fit: Callable[[Any], tuple[float, float]]) -> Moments:
    n = math.prod(law.batch_shape)
    pairs = np.array([fit(law._take(np.asarray(i))) for i in range(n)]).reshape(n, 2)
    mean, var = pairs.T.reshape(2, *law.batch_shape, *law.event_shape)
    return mean, var


# ---------------------------------------------------------------- forward: the moments


def _moments(law: Distribution) -> Moments:
    known = law._moments()
    if known is not None:
        return known
    if not quadrature.applies(law):
        raise NoClosedFormError(
            f"the moments of {law._name} have no formula here; those of target.sample(n), taken along the first axis, "
            "estimate the forward fit."
        )
    return _one_by_one(law, _integrated_moments)


def _integrated_moments(law: Distribution) -> tuple[float, float]:
    """Around a first guess of mean and deviation, then around what comes out."""
    center, scale = map(float, law._bulk())
    var = scale * scale
    for _ in range(2):
        if not 0.0 < scale < math.inf:
            break
        right, left = (_spread(law, center + shift, scale) for shift in (scale, -scale))
        if math.isinf(right + left):
            return center, math.inf
        shift = 0.25 * (left - right)
        var = scale * (0.5 * (left + right) - 2.0 - shift * shift) * scale
        center += scale * shift
        scale = math.sqrt(var)
    return center, var


def _spread(law: Distribution, center: float, scale: float) -> float:
    """The mean of 1 + (x - center)^2 / scale^2, which is 1 over a Cauchy density, and has tails of the same kind."""
    log_constant = math.log(math.pi) + math.log(scale)

    def term(logs: np.ndarray) -> np.ndarray:
        log_p, log_cauchy, log_measure = logs
        return np.where(np.isneginf(log_p), 0.0, np.exp(log_p - (log_cauchy - log_measure) - log_constant))

    laws = (law, Cauchy(loc=center, scale=scale))
    return float(quadrature.integral(term, laws, "the moments of target.sample(n)", with_measure=True))


# ---------------------------------------------------------------- reverse: a mode


def _reverse(law: Distribution) -> Moments:
    if isinstance(law, Normal | MultivariateNormalDiag):
        return law.mean, law.var
    if isinstance(law, LowRankMultivariateNormal):
        law = law.to_full()
    if isinstance(law, MultivariateNormal):
        inverse = np.linalg.solve(law.cholesky, np.broadcast_to(np.eye(law.event_shape[0]), law.cholesky.shape))
        return law.mean, 1.0 / (inverse**2).sum(axis=-2)
    is_line = not law.event_shape and type(law)._bulk is not Distribution._bulk
    if not is_line and not (isinstance(law, GaussianMixture) and law.event_shape == (1,)):
        raise NoClosedFormError(
            f"no normal distribution can be fitted in reverse to {law._name} with event shape {law.event_shape}: "
            "numbers with _bulk(), vectors of the normal families, and a GaussianMixture of one coordinate can be."
        )
    return _one_by_one(law, _deepest)


def _deepest(law: Distribution) -> tuple[float, float]:
    """Mean and variance where KL(N || law) is least."""
    support = law._support()
    if support is not None and (math.isfinite(support[0]) or math.isfinite(support[1])):
        raise InvalidParameterError(
            f"target is a {law._name} with values from {float(support[0]):g} to {float(support[1]):g} only: KL(N || "
            "target) of every normal N is infinite; fit it forward, or the image of it under a map of kltools.maps."
        )

    def log_density(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return law._log_prob(x[..., None] if law.event_shape else x)

    found = [_descend(log_density, *start) for start in _starts(log_density, _bulks(law))]
    found = [each for each in found if math.isfinite(each[0])]
    if not found:
        raise InvalidParameterError(
            f"KL(N || target) is infinite for all normal N that were tried around {law!r}: it has no mass somewhere."
        )
    least = min(value for value, *_ in found)
    mean, std, slope = min(rest for value, *rest in found if value <= least + _SAME)
    if not slope <= _STEEPEST:
        raise NoClosedFormError(
            f"the least KL(N || target) is not found to its accuracy: around mean {mean:g} and deviation {std:g} the "
            f"slope is still {slope:.1g}; where x itself has too few digits there, move the target towards 0."
        )
    return mean, std * std


def _bulks(law: Any) -> list[tuple[float, float]]:
    """Places with what lies around them."""
    if not isinstance(law, GaussianMixture):
        pieces = law._pieces()
        each = [piece._bulk() for piece in (pieces if len(pieces) == 1 else (*pieces, law))]
        return [(float(place), float(reach)) for place, reach in each]
    whole = law._moments()
    places = np.append(law.means[:, 0], whole[0])
    return list(zip(places, np.append(law._factors[:, 0, 0], np.sqrt(whole[1])), strict=True))


def _starts(log_density: LogDensity, bulks: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Means and deviations that are the best among their neighbours on a grid around a bulk."""
    for place, reach in bulks:
        means, stds = place + reach * _PLACES, reach * _REACHES
        x = means[:, None, None] + stds[:, None] * _NODES
        values = -np.log(stds) - log_density(x) @ _WEIGHTS / _WEIGHTS.sum()
        values = np.where(np.isnan(values), math.inf, values)
        around = np.lib.stride_tricks.sliding_window_view(np.pad(values, 1, constant_values=math.inf), (3, 3))
        for i, j in np.argwhere((values <= around.min(axis=(-2, -1))) & np.isfinite(values)):
            yield float(means[i]), float(stds[j])


def _descend(log_density: LogDensity, mean: float, std: float) -> tuple[float, float, float, float]:
    """Newton's method for the mean and the logarithm of the deviation: the least divergence, where, and its slope."""
    value, gradient, hessian = _divergence(log_density, mean, std)
    for _ in range(_MOST_STEPS):
        if not math.isfinite(value):
            break
        least = np.linalg.eigvalsh(hessian)[0]
        metric = hessian if least > 0.0 else np.diag([1.0, 2.0])  # that of a normal target
        step = -np.linalg.solve(metric, gradient)
        size = float(np.abs(step).max())
        step *= min(1.0, 1.0 / size) if size else 1.0
        is_near = least > 0.0 and size < _SMALL_STEP  # where values no longer tell which is less
        last_step = max(_LAST_STEP, _rounding(mean, std))
        while True:
            candidate = mean + std * step[0], std * math.exp(step[1])
            found = _divergence(log_density, *candidate)
            if is_near or found[0] <= value or size <= last_step:
                break
            step, size = 0.5 * step, 0.5 * size
        mean, std = candidate
        value, gradient, hessian = found
        if size <= last_step:
            break
    return value, mean, std, float(np.abs(gradient).max()) + _rounding(mean, std)


def _rounding(mean: float, std: float) -> float:
    """Of points around the mean, in deviations."""
    return 2.0**-51 * abs(mean) / std


def _divergence(log_density: LogDensity, mean: float, std: float) -> tuple[float, np.ndarray, np.ndarray]:
    """KL(N || p), its gradient and its Hessian for steps of the mean, in deviations, and of the deviation's logarithm.

    All follow from the means of log p times the first Hermite polynomials of z, x = mean + std z.
    """
    at_mean = float(log_density(np.array([mean]))[0])

    def rows(z: np.ndarray) -> np.ndarray:
        square = z * z
        hermite = np.array([np.ones(z.shape), z, square - 1.0, z * (square - 3.0), square * (square - 6.0) + 3.0])
        return hermite * np.exp(-0.5 * (square + LOG_2PI)) * (log_density(mean + std * z) - at_mean)

    with np.errstate(all="ignore"):
        means = quadrature.integrals(rows, _EDGES, _FINEST + _rounding(mean, std) + 2.0**-51 * abs(at_mean), "target")
    if means is None:
        return math.inf, np.zeros(2), np.eye(2)
    value = -0.5 * (1.0 + LOG_2PI) - math.log(std) - at_mean - means[0]
    hessian = -np.array([[means[2], means[3]], [means[3], 2.0 * means[2] + means[4]]])
    return value, np.array([-means[1], -1.0 - means[2]]), hessian
