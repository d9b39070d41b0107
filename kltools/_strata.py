"""Monte Carlo from mixtures with draws of every component, most where they are needed."""

import math
from typing import Any

import numpy as np

from .estimate import Deferred, DivergenceEstimate
from .inference import Uncertainty

_PILOT = 0.1  # share of the draws that tells where the others are needed
_DRAWS_PER_STRATUM = 50
_PROPORTIONAL = 0.1  # share of the draws that follows the weights, whatever the pilot has not seen
_BLOCK_NUMBERS = 2**20


def stratified_kl(p: Any, q: Any, n: int, rng: np.random.Generator) -> DivergenceEstimate:
    """KL(p || q) in nats from n draws of a mixture p, which has ``weights`` and ``_sample_components``."""
    strata = _Strata(p, q, n // _DRAWS_PER_STRATUM)
    pilot = np.full(len(strata.weights), max(2, int(_PILOT * n) // len(strata.weights)))
    spread = strata.weights * np.sqrt(_moments(strata.draw(pilot, rng), pilot)[1])
    shares = strata.weights / strata.weights.sum()
    if 0.0 < spread.sum() < math.inf:
        shares = _PROPORTIONAL * shares + (1.0 - _PROPORTIONAL) * spread / spread.sum()
    n_each = 2 + np.floor((n - pilot.sum() - 2 * len(pilot)) * shares).astype(int)
    means, variances = _moments(strata.draw(n_each, rng), n_each)
    parts = strata.weights**2 * variances / n_each
    total = float(parts.sum())
    freedom = total**2 / float((parts**2 / (n_each - 1)).sum()) if total > 0.0 else math.inf
    return DivergenceEstimate(
        value=float(strata.weights @ means),
        method="monte_carlo",
        n_p=int(pilot.sum() + n_each.sum()),
        n_q=None,
        d=math.prod(p.event_shape),
        diagnostics={"sampling": "stratified", "n_strata": len(pilot)},
        uncertainty=Deferred(lambda: Uncertainty(math.sqrt(total), freedom)),
    )


class _Strata:
    """The components of a mixture, or runs of them where they are too many to draw from each."""

    def __init__(self, p: Any, q: Any, most: int):
        self._p, self._q = p, q
        n_components = len(p.weights)
        self._bounds = np.linspace(0, n_components, min(n_components, most) + 1).astype(int)
        self._cumulated = np.cumsum(p.weights)
        self.weights = np.add.reduceat(p.weights, self._bounds[:-1])

    def draw(self, n_each: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """log p/q at so many draws of each stratum, one stratum after the other."""
        stratum = np.repeat(np.arange(len(n_each)), n_each)
        low, high = self._bounds[stratum], self._bounds[stratum + 1] - 1
        place = self._cumulated[high] - rng.random(len(stratum)) * self.weights[stratum]
        component = np.clip(np.searchsorted(self._cumulated, place), low, high)
        rows = max(1, _BLOCK_NUMBERS // math.prod(self._p.event_shape))
        ratios = []
        for start in range(0, len(component), rows):
            x = self._p._sample_components(rng, component[start : start + rows])
            ratios.append(self._p.log_prob(x) - self._q.log_prob(x))
        return np.concatenate(ratios)


def _moments(values: np.ndarray, n_each: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unbiased variance of each stratum."""
    starts = np.cumsum(n_each) - n_each
    with np.errstate(invalid="ignore"):
        means = np.add.reduceat(values, starts) / n_each
        squares = np.add.reduceat((values - np.repeat(means, n_each)) ** 2, starts)
    return means, squares / (n_each - 1)
