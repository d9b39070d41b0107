"""What a test for drift tells."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import MissingDependencyError
from ..estimate import DivergenceEstimate, Report

_MOST_FEATURES, _MOST_ROWS = 20, 10  # told one by one


@dataclass(frozen=True, kw_only=True)
class FeatureDrift:
    """How one feature of a window differs from that of the reference.

    KL, JS and PSI are in nats, of the same cells (``cells``), and corrected for the bias that few rows give: they
    are 0 on average, and may be negative, where nothing has changed. There are as many bins as the smaller sample
    needs for that. Categories that it can hardly have leave a bias: windows of 30 rows against 1000 of a column with
    a long tail (Pareto, tail index 1, whole numbers) give KL +0.11, JS +0.01 and PSI +0.01 without drift. Changes
    within the cell of rare categories are not in them, but in ``contribution``, the p-values and ``unseen``, which look
    at each category.

    Attributes
    ----------
    name : str
        Of the column; its position where it has no name.
    kind : {"numeric", "category"}
    contribution : float
        By how many standard deviations the feature is further from the reference than permuted labels make it; nearer,
        where it is negative: what features are ranked by, and what the joint test compares.
    p_value : float
        Share of labellings, the observed one included, in which this feature contributes at least as much.
    adjusted_p_value : float
        The same, adjusted for the number of features: declaring those with at most alpha keeps the expected share of
        false ones among them at alpha or below (Benjamini and Hochberg 1995).
    drift : bool
        Whether the adjusted p-value is at most alpha. It informs; the joint test decides.
    kl : float
        KL(window || reference).
    js : float
        Jensen-Shannon divergence.
    psi : float
        Population stability index, KL(window || reference) + KL(reference || window).
    cells : tuple of str
        The bins ("0.5 to 1.25", by the smallest and the largest number in them) or categories, "(rare)" for those of
        fewer than five rows together, and "(missing)".
    reference_counts, window_counts : tuple of int
        Rows in each cell.
    missing_reference, missing_window : float
        Shares of the rows that have no value.
    unseen : tuple of str
        Categories of the window that the reference does not have, the most frequent first.
    unseen_share : float
        Share of the rows of the window that they have.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> reference = {"colour": ["red"] * 60 + ["blue"] * 40}
    >>> window = {"colour": ["red"] * 30 + ["blue"] * 50 + ["green"] * 20}
    >>> report = kl.DriftDetector(random_state=0).fit(reference).detect(window)
    >>> feature = report.features[0]
    >>> feature.cells, feature.window_counts, feature.unseen
    (('blue', 'green', 'red'), (50, 20, 30), ('green',))
    """

    name: str
    kind: str
    contribution: float
    p_value: float
    adjusted_p_value: float
    drift: bool
    kl: float
    js: float
    psi: float
    cells: tuple[str, ...]
    reference_counts: tuple[int, ...]
    window_counts: tuple[int, ...]
    missing_reference: float = 0.0
    missing_window: float = 0.0
    unseen: tuple[str, ...] = ()
    unseen_share: float = 0.0


@dataclass(frozen=True, kw_only=True, repr=False)
class DriftReport(Report):
    """What `DriftDetector.detect` has found.

    Attributes
    ----------
    drift : bool
        Whether ``p_value`` is at most ``alpha``.
    p_value : float
        Of the joint permutation test that window and reference have the same distribution.
    alpha : float
        The level of this test.
    p_value_of_neighbors, p_value_of_means, p_value_of_features : float
        Of the three parts of the joint test: labels of nearest neighbours, the mean of all features together, and
        single features. The joint p-value has paid for their being three.
    estimate : DivergenceEstimate or None
        KL(window || reference) of the numeric columns in ``estimate_features``, rows without missing values; None
        where there are none.
    estimate_features : tuple of str
    features : tuple of FeatureDrift
        The one that contributes most first.
    rows : tuple of int
        Positions in the window of the rows that contribute most, in descending order.
    row_contributions : tuple of float
        Of these rows the logarithm of the density of the window over that of the reference, in nats, from the labels
        of their nearest neighbours.
    n_reference, n_window : int
        Rows that were compared.
    n_permutations : int
    n_neighbors : int
        Neighbours whose labels are counted, at least; 0 where there was nothing to compare.
    left_out : tuple of str
        Features with a single value, the same in all rows of both, without any, or with unique ones, of which none
        occurs twice in both together: no labelling of the rows tells such values apart.
    first_row : int or None
        Rows of the stream before this window, where a `DriftMonitor` cut it.
    findings : tuple of str
        What was found, in words.
    warnings : tuple of str
        What speaks against the result, or limits it.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> detector = kl.DriftDetector(random_state=0).fit(rng.normal(size=(500, 3)))
    >>> report = detector.detect(rng.normal([0.0, 0.5, 0.0], 1.0, (300, 3)))
    >>> report.drift, report.features[0].name
    (True, '1')
    """

    drift: bool
    p_value: float
    alpha: float
    p_value_of_neighbors: float
    p_value_of_means: float
    p_value_of_features: float
    estimate: DivergenceEstimate | None
    estimate_features: tuple[str, ...]
    features: tuple[FeatureDrift, ...]
    rows: tuple[int, ...]
    row_contributions: tuple[float, ...]
    n_reference: int
    n_window: int
    n_permutations: int
    n_neighbors: int
    left_out: tuple[str, ...] = ()
    first_row: int | None = None
    findings: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain Python objects; the estimate with its standard error and interval."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        fields["estimate"] = None if self.estimate is None else self.estimate.to_dict()
        fields["features"] = [dataclasses.asdict(feature) for feature in self.features]
        return fields

    def to_frame(self) -> Any:
        """One row for each feature, as a pandas DataFrame; without the counts of cells.

        Raises
        ------
        MissingDependencyError
            Where pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingDependencyError("to_frame needs pandas; install it with pip install 'kltools[io]'.") from error
        columns = [f.name for f in dataclasses.fields(FeatureDrift) if f.name not in _CELLS]
        return pd.DataFrame(
            [[getattr(feature, name) for name in columns] for feature in self.features], columns=columns
        )

    def _summary_rows(self) -> list[tuple[str, str]]:
        sign = "<=" if self.drift else ">"
        names = (("neighbours", self.p_value_of_neighbors), ("means", self.p_value_of_means))
        parts = ", ".join(f"by {name} {p:.3g}" for name, p in (*names, ("single features", self.p_value_of_features)))
        return [
            ("drift", f"{'yes' if self.drift else 'no'}: p = {self.p_value:.3g} {sign} alpha = {self.alpha:.3g}"),
            ("p-values", f"{parts}; {self.n_permutations} permutations"),
            ("data", f"{self.n_window} rows of the window, {self.n_reference} of the reference{self._place()}"),
            *self._estimated(),
            *(("finding", text) for text in self.findings),
            *self._each_feature(),
            *self._most_contributing(),
            *(("warning", text) for text in self.warnings),
        ]

    def _place(self) -> str:
        return "" if self.first_row is None else f"; the window begins at row {self.first_row} of the stream"

    def _estimated(self) -> Iterator[tuple[str, str]]:
        if self.estimate is not None:
            what = f"KL(window||reference) of {len(self.estimate_features)} numeric features, by {self.estimate.method}"
            error = self.estimate.standard_error
            known = "" if math.isnan(error) else f" +- {error:.2g}"
            yield "estimate", f"{self.estimate.value:.4g}{known} nats: {what}"

    def _each_feature(self) -> Iterator[tuple[str, str]]:
        for feature in self.features[:_MOST_FEATURES]:
            sizes = f"KL {feature.kl:.3g}, JS {feature.js:.3g}, PSI {feature.psi:.3g}"
            p_values = f"p {feature.p_value:.3g}, adjusted {feature.adjusted_p_value:.3g}"
            yield f"feature {feature.name}", f"{p_values}; {sizes}; contributes {feature.contribution:.3g}"
        if len(self.features) > _MOST_FEATURES:
            yield "", f"and {len(self.features) - _MOST_FEATURES} features more"

    def _most_contributing(self) -> Iterator[tuple[str, str]]:
        if self.rows:
            pairs = list(zip(self.rows, self.row_contributions, strict=True))[:_MOST_ROWS]
            yield "largest", "rows " + ", ".join(f"{row} ({value:.2g})" for row, value in pairs)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return (
            f"DriftReport(drift={self.drift}, p_value={self.p_value:.4g}, alpha={self.alpha:.4g}, "
            f"features={len(self.features)}, n_reference={self.n_reference}, n_window={self.n_window})"
        )


_CELLS = ("cells", "reference_counts", "window_counts")
