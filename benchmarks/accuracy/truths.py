"""Divergences of the tasks: in closed form, by quadrature, or by Monte Carlo with a standard error.

Run as a script, it computes them all and writes `truths.json`.
"""

import itertools
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from laws import Dirichlet, Labelled, Normal, Product, Rounded
from scipy.integrate import quad
from scipy.special import digamma, gammaln

STORE = Path(__file__).with_name("truths.json")
DRAWS, BLOCK, SEED = 4_000_000, 50_000, 20_240_229


@dataclass(frozen=True)
class Truth:
    """A divergence in nats, how far it may be off (for Monte Carlo one standard error), and where it is from."""

    value: float
    error: float
    how: str


def truth(p, q) -> Truth:
    """KL(p || q) by the most exact way there is."""
    if type(p) is type(q) and type(p) in CLOSED_FORMS:
        return Truth(CLOSED_FORMS[type(p)](p, q), 0.0, "closed form")
    if isinstance(p, Product) and isinstance(q, Product):
        return total(truth(a, b) for a, b in zip(p.laws, q.laws, strict=True))
    if p.d == 1:
        return integral(lambda x: weighed_log_ratio(p, q, np.array([[x]])), np.unique(p.edges()))
    if p.spherical and q.spherical:
        return radial(p, q)
    return monte_carlo(p, q)


def total(parts) -> Truth:
    parts = list(parts)
    hows = dict.fromkeys(part.how for part in parts)
    return Truth(sum(part.value for part in parts), sum(part.error for part in parts), ", ".join(hows))


# ---------------------------------------------------------------- closed forms


def normal_normal(p, q) -> float:
    mix = np.linalg.solve(q.factor, p.factor)
    step = np.linalg.solve(q.factor, q.mean - p.mean)
    return float(0.5 * ((mix**2).sum() + step @ step - p.d) - np.log(np.diag(mix)).sum())


def dirichlet_dirichlet(p, q) -> float:
    a, b = p.concentration, q.concentration
    norms = gammaln(a.sum()) - gammaln(a).sum() - gammaln(b.sum()) + gammaln(b).sum()
    return float(norms + ((a - b) * (digamma(a) - digamma(a.sum()))).sum())


def labelled_labelled(p, q) -> float:
    """Chain rule: that of the labels, and the mean of those within the labels."""
    within = sum(w * normal_normal(a, b) for w, a, b in zip(p.probs, p.laws, q.laws, strict=True))
    return float((p.probs * np.log(p.probs / q.probs)).sum() + within)


def rounded_rounded(p, q) -> float:
    x = p.support()[:, None]
    return math.fsum(np.exp(p.log_density(x)) * (p.log_density(x) - q.log_density(x)))


CLOSED_FORMS = {
    Normal: normal_normal,
    Dirichlet: dirichlet_dirichlet,
    Labelled: labelled_labelled,
    Rounded: rounded_rounded,
}


# ---------------------------------------------------------------- quadrature


def weighed_log_ratio(p, q, x) -> float:
    log_p = p.log_density(x)[0]
    return math.exp(log_p) * (log_p - q.log_density(x)[0]) if log_p > -math.inf else 0.0


def integral(function, edges) -> Truth:
    pieces = [quad(function, a, b, epsabs=1e-12, epsrel=1e-10, limit=400) for a, b in itertools.pairwise(edges)]
    return Truth(math.fsum(value for value, _ in pieces), math.fsum(error for _, error in pieces), "quadrature")


def radial(p, q) -> Truth:
    """Both densities depend on the distance from 0 only: an integral over it."""
    log_area = math.log(2) + 0.5 * p.d * math.log(math.pi) - gammaln(0.5 * p.d)

    def at(radius):
        point = np.zeros((1, p.d))
        point[0, 0] = radius
        return math.exp(log_area) * radius ** (p.d - 1) * weighed_log_ratio(p, q, point)

    return integral(at, [0.0, *np.geomspace(1e-4, 1e4, 17), math.inf])


# ---------------------------------------------------------------- Monte Carlo


def monte_carlo(p, q, draws: int = DRAWS) -> Truth:
    rng = np.random.default_rng(SEED)
    ratios = []
    for _ in range(0, draws, BLOCK):
        x = p.draw(rng, BLOCK)
        ratios.append(p.log_density(x) - q.log_density(x))
    ratios = np.concatenate(ratios)
    return Truth(float(ratios.mean()), float(ratios.std() / math.sqrt(len(ratios))), f"{len(ratios):.0e} draws")


def stored() -> dict[str, Truth]:
    return {name: Truth(**fields) for name, fields in json.loads(STORE.read_text()).items()}


def main() -> None:
    from tasks import TASKS  # tasks know their stored truths

    found = {name: asdict(truth(task.p, task.q)) for name, task in TASKS.items()}
    STORE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
