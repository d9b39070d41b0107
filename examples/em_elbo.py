"""
Why EM climbs
=============

The log-likelihood is ELBO + KL(q(z) || p(z|x)), whatever q is.

Two normal distributions are fitted to the mean texture of malignant and benign tumours, without their labels. The
E step makes the KL 0 by q = p(z|x), the M step raises the ELBO, and with it the log-likelihood, which the KL now
separates from the ELBO again.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import kltools as kl
from kltools.io import load

DATA = Path(__file__).parent / "data"


def components(model: kl.GaussianMixture) -> kl.Normal:
    return kl.Normal(mean=model.means[:, 0], var=model.covs[:, 0])


def posterior(model: kl.GaussianMixture, x: np.ndarray) -> kl.Categorical:
    """p(z|x), a batch with one distribution for each row."""
    return kl.Categorical.from_logits(logits=np.log(model.weights) + components(model).log_prob(x))


def elbo(q: kl.Categorical, model: kl.GaussianMixture, x: np.ndarray) -> float:
    """Mean over rows of E_q log p(x, z) + H(q)."""
    log_joint = np.log(model.weights) + components(model).log_prob(x)
    return float(((q.probs * log_joint).sum(axis=1) + q.entropy()).mean())


def m_step(q: kl.Categorical, x: np.ndarray) -> kl.GaussianMixture:
    share = q.probs.sum(axis=0)
    means = (q.probs * x).sum(axis=0) / share
    variances = (q.probs * (x - means) ** 2).sum(axis=0) / share
    return kl.GaussianMixture(weights=share / len(x), means=means[:, None], covs=variances[:, None])


def steps(x: np.ndarray, n_steps: int) -> Iterator[tuple[float, float, float]]:
    """Log-likelihood, ELBO and KL(q || p(z|x)), means over rows, after each M step."""
    model = kl.GaussianMixture(weights=[0.5, 0.5], means=[[15.0], [25.0]], covs=[[9.0], [9.0]])
    for _ in range(n_steps):
        q = posterior(model, x)
        model = m_step(q, x)
        gap = kl.kl_divergence(q, posterior(model, x)).mean()
        yield float(model.log_prob(x).mean()), elbo(q, model, x), float(gap)


def main() -> None:
    x = np.concatenate([load(DATA / "p.csv"), load(DATA / "q.csv")])[:, :1]
    print("step  log-likelihood          ELBO            KL  log-likelihood - ELBO - KL")
    for number, (log_likelihood, bound, gap) in enumerate(steps(x, 15), start=1):
        rest = log_likelihood - bound - gap
        print(f"{number:4d} {log_likelihood:15.10f} {bound:13.10f} {gap:13.10f} {rest:27.0e}")


if __name__ == "__main__":
    main()
