"""Gathers what an encoder puts out, batch by batch, for one report at the end."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np

from .. import _latent_validation, _progress, _validation
from .._arrays import frozen
from .._jit import effective_n_jobs
from ..errors import (
    InvalidParameterError,
    InvalidTypeError,
    KLToolsWarning,
    NotEnoughSamplesError,
    ShapeMismatchError,
)
from .aggregate import Aggregate, random_rows
from .call import DEFAULT_COMPONENTS, DEFAULT_SAMPLES, FEWEST_COMPONENTS, checked_sizes
from .known import Seen, report_of
from .priors import Prior, prior_of
from .report import LatentReport
from .tally import Tally

_MOST_ITEMS = 1_000_000


class LatentAccumulator:
    """Gathers mu and log_var in a training or validation loop, for a `LatentReport` of all of them.

    All rows are kept up to ``max_items``, beyond them a random part of that size: those with the smallest of the random
    numbers that each row gets, so that the parts of several processes can be merged. Means over rows (KL of the rows,
    units and labels, variances of mu) are of all rows in any case.

    Parameters
    ----------
    prior : Normal, MultivariateNormalDiag, MultivariateNormal, GaussianMixture, or array-like of shape (m, d), optional
        As in `latent_report`.
    max_items : int, >= 100
        Rows kept, 16 d bytes each.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the rows that are kept. Accumulators that will be merged should have different ones: `merge` warns of equal
        ones, of which rows at the same places are kept.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> seen = kl.LatentAccumulator(random_state=0)
    >>> for _ in range(10):  # batches
    ...     seen.update(rng.normal(size=(200, 2)) * [0.9, 0.0], np.log([0.19, 1.0]) * np.ones((200, 2)))
    >>> len(seen), seen.report(random_state=0).active_by_kl
    (2000, (0,))
    """

    def __init__(self, *, prior: Any = None, max_items: int = _MOST_ITEMS, random_state: Any = None):
        self._max_items = _validation.integer(max_items, "max_items", minimum=FEWEST_COMPONENTS)
        self._rng = _validation.generator(random_state)
        self._prior = prior
        self._law: Prior | None = None
        self._names: tuple[str, ...] = ()
        self._tally: Tally | None = None
        self._kept: list[tuple[np.ndarray, ...]] = []  # keys, mu, log_var, and labels where there are any
        self._has_labels = False

    def __len__(self) -> int:
        """Rows seen."""
        return 0 if self._tally is None else self._tally.n

    def __repr__(self) -> str:
        return f"LatentAccumulator(n={len(self)}, kept={min(len(self), self._max_items)})"

    def update(self, mu: Any, log_var: Any, labels: Any = None) -> None:
        """Take in a batch.

        Parameters
        ----------
        mu, log_var : array-like of shape (rows, d)
            As in `latent_report`; copied, so that the arrays may be reused.
        labels : array-like of shape (rows,), optional
            For every batch or for none.
        """
        means, log_variances = _latent_validation.encoder_outputs(mu, log_var)
        n, d = means.shape
        classes = _latent_validation.latent_labels(labels, n)
        _latent_validation.check_same_rows(mu, labels, "mu", "labels")
        names = _latent_validation.latent_names(mu, d)
        if self._law is None:
            self._law, self._names, self._has_labels = prior_of(self._prior, d), names, classes is not None
        if d != len(self._names):
            raise ShapeMismatchError(f"mu has {d} latents, batches before had {len(self._names)}.")
        if self._has_labels != (classes is not None):
            raise InvalidTypeError("labels were given for some batches only; pass them for every batch or for none.")
        if classes is not None:
            _latent_validation.check_same_kind_of_labels(classes, *(rows[3] for rows in self._kept[:1]))
        self._names = _latent_validation.together_named(self._names, names, "the batch before", "mu")
        part = Tally.of(means, log_variances, self._law, classes)
        self._tally = part if self._tally is None else self._tally + part
        others = () if classes is None else (classes.copy(),)
        self._kept.append((np.asarray(self._rng.random(n)), means.copy(), log_variances.copy(), *others))
        self._keep_no_more()

    def merge(self, other: LatentAccumulator) -> Self:
        """Take in all that another accumulator has seen, say of another process.

        Parameters
        ----------
        other : LatentAccumulator
            With the same prior and latents; it is not changed.

        Returns
        -------
        LatentAccumulator
            This one.

        Warns
        -----
        KLToolsWarning
            Where both were made with the same random_state.
        """
        if not isinstance(other, LatentAccumulator):
            raise InvalidTypeError(f"other is a {type(other).__name__}; a LatentAccumulator is needed.")
        if other is self:
            raise InvalidParameterError("other is this accumulator itself: its rows would count twice.")
        if other._tally is None or other._law is None:
            return self
        d = len(other._names)
        names = other._names if self._tally is None else self._names
        if len(names) != d:
            raise ShapeMismatchError(f"other has {d} latents, this has {len(names)}.")
        law = self._law or prior_of(self._prior, d)
        if not law.is_same(other._law):
            raise InvalidParameterError(
                f"other has another prior ({other._law.name}) than this ({law.name}); pass the same one to both."
            )
        if self._tally is not None and self._has_labels != other._has_labels:
            raise InvalidTypeError("labels were given to one of the accumulators only.")
        if other._has_labels:
            _latent_validation.check_same_kind_of_labels(other._kept[0][3], *(rows[3] for rows in self._kept[:1]))
        self._names = _latent_validation.together_named(names, other._names, "this", "other")
        self._law, self._has_labels = law, other._has_labels
        self._tell_equal_keys(other)
        self._tally = other._tally if self._tally is None else self._tally + other._tally
        self._kept.extend(other._kept)
        self._max_items = min(self._max_items, max(other._max_items, FEWEST_COMPONENTS))
        self._keep_no_more()
        return self

    def _tell_equal_keys(self, other: LatentAccumulator) -> None:
        mine, its = ([rows[0] for rows in kept] for kept in (self._kept, other._kept))
        if mine and len(np.intersect1d(np.concatenate(mine), np.concatenate(its))):
            warnings.warn(
                "both accumulators have the same random_state: of each, rows at the same places are kept; give each "
                "its own, as the number of the process.",
                KLToolsWarning,
                stacklevel=3,
            )

    def _keep_no_more(self) -> None:
        """Drop the rows with the largest keys, once there are twice as many as wanted."""
        if sum(len(rows[0]) for rows in self._kept) >= 2 * self._max_items:
            self._kept = [self._chosen()]

    def _chosen(self) -> tuple[np.ndarray, ...]:
        """The rows that are kept, in the order in which they came."""
        columns = tuple(np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        if len(columns[0]) <= self._max_items:
            return columns
        rows = np.sort(np.argpartition(columns[0], self._max_items)[: self._max_items])
        return tuple(column[rows] for column in columns)

    def report(
        self,
        *,
        n_samples: int = DEFAULT_SAMPLES,
        max_components: int = DEFAULT_COMPONENTS,
        n_jobs: int | None = None,
        random_state: Any = None,
        progress: Any = None,
    ) -> LatentReport:
        """The report of all that has been seen.

        Parameters
        ----------
        n_samples, max_components, n_jobs, random_state, progress
            As in `latent_report`.

        Returns
        -------
        LatentReport
        """
        n_samples, most = checked_sizes(n_samples, max_components)
        threads = effective_n_jobs(_validation.check_n_jobs(n_jobs))
        rng = _validation.generator(random_state)
        shown = _progress.shown(_progress.checked(progress), everywhere=True)
        if self._tally is None or self._law is None:
            raise NotEnoughSamplesError("nothing has been seen yet; call update(mu, log_var) first.")
        _, mu, log_var, *labels = self._chosen()
        rows = random_rows(len(mu), most, rng)
        whole = Aggregate(frozen(mu[rows]), frozen(log_var[rows]), self._tally.n)
        seen = Seen(self._tally, whole, self._law, labels[0][rows] if labels else None, None)
        with shown:
            return report_of(seen, self._names, n_samples, threads, rng)
