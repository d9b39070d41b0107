"""Coordinates in which the samples look most like mixtures of few normal distributions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from .._jit import call_all
from ..models.mixture import Mixture, Rows
from ..models.normal_scores import NormalScores, fit_normal_scores
from .model import (
    COVARIANCES,
    MOST_COMPONENTS,
    Pair,
    choose_mixture,
    held_out_log_density,
    linear_scaling,
    mixture_pair,
    normal_pair,
)

_MAP_PENALTY = 1.5  # nats for each knot of a map, divided among the rows that it was learnt from


@dataclass(frozen=True)
class Space:
    """A map of both samples, and the mixtures chosen for their images; of the criterion less is better."""

    name: str
    apply: Callable[[np.ndarray], np.ndarray]
    x: Rows
    y: Rows
    p: Mixture
    q: Mixture
    criterion: float
    always_mixture: bool = False

    def model(self, seed: int) -> Pair:
        if self.p.n_components == self.q.n_components == 1 and not self.always_mixture:
            return normal_pair(self.x.X, self.y.X)
        return mixture_pair(self.x, self.y, self.p, self.q, seed, whiten=self.name == "linear")


def best_space(X: np.ndarray, Y: np.ndarray, seed: int, n_jobs: int) -> Space:
    """The best of the columns as they are, whitened, and of normal scores learnt from X, from Y and from both.

    Criteria are compared in the units of the data, with the determinants of the maps.
    """
    sources = {"linear": None, "scores of X": X, "scores of Y": Y, "scores of both": np.concatenate([X, Y])}
    calls = [partial(_space, name, source, X, Y, seed) for name, source in sources.items()]
    spaces = [space for space in call_all(calls, n_jobs) if space is not None]
    return min(spaces, key=lambda space: space.criterion)


def linear_space(X: np.ndarray, Y: np.ndarray, seed: int, reference: str) -> Space:
    """The columns whitened, with a model of normal distributions, of mixtures, or of what the criterion says."""
    scaling = linear_scaling(X, Y)
    most_components = 1 if reference == "gaussian" else MOST_COMPONENTS
    space = _fitted("linear", scaling.apply, scaling.apply(X), scaling.apply(Y), 0.0, seed, most_components)
    return dataclasses.replace(space, always_mixture=reference == "mixture")


def _space(name: str, source: np.ndarray | None, X: np.ndarray, Y: np.ndarray, seed: int) -> Space | None:
    if source is None:
        scaling = linear_scaling(X, Y)
        return _fitted(name, scaling.apply, scaling.apply(X), scaling.apply(Y), -2.0 * scaling.log_det, seed)
    scores = fit_normal_scores(source)
    if scores is None:
        return None
    (x, log_det_x), (y, log_det_y) = scores.apply(X), scores.apply(Y)
    learnt_from = {"scores of X": 1.0 / len(X), "scores of Y": 1.0 / len(Y)}
    share = learnt_from.get(name, 0.5 / len(X) + 0.5 / len(Y))
    penalty = _MAP_PENALTY * scores.n_parameters * share
    return _fitted(name, partial(_images, scores), x, y, penalty - float(log_det_x.mean() + log_det_y.mean()), seed)


def _images(scores: NormalScores, Z: np.ndarray) -> np.ndarray:
    return scores.apply(Z)[0]


def _fitted(
    name: str,
    apply: Callable[[np.ndarray], np.ndarray],
    X: np.ndarray,
    Y: np.ndarray,
    offset: float,
    seed: int,
    most_components: int = MOST_COMPONENTS,
) -> Space:
    x, y = Rows(X), Rows(Y)
    covariances = COVARIANCES[: min(X.shape[1], 2)]
    p, q = (choose_mixture(rows, seed, covariances, most_components)[0] for rows in (x, y))
    criterion = offset - held_out_log_density(x, p, seed) - held_out_log_density(y, q, seed)
    return Space(name, apply, x, y, p, q, criterion)


def enlarged(model: Pair, space: Space, X: np.ndarray, Y: np.ndarray) -> Pair:
    """The model with larger samples; a normal one estimates the divergence from those."""
    larger = dataclasses.replace(model, X=space.apply(X), Y=space.apply(Y))
    if not model.is_normal or space.always_mixture:
        return larger
    of_all = normal_pair(larger.X, larger.Y)
    return dataclasses.replace(larger, value=of_all.value, standard_error=of_all.standard_error)
