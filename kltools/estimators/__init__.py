"""Divergences from samples: the table of methods and `estimate_kl`, and the table of relatives.

A method is one file with one function ``estimate(problem, *, options)``, and one line in `METHODS`. Small methods
share a file, in which their functions bear their names. A relative of KL is a public function in a file of this folder,
and one line in `RELATIVES`.
"""

import dataclasses
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _device, _progress, _validation
from .._blocks import Rows, is_stored
from .._jit import effective_n_jobs
from .._validation import DEFAULT_MEMORY_LIMIT
from ..distribution import Distribution, refuse_foreign
from ..errors import DeviceUnavailableError, InvalidParameterError
from ..estimate import DivergenceEstimate
from ..inference import UNKNOWN
from ..preprocessing import Notes, drop_constant_columns, drop_dependent_columns, tell_lost_digits, tell_mixed_columns
from ..scaling import SCALES
from .problem import BOUNDS, Problem, Result, check_reference, report

METHODS = {
    "auto": "A model of the densities, corrected by calibrated nearest neighbours; `gaussian` or `knn` for few rows.",
    "gaussian": "Exactly unbiased for normal samples; few assumptions on n and d, a strong one on shape.",
    "knn": "Nearest-neighbour distances; consistent for any density, best in few dimensions.",
    "knn_radius": "Nearest neighbours counted within equal radii; less bias than `knn` where P and Q differ in scale.",
    "knn_calibrated": "`knn` without the bias that it has on samples simulated from a model of the densities.",
    "knn_weighted": "Weights over k that cancel leading terms of the bias of `knn`; for 4 to 7 dimensions.",
    "mixture": "Normal mixtures fitted to both samples, cross-fitted; for densities with a few smooth parts.",
    "classifier": "The log odds of a cross-fitted classifier; sees no more than log m.",
    "kde": "Kernel density estimates; for 1 to 5 dimensions, weaker than `knn`.",
    "ulsif": "Least squares for the density ratio; for small divergences, weaker than the others.",
    "rulsif": "The relative density ratio and its Pearson divergence, which is not KL.",
    "kliep": "Likelihood for the density ratio; for small divergences, weaker than the others.",
}
# methods that search for neighbours, or take moments, on a GPU where that is asked for
ON_CUDA = ("auto", "gaussian", "knn", "knn_radius", "knn_calibrated", "knn_weighted")
# methods that read samples in blocks
IN_BLOCKS = ("knn", "knn_weighted")
BY_COUNTS = ("auto", "knn", "knn_radius", "knn_weighted")  # where distances tie
# methods whose function, of the same name, is not alone in its file
_FILES = {"ulsif": "direct_ratio", "rulsif": "direct_ratio", "kliep": "direct_ratio"}

# names of public functions, and the modules of this folder that they stand in
RELATIVES = {
    "estimate_entropy": "entropy",
    "estimate_cross_entropy": "entropy",
    "estimate_mutual_information": "mutual_information",
    "estimate_total_correlation": "mutual_information",
    "estimate_jensen_shannon": "jensen_shannon",
    "estimate_renyi": "affinity",
    "estimate_hellinger": "affinity",
    "estimate_jeffreys": "jeffreys",
}

_OPTION_CHECKS: dict[str, Callable[[Any], Any]] = {
    "n_neighbors": _validation.neighbors,
    "bias": lambda value: _validation.choice(value, "bias", _validation.BIASES),
    "reference": lambda value: _validation.choice(value, "reference", _validation.REFERENCES),
    "n_simulations": _validation.n_simulations,
    "max_components": lambda value: _validation.integer(value, "max_components", minimum=1),
    "scale": lambda value: _validation.choice(value, "scale", SCALES),
    "n_folds": lambda value: _validation.integer(value, "n_folds", minimum=2),
    "bound": lambda value: _validation.choice(value, "bound", BOUNDS),
    "bandwidth": _validation.bandwidth,
    "alpha": _validation.relative_share,
}


def method_function(name: Any) -> Callable[..., Result]:
    """The `estimate` function of a method."""
    _validation.choice(name, "method", tuple(METHODS))
    module = importlib.import_module(f"{__name__}.{_FILES.get(name, name)}")
    return getattr(module, name if name in _FILES else "estimate")


def method_options(name: str) -> dict[str, Any]:
    """Options of a method with their defaults."""
    parameters = inspect.signature(method_function(name)).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def estimate_kl(
    X: Any,
    Y: Any,
    *,
    method: str = "auto",
    n_neighbors: Any = None,
    unit: str = "nats",
    nan_policy: str = "raise",
    n_jobs: int | None = None,
    device: str | None = None,
    random_state: Any = None,
    progress: bool | Callable[[int, int], object] | None = None,
    memory_limit: int | None = None,
    **options: Any,
) -> DivergenceEstimate:
    r"""Estimate KL(P || Q) in nats from samples X of P and Y of Q.

    .. math:: \mathrm{KL}(P \,\|\, Q) = \mathbb{E}_{x \sim P} \log \frac{p(x)}{q(x)}

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P. NumPy, pandas, polars, torch, lists; mapped files, HDF5, Zarr and whatever else has a shape,
        a dtype and slices of rows. Dask arrays go to `kltools.dask.estimate_kl`.
    Y : array-like of shape (m, d) or (m,), or Distribution
        Rows drawn from Q, the reference; or Q itself, if it is known (the one-sample estimate).
    method : str
        "auto", "gaussian", "knn", "knn_radius", "knn_calibrated", "knn_weighted", "mixture", "classifier", "kde",
        "ulsif", "rulsif" or "kliep". "auto" fits normal distributions or mixtures to the columns or to their
        normal scores, measures the bias of a nearest-neighbour estimate on samples simulated from them, and adds
        what the neighbours then find beyond the model, the more the clearer it stands out. With fewer than
        100 rows, or 10 per feature, it is "knn" or "gaussian"; ``diagnostics`` tell.
    n_neighbors : int or sequence of int, optional
        For methods with neighbours: estimates with several numbers of them are averaged. By default 5, 10
        and 20, each cut to min(n - 1, m).
    unit : {"nats", "bits"}
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    device : {None, "cpu", "cuda"}
        None follows the data. On a GPU neighbours are searched for, by "auto" and the methods of neighbours, and
        "gaussian" takes its moments and the influence of each row; the rows are checked and scaled, and models of
        "auto" and "knn_calibrated" are fitted, on the host.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the simulations and folds of "auto" and of other methods with a model, and for the random blocks
        of standard errors. With None the value of "auto" differs from call to call, by less than its error.
    progress : True or callable, optional
        True shows a bar; a function is called as ``progress(done, total)`` with rows searched, now and then, by the
        calling thread.
    memory_limit : int, optional
        Bytes of workspace beside some copies of the data, at least 1 MiB; by default 256 MiB. Less is slower,
        not different. Samples in files that are larger than that, as float64, are read in blocks by "knn" and
        "knn_weighted", copied block by block and never held as a whole: what is kept are two distances for each row of
        X and number of neighbours. All other methods load them. The files must stay open for ``standard_error``,
        which takes twenty more estimates where distances tie; a mapped file that is cut short meanwhile ends the
        process.
    **options
        Options of the method, documented with its estimator class.

    Returns
    -------
    DivergenceEstimate
        ``value``, ``standard_error``, ``confidence_interval()``, ``warnings``, ``diagnostics``. An
        estimate is negative at times where the divergence is near 0; it is inf where the data say that
        P has mass where Q has none. The standard error is nan where it would take estimates of too few rows: of
        neighbours below 23 rows, unless ``n_neighbors`` is smaller.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For what cannot be estimated; the message names the argument.
    DeviceUnavailableError
        Where the device cannot be used.

    Warns
    -----
    TiesWarning, SmallSampleWarning, PoorOverlapWarning, UnreliableEstimateWarning, InfiniteDivergenceWarning
        Each is also kept as text in ``warnings`` of the result.

    References
    ----------
    Q. Wang, S. R. Kulkarni, S. Verdu (2009), Divergence estimation for multidimensional densities via
    k-nearest-neighbor distances, eq. 17.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> estimate = kl.estimate_kl(rng.normal(0, 1, 2000), rng.normal(1, 1, 2000), random_state=0)
    >>> round(estimate.value, 2)  # the truth is 0.5
    0.53
    """
    _validation.choice(method, "method", tuple(METHODS))
    place = _device.resolve(device, X, Y)
    if place == "cuda":
        X, Y = _from_device(method, X, Y)
    _validation.choice(nan_policy, "nan_policy", _validation.NAN_POLICIES)
    if n_neighbors is not None:
        options["n_neighbors"] = n_neighbors
    notes = Notes()
    reference = q = None
    if isinstance(Y, Distribution):
        rows, n_dropped = _validation.sample(X, "X", nan_policy, tell=notes.add)
        q = check_reference(Y, rows.shape[1])
    else:
        refuse_foreign(Y, "Y")
        rows, reference, n_dropped = _two_samples(X, Y, method, nan_policy, notes, n_jobs, memory_limit)
    listener = _progress.checked(progress)
    with _progress.shown(listener):
        return estimate_samples(
            rows,
            reference,
            q,
            method=method,
            options=options,
            unit=unit,
            n_jobs=n_jobs,
            random_state=random_state,
            n_dropped=n_dropped,
            notes=notes,
            stacklevel=2,
            progress=listener,
            memory_limit=_validation.check_memory_limit(memory_limit),
            device=place,
        )


def _two_samples(
    X: Any, Y: Any, method: str, nan_policy: str, notes: Notes, n_jobs: int | None, memory_limit: int | None
) -> tuple[Any, Any, int]:
    """Both samples, and the rows dropped: as arrays, or as `Rows` where a file holds more than memory should."""
    if method in IN_BLOCKS and (is_stored(X) or is_stored(Y)):
        threads = effective_n_jobs(_validation.check_n_jobs(n_jobs))
        limit = _validation.check_memory_limit(memory_limit)
        stored = importlib.import_module(f"{__name__}.blocks").read_stored(X, Y, nan_policy, notes, threads, limit)
        if stored is not None:
            return stored
    return _validation.sample_pair(X, Y, nan_policy, tell=notes.add)


def _from_device(method: str, X: Any, Y: Any) -> tuple[Any, Any]:
    """The samples on the host, for methods whose searches send what they compare to the device."""
    copied = _device.twin("host_copy")
    if method not in ON_CUDA:
        raise DeviceUnavailableError(
            f"method={method!r} has no CUDA implementation in this version, {', '.join(map(repr, ON_CUDA))} have; pass "
            "device='cpu' (arrays on a GPU are then copied to the host)."
        )
    first, second = (copied(x, name) if _device.is_on_gpu(x) else x for x, name in ((X, "X"), (Y, "Y")))
    return first, second


def estimate_samples(
    X: np.ndarray,
    Y: np.ndarray | None,
    q: Distribution | None = None,
    *,
    method: str,
    options: dict[str, Any],
    unit: str = "nats",
    n_jobs: int | None = None,
    random_state: Any = None,
    n_dropped: int = 0,
    notes: Notes,
    stacklevel: int,
    progress: Callable[[int, int], object] | None = None,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    device: str = "cpu",
) -> DivergenceEstimate:
    """Behind the door: an estimate from validated samples; warnings point `stacklevel` frames up."""
    check_options(method, options)
    n_jobs = effective_n_jobs(_validation.check_n_jobs(n_jobs))
    _validation.unit_factor(unit)
    seed = int(_validation.generator(random_state).integers(2**63))
    problem, result = solve(Problem(X, Y, q, notes, n_jobs, seed, memory_limit, progress, device), method, options)
    return report(
        result,
        notes,
        unit=unit,
        stacklevel=stacklevel + 1,
        method=method,
        n_p=problem.n,
        n_q=problem.m,
        d=problem.d,
        n_dropped=n_dropped,
    )


def solve(problem: Problem, method: str, options: dict[str, Any]) -> tuple[Problem, Result]:
    """What is left of a problem without columns that say nothing, and its result by a method with checked options."""
    if isinstance(problem.X, Rows):
        return importlib.import_module(f"{__name__}.blocks").solve(problem, method, options)
    X, Y, notes = problem.X, problem.Y, problem.notes
    _validation.check_enough_rows(len(X), "X", 2, "an estimate")
    tell_lost_digits((X,) if Y is None else (X, Y), notes)
    X, Y, answer = drop_constant_columns(X, Y, notes)
    if Y is not None and answer is None:
        X, Y, answer = drop_dependent_columns(X, Y, notes)
    problem = dataclasses.replace(problem, X=X, Y=Y)
    if answer is not None:
        return problem, Result(answer, lambda: UNKNOWN)
    if Y is None:
        tell_mixed_columns((X,), notes)
    else:
        has_atoms = tell_mixed_columns((X, Y), notes, are_counted=method in BY_COUNTS)
        problem = dataclasses.replace(problem, has_atoms=has_atoms)
    return problem, method_function(method)(problem, **options)


def check_options(method: str, options: dict[str, Any]) -> None:
    """Raise for options that the method does not have, and for values that no data could make right."""
    valid = method_options(method)
    unknown = [name for name in options if name not in valid]
    if unknown:
        listing = ", ".join(valid) or "none"
        raise InvalidParameterError(
            f"method {method!r} has no option {', '.join(map(repr, unknown))}; its options are: {listing}."
        )
    for name, value in options.items():
        if name in _OPTION_CHECKS:
            _OPTION_CHECKS[name](value)
