"""How much single features tell of the classes."""

import functools
from typing import Any

import numpy as np

from .. import _validation
from .._arrays import frozen, label_array
from .._jit import call_all
from ..errors import InvalidParameterError, NotEnoughSamplesError, ShapeMismatchError
from ..estimators.call import Call
from ..estimators.mutual_information import dependence


def kl_feature_score(
    X: Any, y: Any, *, n_neighbors: Any = None, n_jobs: int | None = None, random_state: Any = 0
) -> np.ndarray:
    r"""Score every feature by how far the classes are apart in it, in nats: for `SelectKBest`.

    .. math:: s_j = \sum_c \frac{n_c}{n} \mathrm{KL}(P_{j|c} \,\|\, P_j) = I(X_j; y)
        \approx \psi(k) + \psi(n) - \langle \psi(n_c) + \psi(m) \rangle

    the divergence of each class from all rows together, weighted by its rows: the Jensen-Shannon divergence of the
    classes, and the mutual information of the feature and the label. It lies between 0 and the entropy of y, so that
    scores of features compare however far classes are apart. A row has k neighbours in its class of :math:`n_c` rows,
    and :math:`m` counts the rows of any class, itself among them, that are nearer than the k-th of these.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features: continuous, discrete (coded as numbers) or mixed, each by itself. They need no scaling.
    y : array-like of shape (n,)
        Labels, text or whole numbers, each of at least two rows.
    n_neighbors : int or sequence of int, optional
        Scores with several numbers are averaged. By default 5, 10 and 20, each cut to the rows of the smallest
        class - 1.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : int, None, numpy.random.Generator or numpy.random.RandomState
        For the noise that spreads rounded features; no other score has any randomness. It is 0 so that a selection
        can be repeated.

    Returns
    -------
    ndarray of shape (d,)
        Exactly 0 for a constant feature, and about 0, also below, for one that tells nothing. A feature with few
        values, each in more than k rows, is scored from counts; a rounded one, of ten or more values on a lattice, is
        spread over its cells; rows that tie otherwise are counted with all that are as near.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For missing values, one class only, a class of one row, or a continuous y, whose `estimate_mutual_information`
        with a feature needs no classes.

    References
    ----------
    B. C. Ross (2014), Mutual information between discrete and continuous data sets, eq. 1; where distances tie
    W. Gao, S. Kannan, S. Oh, P. Viswanath (2017), Estimating mutual information for discrete-continuous mixtures,
    algorithm 1; J. Lin (1991), Divergence measures based on the Shannon entropy, eq. 5.1.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["a", "b"], 1000)
    >>> X = rng.normal(size=(2000, 3)) + np.outer(y == "b", [0, 1, 3])
    >>> kl.kl_feature_score(X, y).round(1) + 0.0  # the truth is 0, 0.11 and 0.52; at most log 2
    array([0. , 0.1, 0.5])
    """
    call = Call.checked(n_neighbors, "nats", "raise", n_jobs, random_state, None)
    rows, _ = _validation.sample(X, "X", tell=call.notes.add)
    codes, smallest = _classes(y, len(rows))
    asked = _validation.neighbors(n_neighbors)
    if asked is not None:
        _validation.check_enough_rows(smallest, "every class of y", asked[-1] + 1, f"n_neighbors={asked[-1]}")
    ks = _validation.neighbors_within(n_neighbors, None, smallest - 1)

    def score(j: int) -> float:
        column = frozen(np.ascontiguousarray(rows[:, j : j + 1]))
        if (column == column[0]).all():
            return 0.0
        alone = Call(ks, "nats", "raise", 1, call.seed, call.memory_limit)
        return dependence([column, codes], "auto", "std", alone)[0].value

    scores = call_all([functools.partial(score, j) for j in range(rows.shape[1])], call.n_jobs)
    call.notes.issue(2)
    return np.array(scores)


def _classes(y: Any, n: int) -> tuple[np.ndarray, int]:
    """A number for the class of each row, shape (n, 1), and the rows of the smallest class."""
    labels = label_array(y, "y")
    if len(labels) != n:
        raise ShapeMismatchError(f"X has {n} rows, y has {len(labels)} labels; one for each row is needed.")
    if labels.dtype.kind == "f" and not (labels == np.rint(labels)).all():
        raise InvalidParameterError(
            "y holds numbers that are not whole, a continuous target without classes; score a feature against it with "
            "estimate_mutual_information(X[:, j], y), or cut y into classes."
        )
    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) == 1:
        raise InvalidParameterError(f"y has one class, {classes[0]!r}; at least two are needed to tell them apart.")
    if counts.min() < 2:
        raise NotEnoughSamplesError(
            f"{int((counts < 2).sum())} classes of y have one row, the first is {classes[int(counts.argmin())]!r}; "
            "every class needs two rows: leave those out, or merge classes. (Is y a continuous target?)"
        )
    return frozen(codes.reshape(-1, 1).astype(np.float64)), int(counts.min())
