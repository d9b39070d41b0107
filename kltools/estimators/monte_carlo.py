"""Monte Carlo from distributions: draws of p, or points spread evenly over it, and both log-densities there."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _device, _log_prob_validation, _validation
from .._philox import uniforms
from ..distribution import Distribution, check_distribution, check_same_events, check_same_kind, check_single
from ..errors import InvalidParameterError, InvalidTypeError, ShapeMismatchError
from ..estimate import DivergenceEstimate
from ..preprocessing import Notes
from .log_prob import concluded
from .terms import ESTIMATORS, Tally

SAMPLINGS = ("random", "sobol", "stratified")
_REPLICATES = 16
_BLOCK_NUMBERS = 2**20  # coordinates drawn at a time
_MOST_ROWS, _FEWEST_ROWS = 2**16, 2**3
_BITS = 52  # of a Sobol point
_HALF_STEP = 2.0**-53  # further on, no coordinate is 0 or 1
_BELOW_ONE = 1.0 - 2.0**-53

Draw = Callable[[int], np.ndarray]  # of a number of rows
Inverse = Callable[[np.ndarray], np.ndarray]  # of uniform numbers of shape (rows, d)


def estimate_kl_monte_carlo(
    p: Any,
    q: Any,
    *,
    n_samples: int,
    sampling: str = "random",
    estimator: str = "k1",
    random_state: Any = None,
    unit: str = "nats",
    device: str | None = None,
) -> DivergenceEstimate:
    r"""Estimate KL(p || q) of two distributions whose log-densities are known, by drawing from p.

    .. math:: \mathrm{KL}(p \,\|\, q) = \mathbb{E}_{x \sim p} \log \frac{p(x)}{q(x)}

    The draws are made and evaluated in blocks, so that memory does not grow with their number.

    Parameters
    ----------
    p : Distribution, or any object with ``sample(size, random_state=)`` or ``rvs(size, random_state=)``
        And with ``log_prob(x)``, ``logpdf(x)`` or ``logpmf(x)``, as frozen distributions of SciPy have.
    q : Distribution, any object with ``log_prob(x)``, ``logpdf(x)`` or ``logpmf(x)``, or a callable
        Gives the log-density in nats at every row of x, as an array of shape (rows,).
    n_samples : int, >= 2
        Draws. "sobol" and "stratified" round up, to at most about twice as many: ``n_p`` of the result tells.
    sampling : {"random", "sobol", "stratified"}
        "random" are independent draws. "sobol" are scrambled Sobol points, "stratified" are draws in equal
        numbers from cells of equal probability (a grid of at least 2 cells along each dimension), both taken to
        p by its inverse distribution function: for the normal families, and for any p with ``ppf`` in one
        dimension. These are done 16 times independently, and the standard error is that of the mean of the 16.
    estimator : {"k1", "k2", "k3", "cv"}
        As in `estimate_kl_from_log_prob`, which tells what "k3" and "cv" rely on.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
    unit : {"nats", "bits"}
    device : {None, "cpu", "cuda"}
        "cuda" draws and evaluates on a GPU: Gaussians and mixtures of them, at random, with random numbers of its
        own. None is the CPU.

    Returns
    -------
    DivergenceEstimate
        Its ``diagnostics``: those of `estimate_kl_from_log_prob`, and ``sampling``.

    Raises
    ------
    InvalidTypeError
        Where p cannot be drawn from, has no inverse distribution function that ``sampling`` needs, or a
        log-density is missing.
    InvalidParameterError
        For log-densities of nan or inf, with the number of the draw.
    ShapeMismatchError
        Where a log-density does not give one number for every draw, or events of p and q differ.
    DeviceUnavailableError
        For ``device="cuda"`` without a GPU, or for laws and ``sampling`` that it does not know.

    Warns
    -----
    InfiniteDivergenceWarning, UnreliableEstimateWarning, SmallSampleWarning
        As in `estimate_kl_from_log_prob`.

    References
    ----------
    A. B. Owen (1997), Scrambled net variance for integrals of smooth functions.

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=1)
    >>> kl.estimate_kl_monte_carlo(p, q, n_samples=100_000, random_state=0).value.__round__(2)
    0.5
    >>> precise = kl.estimate_kl_monte_carlo(p, q, n_samples=2**14, sampling="sobol", random_state=0)
    >>> precise.value.__round__(3), precise.standard_error < 1e-3  # the truth is 0.5
    (0.5, True)
    """
    _validation.choice(sampling, "sampling", SAMPLINGS)
    _validation.choice(estimator, "estimator", ESTIMATORS)
    _validation.unit_factor(unit)
    n = _validation.integer(n_samples, "n_samples", minimum=2)
    densities = {"p": _density(p, "p"), "q": _density(q, "q")}
    _check_pair(p, q)
    rng = _validation.generator(random_state)
    if _device.resolve(device) == "cuda":
        return _device.twin("estimate_kl_monte_carlo")(p, q, n, sampling, estimator, rng, unit)
    if sampling == "random":
        replicates = [_sampler(p, rng)]
        d = max(1, replicates[0](2).size // 2)
    else:
        inverse, d = _inverse(p, sampling)
        spread = _sobol if sampling == "sobol" else _strata
        per_replicate, replicates = spread(inverse, n, d, rng)
        n = per_replicate * _REPLICATES
    tally, n_outside = Tally(estimator, n), 0
    for number, draw in enumerate(replicates):
        first = number * (n // len(replicates))
        counted = tally if sampling == "random" else Tally(estimator, n)
        n_outside += _count(counted, draw, n // len(replicates), d, densities, first)
        if counted is not tally and not n_outside:
            tally.add_as_group(counted)
    n_groups = n if sampling == "random" else _REPLICATES
    return concluded(tally, unit, n, n_groups, n_outside, {"sampling": sampling}, Notes(), d=d, stacklevel=2)


def _density(law: Any, name: str) -> Callable[[np.ndarray], Any]:
    if isinstance(law, type) or type(law).__module__.startswith("torch.distributions"):
        check_distribution(law, name)  # raises, and names our family
    for method in ("log_prob", "logpdf", "logpmf"):
        if callable(getattr(law, method, None)):
            return getattr(law, method)
    if name == "q" and callable(law):
        return law
    raise InvalidTypeError(
        f"{name} is a {type(law).__name__}; a Distribution is needed, or an object with log_prob(x) or logpdf(x)"
        f"{', or a function of x that returns the log-density' if name == 'q' else ' that can be drawn from'}."
    )


def _check_pair(p: Any, q: Any) -> None:
    ours = [(law, name) for law, name in ((p, "p"), (q, "q")) if isinstance(law, Distribution)]
    for law, name in ours:
        check_single(law, name)
    if len(ours) == 2:
        check_same_events(p, q)
        check_same_kind(p, q)


def _count(
    tally: Tally, draw: Draw, n: int, d: int, densities: dict[str, Callable[[np.ndarray], Any]], first: int
) -> int:
    """Count n draws in blocks; return how many of them q has no mass at."""
    rows = max(_FEWEST_ROWS, min(_MOST_ROWS, 2 ** int(math.log2(max(1, _BLOCK_NUMBERS // d)))))
    bounds = np.linspace(0, n, -(-n // rows) + 1).astype(int)  # blocks of equal size: a sampler may treat 1 apart
    n_outside = 0
    for start, stop in itertools.pairwise(bounds):
        try:
            x = draw(stop - start)
            log_p, log_q = (_log_density(density, x, name, first + start) for name, density in densities.items())
        except Exception as error:
            error.add_note(f"in the block of draws {first + start} to {first + stop - 1} of x ~ p")
            raise
        inside = ~np.isneginf(log_q)
        n_outside += int((~inside).sum())
        if inside.any():
            tally.add(log_p[inside], log_q[inside])
    return n_outside


def _log_density(density: Callable[[np.ndarray], Any], x: np.ndarray, name: str, first: int) -> np.ndarray:
    value = density(x)
    if len(x) == 1 and np.ndim(value) == 0:
        value = np.reshape(value, 1)
    values = _log_prob_validation.log_densities(value, f"the log-density of {name}", (len(x),))
    _log_prob_validation.check_log_densities(values, f"log_{name}", first=first)
    if name == "p":
        _log_prob_validation.check_within_support(values, first=first)
    return values


def _sampler(p: Any, rng: np.random.Generator) -> Draw:
    method = getattr(p, "sample", None) or getattr(p, "rvs", None)
    if not callable(method):
        raise InvalidTypeError(
            f"p is a {type(p).__name__} without sample(size, random_state=) or rvs: nothing to draw."
        )

    seed = {_name_of_seed(method): rng}

    def draw(n: int) -> np.ndarray:
        x = np.asarray(method(n, **seed) if hasattr(p, "sample") else method(size=n, **seed))
        if x.shape[:1] != (n,):
            raise ShapeMismatchError(f"p was asked for {n} draws and gave an array of shape {x.shape}.")
        return x

    return draw


def _name_of_seed(method: Callable[..., Any]) -> str:
    """How a method that draws calls its generator: "random_state", or "rng" as newer parts of SciPy do."""
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):  # of what is not written in Python
        return "random_state"
    names = [parameter.name for parameter in parameters]
    known = [name for name in ("random_state", "rng") if name in names]
    if not known and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        raise InvalidTypeError(
            f"{method.__name__} of p takes {', '.join(names) or 'nothing'}, and neither random_state= nor rng=: its "
            "draws could not be repeated; wrap it in an object with sample(size, random_state=)."
        )
    return known[0] if known else "random_state"


# ---------------------------------------------------------------- points spread evenly over the unit cube


def _inverse(p: Any, sampling: str) -> tuple[Inverse, int]:
    """The map that makes draws of p of uniform numbers of shape (rows, d), and d."""
    if hasattr(p, "_from_noise"):
        from scipy.special import ndtri  # only who asks for such points pays for this import

        shape = p.event_shape
        return lambda u: p._from_noise(ndtri(u).reshape(len(u), *shape)), math.prod(shape)
    if callable(getattr(p, "ppf", None)):
        return lambda u: np.asarray(p.ppf(u[:, 0])), 1
    raise InvalidTypeError(
        f"sampling={sampling!r} needs an inverse distribution function, which {type(p).__name__} lacks: the normal "
        "families have one, and whatever has ppf(u); use sampling='random'."
    )


def _sobol(inverse: Inverse, n: int, d: int, rng: np.random.Generator) -> tuple[int, list[Draw]]:
    """Independently scrambled Sobol points, 2^m in each replicate."""
    from scipy.stats import qmc

    if d > qmc.Sobol.MAXDIM:
        raise InvalidParameterError(f"sampling='sobol' has {qmc.Sobol.MAXDIM} dimensions at most, p has {d}.")
    per_replicate = 2 ** math.ceil(math.log2(max(1.0, n / _REPLICATES)))

    def replicate(seed: np.random.Generator) -> Draw:
        engine = qmc.Sobol(d, bits=_BITS, seed=seed)
        return lambda rows: inverse(engine.random(rows) + _HALF_STEP)

    return per_replicate, [replicate(seed) for seed in rng.spawn(_REPLICATES)]


def _strata(inverse: Inverse, n: int, d: int, rng: np.random.Generator) -> tuple[int, list[Draw]]:
    """The same number of draws from each cell of a grid with equal sides, in each replicate."""
    wanted = -(-n // _REPLICATES)
    side = max(1, round(wanted ** (1.0 / d)))
    side -= side**d > wanted
    if side < 2:
        raise InvalidParameterError(
            f"sampling='stratified' in {d} dimensions needs n_samples of at least {_REPLICATES * 2**d}, got {n}; "
            "use sampling='sobol' or 'random'."
        )
    per_cell = -(-wanted // side**d)
    seed = int(rng.integers(2**63))

    def replicate(stream: int) -> Draw:
        drawn = 0

        def draw(rows: int) -> np.ndarray:
            nonlocal drawn
            cells = (drawn + np.arange(rows)) // per_cell
            u = uniforms(rows * d, seed, stream=stream, first=drawn * d).reshape(rows, d)
            drawn += rows
            corners = cells[:, None] // side ** np.arange(d) % side
            return inverse(np.minimum((corners + u) / side, _BELOW_ONE))  # the sum may be rounded up

        return draw

    return per_cell * side**d, [replicate(stream) for stream in range(_REPLICATES)]
