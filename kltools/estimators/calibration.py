"""The bias of a nearest-neighbour estimate, measured on simulated samples and removed."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from .._jit import call_all
from ..neighbors import NEVER_TREE
from ..neighbors.contrast import Some
from ..neighbors.neighborhood import Search
from .model import Model, Pair, Sample
from .problem import Problem
from .spaces import Space, enlarged

_MOST_SIMULATIONS, _FEWEST_SIMULATIONS = 16, 8
_OPERATIONS = 3.2e5  # rows times features times simulations
_MOST_ROWS = 20_000  # for the model
_ASKED, _FEWEST_ASKED = 10_000, 2_000  # rows of larger simulations that are asked for their neighbours
_MOST_COMPARISONS = 4e11  # of those with all features of all rows, where there is no tree


@dataclass(frozen=True)
class Calibration:
    """A nearest-neighbour estimate without the bias that it has on samples from the model.

    ``residual`` is what it finds beyond the model, ``residual_error`` the standard error of that where there is
    nothing to find. ``bias_left`` is what was measured and not removed.
    """

    value: float
    raw: float
    bias: float
    residual: float
    residual_error: float
    bias_left: float = 0.0

    @property
    def significance(self) -> float:
        return self.residual / self.residual_error

    def with_bias(self, share: float) -> "Calibration":
        """The same with a share of the bias removed."""
        left = (1.0 - share) * self.bias
        changed = {"value": self.value + left, "residual": self.residual + left, "bias_left": left}
        return dataclasses.replace(self, bias=share * self.bias, **changed)


def _rows_asked(n_rows: int, d: int) -> int:
    """How many rows of a simulated sample are asked for their neighbours: of large ones enough for a mean."""
    if n_rows <= _MOST_ROWS:
        return n_rows
    return _ASKED if d < NEVER_TREE else max(_FEWEST_ASKED, min(_ASKED, int(_MOST_COMPARISONS / (n_rows * d))))


def n_simulations(n_rows: int, d: int) -> int:
    """More where they are cheap."""
    return int(min(_MOST_SIMULATIONS, max(_FEWEST_SIMULATIONS, _OPERATIONS / (n_rows * d))))


def calibrated_pair(
    problem: Problem,
    search: Search,
    find_space: Callable[[np.ndarray, np.ndarray], Space],
    draws: int | None = None,
) -> tuple[Pair, Calibration, str]:
    """The model in the space that is found for two samples, its calibration, and the name of the space.

    Of large samples parts are taken for the model.
    """
    assert problem.Y is not None
    assert problem.m is not None
    X, Y = (_part(Z, problem.seed) for Z in (problem.X, problem.Y))
    space = find_space(X, Y)
    model = space.model(problem.seed)
    draws = n_simulations(max(len(X), len(Y)), problem.d) if draws is None else draws
    if len(X) < problem.n or len(Y) < problem.m:
        model = enlarged(model, space, problem.X, problem.Y)
    return model, calibrate(model, search, draws, problem.seed), space.name


def calibrated_sample(problem: Problem, model: Sample, search: Search, draws: int | None = None) -> Calibration:
    """The calibration of the model of a sample against a known q."""
    draws = n_simulations(problem.n, problem.d) if draws is None else draws
    return calibrate(model, search, draws, problem.seed)


def _part(X: np.ndarray, seed: int) -> np.ndarray:
    """Some rows, for what would take too long with all of them."""
    if len(X) <= _MOST_ROWS:
        return X
    chosen = np.random.default_rng([seed, 2]).choice(len(X), _MOST_ROWS, replace=False)
    return X[np.sort(chosen)]


def calibrate(model: Model, search: Search, n_draws: int, seed: int) -> Calibration:
    """Subtract the mean error of the estimate over `n_draws` samples drawn from the model.

    The residual is compared with that of a regression on the model's own estimates: the two share the noise of the
    moments.
    """
    asked = _rows_asked(model.n_rows, model.X.shape[1])
    rngs = [np.random.default_rng([seed, i]) for i in range(n_draws)]
    alone = Search(search.ks, device=search.device)
    calls = [partial(model.simulated, alone, asked, rng) for rng in rngs]
    nearest, of_model = np.array(call_all(calls, search.n_jobs if search.device == "cpu" else 1)).T
    bias = float(nearest.mean()) - model.divergence
    deviation = max(_deviation_from_line(nearest, of_model), np.finfo(float).tiny)
    n_asked = min(len(model.X), asked * n_draws)
    raw = model.observed(search, Some(n_asked, np.random.default_rng([seed, n_draws])))
    of_raw = min(1.0, asked / n_asked + asked / model.n_rows)  # noise of the rows asked, and of those they meet
    error = deviation * math.sqrt(of_raw + 1.0 / n_draws)
    return Calibration(raw - bias, raw, bias, raw - bias - model.value, error)


def _deviation_from_line(a: np.ndarray, b: np.ndarray) -> float:
    """Standard deviation of a about its least-squares line over b."""
    a, b = a - a.mean(), b - b.mean()
    square = float(b @ b)
    rest = a - (float(a @ b) / square * b if square > 0.0 else 0.0)
    return math.sqrt(float(rest @ rest) / (len(a) - 2))
