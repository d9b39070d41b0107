"""What is known of a prior: its moments, draws, densities, and the exact KL of a normal distribution from it."""

import math
from typing import Any

import numpy as np

from .. import _latent_validation
from ..distribution import Distribution, check_distribution, check_single, refuse_foreign
from ..errors import InvalidTypeError, ShapeMismatchError
from ..families.gaussian import MultivariateNormal, MultivariateNormalDiag, Normal
from ..families.gaussian_mixture import GaussianMixture
from ..vae import kl_log_var_normal, vae_kl

_FEWEST_ROWS, _FEW_ROWS, _MOST_ROWS = 10, 1_000, 5_000  # of a prior that nothing but draws are known of


def prior_of(prior: Any, d: int) -> "Prior":
    """What a user passes for a prior of d latents; None is N(0, I)."""
    if prior is None:
        return DiagonalPrior(np.zeros(d), np.ones(d), "N(0, I)")
    if isinstance(prior, Distribution | type):
        return _of_law(check_distribution(prior, "prior"), d)
    refuse_foreign(prior, "prior")
    rows = _latent_validation.latent_table(prior, "prior", "leave those draws out.")
    if rows.shape[1] != d:
        raise ShapeMismatchError(f"prior has draws of {rows.shape[1]} latents, there are {d}.")
    if len(rows) < _FEWEST_ROWS:
        raise ShapeMismatchError(f"prior has {len(rows)} draws, at least {_FEWEST_ROWS} are needed.")
    return SampledPrior(rows)


def _of_law(law: Any, d: int) -> "Prior":
    if not isinstance(law, Normal | MultivariateNormalDiag | MultivariateNormal | GaussianMixture):
        raise InvalidTypeError(
            f"prior is a {law._name}; a Normal, MultivariateNormalDiag, MultivariateNormal or GaussianMixture is "
            "needed, or an array of draws from it."
        )
    is_vector = isinstance(law, Normal) and law.batch_shape == (d,)
    advice = "; a Normal of vectors is a batch of laws, one law of all latents is MultivariateNormalDiag"
    check_single(law, "prior", advice if is_vector else "")
    if law.event_shape not in ((), (d,)):
        raise ShapeMismatchError(f"prior draws shape {law.event_shape}, there are {d} latents.")
    if isinstance(law, GaussianMixture):
        return MixturePrior(law)
    if isinstance(law, MultivariateNormal):
        return FullPrior(law)
    mean, var = (np.broadcast_to(a, (d,)) for a in (law.mean, law.var))
    return DiagonalPrior(mean, var, "a normal distribution of independent coordinates")


class Prior:
    """``mean`` and ``var`` of each coordinate, a ``name``, and ``doubts`` of what rests on it."""

    mean: np.ndarray
    var: np.ndarray
    name: str
    doubts: tuple[str, ...] = ()
    has_formula = False
    is_factorised = False

    @property
    def d(self) -> int:
        return len(self.mean)

    def is_same(self, other: "Prior") -> bool:
        """Whether both are of one kind, with the same parameters."""
        pairs = zip(self._parameters(), other._parameters(), strict=False)
        return type(self) is type(other) and all(np.array_equal(a, b) for a, b in pairs)

    def _parameters(self) -> tuple[np.ndarray, ...]:
        return self.mean, self.var

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        raise NotImplementedError

    def log_prob(self, z: np.ndarray) -> np.ndarray | None:
        """None where no density is known."""
        raise NotImplementedError

    def log_marginals(self, z: np.ndarray) -> np.ndarray:
        """Log-densities of each coordinate by itself, (rows, d)."""
        return -0.5 * ((z - self.mean) ** 2 / self.var + np.log(2.0 * math.pi * self.var))

    def reference(self, units: np.ndarray, rng: np.random.Generator) -> Any:
        """The prior of some units, as `estimate_kl` takes it."""
        raise NotImplementedError

    def exact(self, mu: np.ndarray, log_var: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """KL of each row, and of each of its coordinates from the prior's, where there is a formula."""
        raise NotImplementedError


class DiagonalPrior(Prior):
    """A normal distribution of independent coordinates."""

    has_formula = is_factorised = True

    def __init__(self, mean: np.ndarray, var: np.ndarray, name: str):
        self.mean, self.var, self.name = mean, var, name

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self.mean + np.sqrt(self.var) * rng.standard_normal((n, self.d))

    def log_prob(self, z: np.ndarray) -> np.ndarray:
        return self.log_marginals(z).sum(axis=1)

    def reference(self, units: np.ndarray, rng: np.random.Generator) -> MultivariateNormalDiag:
        return MultivariateNormalDiag(mean=self.mean[units], var=self.var[units])

    def exact(self, mu: np.ndarray, log_var: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        terms = _kl_of_coordinates(mu, log_var, self)
        return terms.sum(axis=1), terms


class _OfLaw(Prior):
    """A prior that is one of our distributions."""

    _law: Any

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self._law.sample(n, random_state=rng)

    def log_prob(self, z: np.ndarray) -> np.ndarray:
        return np.asarray(self._law.log_prob(z))


class FullPrior(_OfLaw):
    """A normal distribution with any covariance."""

    name = "a normal distribution with a full covariance"
    has_formula = True

    def __init__(self, law: MultivariateNormal):
        self._law = law
        self.mean, self.var = law.mean, np.diagonal(law.cov)

    def _parameters(self) -> tuple[np.ndarray, ...]:
        return self._law.mean, self._law.cov

    def reference(self, units: np.ndarray, rng: np.random.Generator) -> MultivariateNormal:
        return MultivariateNormal(mean=self.mean[units], cov=self._law.cov[np.ix_(units, units)])

    def exact(self, mu: np.ndarray, log_var: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return vae_kl(mu, log_var, prior=self._law), _kl_of_coordinates(mu, log_var, self)


class MixturePrior(_OfLaw):
    """A mixture of normal distributions, as VampPrior is one."""

    def __init__(self, law: GaussianMixture):
        self._law = law
        self.name = f"a mixture of {len(law.weights)} normal distributions"
        self.mean, self.var = law._moments()
        variances = law.covs if law._is_diagonal else np.diagonal(law.covs, axis1=1, axis2=2)
        self._marginals = GaussianMixture(
            weights=law.weights, means=law.means.T[..., None], covs=variances.T[..., None]
        )

    def _parameters(self) -> tuple[np.ndarray, ...]:
        return self._law.weights, self._law.means, self._law.covs

    def reference(self, units: np.ndarray, rng: np.random.Generator) -> GaussianMixture:
        law = self._law
        covs = law.covs[:, units] if law._is_diagonal else law.covs[:, units[:, None], units]
        return GaussianMixture(weights=law.weights, means=law.means[:, units], covs=covs)

    def log_marginals(self, z: np.ndarray) -> np.ndarray:
        return np.asarray(self._marginals.log_prob(z[..., None])).reshape(z.shape)


class SampledPrior(Prior):
    """A prior of which nothing but draws are known."""

    def __init__(self, rows: np.ndarray):
        self.rows = rows
        self.name = f"{len(rows)} draws of an unknown distribution"
        self.mean, self.var = rows.mean(axis=0), rows.var(axis=0)
        if len(rows) < _FEW_ROWS:
            self.doubts = (
                f"prior has {len(rows)} draws, which is few: KL from it, its marginals and holes are uncertain beyond "
                f"their standard errors; draw at least {_FEW_ROWS}.",
            )

    def _parameters(self) -> tuple[np.ndarray, ...]:
        return (self.rows,)

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self.rows if n >= len(self.rows) else self.rows[rng.choice(len(self.rows), n, replace=False)]

    def log_prob(self, z: np.ndarray) -> None:
        return None

    def reference(self, units: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.draw(_MOST_ROWS, rng)[:, units]


def _kl_of_coordinates(mu: np.ndarray, log_var: np.ndarray, prior: Prior) -> np.ndarray:
    return kl_log_var_normal.summed(mu, log_var, prior.mean, prior.var, np.log(prior.var), n_axes=0)
