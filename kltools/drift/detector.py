"""The detector of drift."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from .. import _validation
from .._jit import effective_n_jobs
from .._state import VersionedState
from ..errors import InvalidTypeError
from ..estimate import DivergenceEstimate
from ..estimators.objects import KNNDivergence
from .binning import Cells, cells_of, divergences
from .columns import Column, Table, listed, read_like, read_table
from .findings import with_findings
from .joint import Evidence, false_discovery_adjusted, joint_test
from .report import DriftReport, FeatureDrift
from .values import CATEGORY, NUMERIC

_MOST_ROWS_TOLD = 20


class DriftDetector(VersionedState, BaseEstimator):
    r"""Test whether a window of new rows has the distribution of a reference, and tell what has changed.

    .. math:: p = \frac{\#\{b : m_b \le m_0\}}{B + 1}, \qquad
        m_b = \min\Bigl(\hat p(T_b),\; \hat p(\lVert S_b \rVert^2),\; \hat p(\max_j z_{bj})\Bigr)

    over the observed labelling 0 of the rows and B random ones: T is the statistic of `two_sample_test`, which counts
    labels of nearest neighbours and sees changes of dependence; S is the sum of whitened ranks over the window, which
    sees many small shifts; z is, for each feature, the larger of two standardised statistics of its cells, G and, of
    bins, the cumulative one of Anderson and Darling, which see a change of one feature. Where reference
    and window have the same distribution, the probability of p <= alpha is at most alpha, whatever the distribution:
    bins, scales and categories are those of all rows together.

    Numbers are compared by their ranks. Text, booleans and categories are categories, as are numbers declared by
    ``categorical``; those that the reference never had are categories like others, and told. Of a category G is taken
    twice, with rare ones as one cell and with a cell for each, so that a change among many rare categories is seen;
    values that never repeat tell nothing, and are left out. Missing values are a
    cell of their own: a change in how many there are is drift. Infinite numbers and dates are refused. Columns of
    frames are matched by name, in any order; missing ones, and numbers that have become text or the reverse, are
    errors; additional ones are ignored, and told.

    Parameters
    ----------
    estimator : estimator with ``fit`` and ``divergence``, optional
        What estimates KL(window || reference) of the numeric columns, rows without missing values, for the report;
        the test does not depend on it. By default a `KNNDivergence`.
    alpha : float
        Level of the test: the share of false alarms.
    n_permutations : int
        The smallest p-value is 1 / (n_permutations + 1), or up to 3 / (n_permutations + 1) where the three parts of
        the test disagree: where 1 / (n_permutations + 1) is above alpha, nothing is drift.
    categorical : sequence of str or int, optional
        Names or positions of columns of numbers that are categories; read by ``fit``.
    max_rows : int or None
        Of a larger sample so many random rows are looked at, which is told. None for all rows.
    n_jobs : int, optional
        Threads; -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For permutations and random rows.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where the reference has names of columns.
    n_samples_fit_ : int
        Rows of the reference that are kept.
    estimator_ : estimator or None
        Fitted on the reference; None where it has too few numbers.

    References
    ----------
    P. H. Westfall, S. S. Young (1993), Resampling-based multiple testing, algorithm 2.8 (the smallest p-value as a
    statistic); M. F. Schilling (1986), Multivariate two-sample tests based on nearest neighbors; M. L. Puri,
    P. K. Sen (1971), Nonparametric methods in multivariate analysis, chapter 5 (sums of ranks); T. W. Anderson,
    D. A. Darling (1952), Asymptotic theory of certain goodness of fit criteria; Y. Benjamini, Y. Hochberg (1995),
    Controlling the false discovery rate.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> reference = {"size": rng.normal(size=400), "kind": rng.choice(["a", "b"], 400)}
    >>> window = {"size": rng.normal(size=200), "kind": rng.choice(["a", "b", "c"], 200)}
    >>> detector = kl.DriftDetector(alpha=0.01, random_state=0).fit(reference)
    >>> report = detector.detect(window)
    >>> report.drift, report.features[0].name, report.features[0].unseen
    (True, 'kind', ('c',))
    >>> detector.detect({"size": rng.normal(size=200), "kind": rng.choice(["a", "b"], 200)}).drift
    False
    """

    feature_names_in_: np.ndarray

    def __init__(
        self,
        estimator: Any = None,
        *,
        alpha: float = 0.05,
        n_permutations: int = 999,
        categorical: Any = None,
        max_rows: int | None = 5000,
        n_jobs: int | None = None,
        random_state: Any = None,
    ):
        self.estimator = estimator
        self.alpha = alpha
        self.n_permutations = n_permutations
        self.categorical = categorical
        self.max_rows = max_rows
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> DriftDetector:
        """Keep the reference.

        Parameters
        ----------
        X : frame, dict of columns, or array-like of shape (m, d)
            pandas, polars, pyarrow, NumPy, lists. Rows are copied, at most ``max_rows`` of them.
        y : ignored

        Returns
        -------
        self
        """
        self._check_parameters()
        reference = read_table(X, "X", self.categorical)
        rng = _validation.generator(self.random_state)
        rows = self._drawn(len(reference), rng)
        self._of_reference = len(reference)
        self._reference = reference.take(rows)
        self.n_features_in_ = len(reference.columns)
        self.n_samples_fit_ = len(self._reference)
        if hasattr(self, "feature_names_in_"):  # of an earlier reference
            del self.feature_names_in_
        if reference.named:
            self.feature_names_in_ = np.array(reference.names, dtype=object)
        self._fit_estimator()
        return self

    def _check_parameters(self) -> None:
        _validation.test_level(self.alpha)
        _validation.integer(self.n_permutations, "n_permutations", minimum=1)
        _validation.check_n_jobs(self.n_jobs)
        if self.max_rows is not None:
            _validation.integer(self.max_rows, "max_rows", minimum=2)
        if self.estimator is not None and (
            isinstance(self.estimator, type | ClassifierMixin)  # classifiers learn from both samples
            or not (hasattr(self.estimator, "fit") and hasattr(self.estimator, "divergence"))
        ):
            raise InvalidTypeError(
                "estimator must have fit, which needs the reference alone, and divergence, as KNNDivergence() has, got "
                f"{self.estimator!r}."
            )

    def _drawn(self, n_rows: int, rng: np.random.Generator) -> np.ndarray:
        """The rows that are looked at."""
        if self.max_rows is None or n_rows <= self.max_rows:
            return np.arange(n_rows)
        return np.sort(rng.choice(n_rows, self.max_rows, replace=False))

    def _fit_estimator(self) -> None:
        """On the numbers of the reference; what keeps it from that is told in each report."""
        self.estimator_, self._no_estimate = None, ""
        numbers = _numbers(self._reference, self._reference)
        if not numbers.size:
            self._no_estimate = "the reference has no numeric column, or no row without missing numbers"
            return
        estimator = (
            KNNDivergence(n_jobs=self.n_jobs, random_state=self.random_state)
            if self.estimator is None
            else clone(self.estimator)
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an estimate keeps its own
                self.estimator_ = estimator.fit(numbers)
        except ValueError as error:
            self._no_estimate = str(error)

    def detect(self, X: Any) -> DriftReport:
        """Test a window of rows against the reference.

        Parameters
        ----------
        X : frame, dict of columns, or array-like of shape (n, d)
            With the columns of the reference.

        Returns
        -------
        DriftReport
            ``summary()`` shows all; ``findings`` and ``warnings`` say it in words, and no Python warnings are given.

        Raises
        ------
        InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
            For what cannot be compared; the message names columns, and rows where there are some.
        """
        check_is_fitted(self)
        self._check_parameters()
        window, told = read_like(X, "X", self._reference)
        return self._test(window, told=told)

    def _test(
        self,
        window: Table,
        *,
        alpha: float | None = None,
        n_permutations: int | None = None,
        first_row: int | None = None,
        told: tuple[str, ...] = (),
    ) -> DriftReport:
        alpha = float(self.alpha) if alpha is None else alpha
        n_permutations = n_permutations or int(self.n_permutations)
        rng = _validation.generator(self.random_state)
        rows = self._drawn(len(window), rng)
        told += _about_rows("reference", self._of_reference, len(self._reference))
        told += _about_rows("window", len(window), len(rows))
        window, n = window.take(rows), len(rows)
        columns, cells, left_out = _varying(window.followed_by(self._reference), n)
        told += _about_unique(left_out)
        evidence = joint_test(columns, cells, n, n_permutations, rng, effective_n_jobs(self.n_jobs))
        estimate, why_not = self._estimate(window)
        most = np.argsort(-evidence.log_ratios, kind="stable")[:_MOST_ROWS_TOLD]
        report = DriftReport(
            drift=evidence.p_value <= alpha,
            p_value=evidence.p_value,
            alpha=alpha,
            p_value_of_neighbors=evidence.p_value_of_neighbors,
            p_value_of_means=evidence.p_value_of_means,
            p_value_of_features=evidence.p_value_of_features,
            estimate=estimate,
            estimate_features=() if estimate is None else _numeric_names(self._reference),
            features=_ranked(columns, cells, n, evidence, alpha),
            rows=tuple(rows[most].tolist()) if columns else (),
            row_contributions=tuple(evidence.log_ratios[most].tolist()),
            n_reference=len(self._reference),
            n_window=n,
            n_permutations=n_permutations,
            n_neighbors=evidence.n_neighbors,
            left_out=tuple(column.name for column in left_out),
            first_row=first_row,
            warnings=(*told, *why_not),
        )
        return with_findings(report)

    def _estimate(self, window: Table) -> tuple[DivergenceEstimate | None, tuple[str, ...]]:
        """KL(window || reference) of numbers, or why there is none."""
        why_not = self._no_estimate
        if self.estimator_ is not None:
            numbers = _numbers(window, self._reference)
            if not len(numbers):
                return None, ("KL is not estimated: the window has no row without missing numbers",)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the estimate keeps them
                    return self.estimator_.divergence(numbers), ()
            except ValueError as error:
                why_not = str(error)
        return None, (f"KL is not estimated: {why_not}",)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags


def _numeric_names(reference: Table) -> tuple[str, ...]:
    return tuple(column.name for column in reference.columns if column.kind == NUMERIC)


def _numbers(table: Table, reference: Table) -> np.ndarray:
    """The columns that are numeric in the reference, rows without missing values."""
    pairs = zip(table.columns, reference.columns, strict=True)
    columns = [column.values for column, fitted in pairs if fitted.kind == NUMERIC]
    rows = np.column_stack(columns) if columns else np.empty((0, 0))
    return rows[~np.isnan(rows).any(axis=1)]


def _about_rows(name: str, n_rows: int, n_drawn: int) -> tuple[str, ...]:
    if n_drawn == n_rows:
        return ()
    return (f"{n_drawn} random rows of the {n_rows} of the {name} were looked at; max_rows allows more.",)


def _about_unique(left_out: list[Column]) -> tuple[str, ...]:
    unique = [column.name for column in left_out if len(column.labels) > 1]
    if not unique:
        return ()
    return (
        f"no value of {listed(unique)} occurs in the reference, nor twice in the window: a column of unique values "
        "cannot be tested.",
    )


def _varying(pooled: Table, n: int) -> tuple[list[Column], list[Cells], list[Column]]:
    """The columns that labellings of the rows change, with their cells, and the others."""
    cells = [cells_of(column, n) for column in pooled.columns]
    pairs = list(zip(pooled.columns, cells, strict=True))
    kept = [pair for pair in pairs if pair[1].varies]
    left_out = [column for column, cell in pairs if not cell.varies]
    return [column for column, _ in kept], [cell for _, cell in kept], left_out


def _ranked(
    columns: list[Column], cells: list[Cells], n: int, evidence: Evidence, alpha: float
) -> tuple[FeatureDrift, ...]:
    adjusted = false_discovery_adjusted(evidence.p_values)
    features = []
    for j in np.argsort(-evidence.contributions, kind="stable").tolist():
        x, y, (kl, js, psi) = divergences(cells[j], n)
        unseen, unseen_share = _unseen(columns[j], n)
        missing = columns[j].missing
        features.append(
            FeatureDrift(
                name=columns[j].name,
                kind=columns[j].kind,
                contribution=float(evidence.contributions[j]),
                p_value=float(evidence.p_values[j]),
                adjusted_p_value=float(adjusted[j]),
                drift=bool(adjusted[j] <= alpha),
                kl=kl,
                js=js,
                psi=psi,
                cells=cells[j].names,
                reference_counts=tuple(y.tolist()),
                window_counts=tuple(x.tolist()),
                missing_reference=float(missing[n:].mean()),
                missing_window=float(missing[:n].mean()),
                unseen=unseen,
                unseen_share=unseen_share,
            )
        )
    return tuple(features)


def _unseen(column: Column, n: int) -> tuple[tuple[str, ...], float]:
    """Categories that only the first n rows have, the most frequent first, and the share of these rows with them."""
    if column.kind != CATEGORY:
        return (), 0.0
    counts = np.zeros((2, len(column.labels)), dtype=np.int64)
    for count, values in zip(counts, np.split(column.values, [n]), strict=True):
        count += np.bincount(values[values >= 0], minlength=len(column.labels))
    alone = np.where(counts[1] == 0, counts[0], 0)
    order = np.argsort(-alone, kind="stable")[: np.count_nonzero(alone)]
    return tuple(column.labels[i] for i in order), float(alone.sum() / n)
