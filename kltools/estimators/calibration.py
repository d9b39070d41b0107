"""The bias of a nearest-neighbour estimate, measured on simulated samples and removed."""

import dataclasses
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from .._jit import call_all
from ..neighbors.neighborhood import Search
from .model import Pair, Sample
from .problem import Problem
from .spaces import Space, enlarged

_MOST_SIMULATIONS, _FEWEST_SIMULATIONS = 16, 8
_OPERATIONS = 3.2e5  # rows times features times simulations
_MOST_ROWS = 20_000  # for the model and the simulations
_DOUBTED_BIAS, _NOISE_BESIDE_DOUBT = 0.5, 0.2


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

    Of large samples parts are taken for the model and the simulations, and the bias is carried over.
    """
    assert problem.Y is not None
    X, Y = (_part(Z, problem.seed) for Z in (problem.X, problem.Y))
    space = find_space(X, Y)
    model = space.model(problem.seed)
    draws = n_simulations(max(len(X), len(Y)), problem.d) if draws is None else draws
    if len(X) == problem.n and len(Y) == problem.m:
        return model, calibrate(model, search, draws, problem.seed), space.name
    quiet = dataclasses.replace(search, progress=None)
    of_part = calibrate(model, quiet, draws, problem.seed)
    less = dataclasses.replace(model, X=model.X[::4], Y=model.Y[::4])
    of_less = calibrate(less, quiet, draws, problem.seed)
    model = enlarged(model, space, problem.X, problem.Y)
    return model, carried_over(of_part, of_less, model, search, min(len(X), len(Y))), space.name


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


def calibrate(model: Pair | Sample, search: Search, n_draws: int, seed: int) -> Calibration:
    """Subtract the mean error of the estimate over `n_draws` samples drawn from the model.

    The residual is compared with that of a regression on the model's own estimates: the two share the noise of the
    moments.
    """
    calls = [partial(model.simulated, search.ks, np.random.default_rng([seed, i])) for i in range(n_draws)]
    nearest, of_model = np.array(call_all(calls, search.n_jobs)).T
    raw = model.observed(search)
    bias = float(nearest.mean()) - model.divergence
    error = max(_deviation_from_line(nearest, of_model), np.finfo(float).tiny) * math.sqrt(1.0 + 1.0 / n_draws)
    return Calibration(raw - bias, raw, bias, raw - bias - model.value, error)


def _deviation_from_line(a: np.ndarray, b: np.ndarray) -> float:
    """Standard deviation of a about its least-squares line over b."""
    a, b = a - a.mean(), b - b.mean()
    square = float(b @ b)
    rest = a - (float(a @ b) / square * b if square > 0.0 else 0.0)
    return math.sqrt(float(rest @ rest) / (len(a) - 2))


def carried_over(of_part: Calibration, of_less: Calibration, larger: Pair, search: Search, n_part: int) -> Calibration:
    """The calibration of larger samples, from those of a part of n_part rows and of a quarter of it.

    The bias falls as a power of the number of rows; half of what is left of it is taken for uncertain. Only so many
    rows are asked for their neighbours that their noise is small against that.
    """
    n, d = min(len(larger.X), len(larger.Y)), larger.X.shape[1]
    shrinking = of_less.bias / of_part.bias if of_part.bias else 0.0
    rate = math.log(shrinking) / math.log(4.0) if 1.0 < shrinking < 4.0 else 2.0 / max(d, 2)
    bias = of_part.bias * (n_part / n) ** rate
    doubt = _DOUBTED_BIAS * abs(bias)
    of_one_row = of_part.residual_error * math.sqrt(n_part)
    n_asked = min(len(larger.X), _rows_for(of_one_row, _NOISE_BESIDE_DOUBT * doubt))
    raw = larger.observed(search, n_asked)
    error = math.hypot(of_one_row / math.sqrt(min(n, n_asked)), doubt)
    return Calibration(raw - bias, raw, bias, raw - bias - larger.value, error)


def _rows_for(deviation: float, error: float) -> int:
    """How many rows of some deviation have a mean with this standard error, at least those of a part."""
    rows = (deviation / error) ** 2 if error else math.inf
    return int(min(max(rows, _MOST_ROWS), sys.maxsize))
