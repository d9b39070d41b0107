"""What all families of counts share."""

from typing import NoReturn

import numpy as np

from .distribution import Distribution
from .errors import InvalidParameterError, NoClosedFormError

_LARGEST_COUNT = 2.0**62  # that NumPy draws


def at_counts(x: np.ndarray, log_probs: np.ndarray) -> np.ndarray:
    """Log-probabilities where x is a count, -inf elsewhere, nan at nan."""
    return np.where(np.isnan(x), np.nan, np.where((x >= 0) & (x == np.floor(x)), log_probs, -np.inf))


def raise_no_entropy(distribution: Distribution) -> NoReturn:
    raise NoClosedFormError(
        f"the entropy of a {distribution._name} has no closed form; average -p.log_prob(x) over draws x of p, or "
        "compare p with another distribution: estimate_kl_monte_carlo(p, q, n_samples=100_000, random_state=0)."
    )


def check_drawable(largest: np.ndarray, distribution: Distribution) -> None:
    if largest.size and not largest.max() <= _LARGEST_COUNT:
        raise InvalidParameterError(
            f"draws of {distribution._name} would be beyond 2**62 (about {largest.max():.3g}), which cannot be drawn; "
            "a Normal of the same mean and variance has the same draws to float64."
        )
