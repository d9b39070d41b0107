"""Dependence between parts of what is known jointly."""

from typing import Any

import numpy as np

from . import _arrays, _validation
from ._parameters import check_domain
from .closed_forms import kl_divergence
from .distribution import check_distribution, unwrap
from .errors import InvalidParameterError, InvalidTypeError, NoClosedFormError, ShapeMismatchError
from .families import Categorical, MultivariateNormal, MultivariateNormalDiag


def mutual_information(joint: Any, *, split: int | None = None, unit: str = "nats") -> Any:
    r"""Mutual information of two variables whose joint distribution is known.

    .. math:: I(X; Y) = \mathrm{KL}(p_{XY} \,\|\, p_X \otimes p_Y)

    It is never negative, and 0 where X and Y are independent. From samples use `estimate_mutual_information`.

    Parameters
    ----------
    joint : array-like of shape (a, b), or MultivariateNormal
        Probabilities of the pairs of values, which sum to 1 (nothing is normalised); or a Gaussian of both parts.
    split : int, optional
        For a Gaussian of d coordinates: the first ``split`` are X, the others are Y.
    unit : {"nats", "bits"}

    Returns
    -------
    float, or ndarray of the batch shape of a Gaussian

    Raises
    ------
    InvalidParameterError
        For negative probabilities, a sum that is not 1, or a split that leaves a part empty.
    InvalidTypeError
        For a Gaussian without a split, and a table with one.
    NoClosedFormError
        For other distributions.

    References
    ----------
    T. M. Cover and J. A. Thomas (2006), Elements of Information Theory, eq. 2.28.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.mutual_information([[0.5, 0.0], [0.0, 0.5]], unit="bits").__round__(12)
    1.0
    >>> kl.mutual_information(kl.MultivariateNormal(mean=[0, 0], cov=[[1, 0.6], [0.6, 1]]), split=1).__round__(4)
    0.2231
    """
    factor = _validation.unit_factor(unit)
    if hasattr(joint, "log_prob") or hasattr(joint, "logpdf") or isinstance(joint, type):
        law = check_distribution(joint, "joint")
        if isinstance(law, MultivariateNormalDiag):
            law = law.to_full()
        if not isinstance(law, MultivariateNormal):
            raise NoClosedFormError(
                f"mutual_information takes a table of probabilities or a MultivariateNormal, not a {law._name}; from "
                "draws: estimate_mutual_information(X, Y)."
            )
        return unwrap(factor * np.asarray(_of_gaussian(law, split)))
    if split is not None:
        raise InvalidTypeError("split is for a MultivariateNormal; a table has its two variables along its two axes.")
    return factor * _of_table(joint)


def _of_table(joint: Any) -> float:
    table = _arrays.numeric_array(joint, "joint")
    if table.ndim != 2 or 0 in table.shape:
        raise ShapeMismatchError(f"joint must be a table of probabilities of shape (a, b), got shape {table.shape}.")
    flat = table.reshape(-1)
    if (flat >= 0.0).all() and np.isfinite(flat).all() and abs(flat.sum() - 1.0) > 1e-6:
        raise InvalidParameterError(
            f"joint must sum to 1 (to 1e-6), it sums to {flat.sum():g}; of counts take joint / joint.sum(), or samples "
            "with estimate_mutual_information(X, Y)."
        )
    check_domain(flat, "probabilities", "joint")
    independent = table.sum(axis=1)[:, None] * table.sum(axis=0)
    return float(kl_divergence(Categorical(probs=flat), Categorical(probs=independent.reshape(-1) / flat.sum())))


def _of_gaussian(law: MultivariateNormal, split: int | None) -> Any:
    d = law.event_shape[0]
    if split is None:
        raise InvalidTypeError("a MultivariateNormal needs split=, the number of coordinates of its first part.")
    n = _validation.integer(split, "split", minimum=1)
    if n >= d:
        raise InvalidParameterError(f"split must leave coordinates to the second part: at most {d - 1}, got {n}.")
    first = np.arange(d) < n
    independent = np.where(first[:, None] == first, law.cov, 0.0)
    return kl_divergence(law, MultivariateNormal(mean=law.mean, cov=independent))
