"""The methods that are graded: those of kltools by their names, and other tools that estimate KL from two samples."""

import functools
import importlib.util
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import kltools as kl
from kltools.estimators import METHODS

NOTHING = {"standard_error": math.nan, "low": math.nan, "high": math.nan, "reliable": None}


@dataclass(frozen=True)
class Peer:
    """Another tool: `load()` imports it and gives a function of X, Y and a seed."""

    package: str
    load: Callable[[], Callable[[np.ndarray, np.ndarray, int], float]]
    largest: int = 5000  # rows of X


def divergence():
    from divergence import knn_kl_divergence

    return lambda X, Y, seed: knn_kl_divergence(X, Y)


def infomeasure():
    from infomeasure import kld

    return lambda X, Y, seed: kld(X, Y, approach="kl")


def universal_divergence(k: int | None):
    from universal_divergence import estimate

    return lambda X, Y, seed: estimate(X, Y, k=k)


def densratio(method: str):
    from densratio import densratio as fit

    def mean_log_ratio(X, Y, seed):
        np.random.seed(seed)  # noqa: NPY002 - the tool draws its kernels from the global generator
        return np.log(fit(X, Y, method=method, verbose=False).compute_density_ratio(X)).mean()

    return mean_log_ratio


def scipy_kde():
    from scipy.stats import gaussian_kde

    return lambda X, Y, seed: (gaussian_kde(X.T).logpdf(X.T) - gaussian_kde(Y.T).logpdf(X.T)).mean()


PEERS = {
    "divergence": Peer("divergence", divergence),
    "infomeasure": Peer("infomeasure", infomeasure),
    "universal-divergence k=1": Peer("universal_divergence", functools.partial(universal_divergence, 1)),
    "universal-divergence": Peer("universal_divergence", functools.partial(universal_divergence, None), largest=500),
    "densratio KLIEP": Peer("densratio", functools.partial(densratio, "KLIEP")),
    "densratio uLSIF": Peer("densratio", functools.partial(densratio, "uLSIF"), largest=1000),
    "scipy KDE": Peer("scipy", scipy_kde),
}
NEIGHBOR_PEERS = ("divergence", "infomeasure", "universal-divergence k=1", "universal-divergence")
NAMES = (*METHODS, *PEERS)


def missing() -> list[str]:
    """Peers that are not installed."""
    return [name for name, peer in PEERS.items() if importlib.util.find_spec(peer.package) is None]


@functools.cache
def loaded(name: str) -> Callable:
    """A peer's function, called once so that what it imports and compiles is not timed."""
    function = PEERS[name].load()
    rng = np.random.default_rng(0)
    function(rng.standard_normal((40, 2)), rng.standard_normal((40, 2)), 0)
    return function


def measure(name: str, X: np.ndarray, Y: np.ndarray, seed: int) -> dict:
    """Value, standard error, 95% interval, flag, and seconds, of a method; whatever it raises is an answer."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        function = ours if name in METHODS else theirs
        began = time.perf_counter()
        try:
            return function(name, X, Y, seed)
        except Exception as error:
            seconds = time.perf_counter() - began
            return {"value": math.nan, **NOTHING, "seconds": seconds, "error": f"{type(error).__name__}: {error}"[:300]}


def ours(name: str, X: np.ndarray, Y: np.ndarray, seed: int) -> dict:
    """The interval of "auto" is part of its time, that of a plain method has a time of its own."""
    began = time.perf_counter()
    estimate = kl.estimate_kl(X, Y, method=name, random_state=seed)
    valued = time.perf_counter()
    low, high = estimate.confidence_interval()
    ended = time.perf_counter()
    return {
        "value": estimate.value,
        "standard_error": estimate.standard_error,
        "low": low,
        "high": high,
        "reliable": estimate.reliable,
        "seconds": ended - began if name == "auto" else valued - began,
        "interval_seconds": ended - valued,
    }


def theirs(name: str, X: np.ndarray, Y: np.ndarray, seed: int) -> dict:
    function = loaded(name)
    began = time.perf_counter()
    value = float(function(X, Y, seed))
    return {"value": value, **NOTHING, "seconds": time.perf_counter() - began}
