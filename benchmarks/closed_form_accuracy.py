"""Closed forms against exact arithmetic: ours, those of torch, textbook formulas, and SciPy's integration.

The cases are those of the tests: all pairs of parameters of a grid that spans the range of float64, and neighbours
of which one parameter has moved by a relative 1e-8.
"""

import itertools
import math
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import heading, publish
from textbook import FORMULAS
from torch import distributions as td

import kltools as kl
from kltools import quadrature

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from exact import relative_error
from exact_cases import EXACT, GRID, LAWS, PAIRS, build, nudged, truth

LAW = {cls.__name__: law for laws in LAWS for cls, law in laws.ORACLES.items()}
SCIPY_CASES = 6  # an integral takes seconds where it fails
KINDS = ("grid", "near-equal")
PEERS = ("kltools", "torch", "textbook", "SciPy")
TORCH: dict[str, Callable[..., td.Distribution]] = {
    "Bernoulli": lambda probs: td.Bernoulli(probs),
    "Beta": lambda alpha, beta: td.Beta(alpha, beta),
    "Binomial": lambda n, probs: td.Binomial(int(n), probs),
    "Categorical": lambda probs: td.Categorical(probs),
    "Cauchy": lambda loc, scale: td.Cauchy(loc, scale),
    "Chi2": lambda df: td.Chi2(df),
    "ContinuousBernoulli": lambda probs: td.ContinuousBernoulli(probs),
    "Dirichlet": lambda concentration: td.Dirichlet(concentration),
    "Exponential": lambda rate: td.Exponential(rate),
    "Gamma": lambda shape, rate: td.Gamma(shape, rate),
    "Geometric": lambda probs: td.Geometric(probs),
    "Gumbel": lambda loc, scale: td.Gumbel(loc, scale),
    "HalfCauchy": lambda scale: td.HalfCauchy(scale),
    "HalfNormal": lambda scale: td.HalfNormal(scale),
    "InverseGamma": lambda shape, scale: td.InverseGamma(shape, scale),
    "Laplace": lambda loc, scale: td.Laplace(loc, scale),
    "LogNormal": lambda mean, var: td.LogNormal(mean, var.sqrt()),
    "LowRankMultivariateNormal": lambda mean, cov_factor, cov_diag: td.LowRankMultivariateNormal(
        mean, cov_factor, cov_diag
    ),
    "MultivariateNormal": lambda mean, cov: td.MultivariateNormal(mean, cov),
    "MultivariateNormalDiag": lambda mean, var: td.Independent(td.Normal(mean, var.sqrt()), 1),
    "Normal": lambda mean, var: td.Normal(mean, var.sqrt()),
    "Pareto": lambda shape, scale: td.Pareto(scale, shape),
    "Poisson": lambda rate: td.Poisson(rate),
    "Uniform": lambda low, high: td.Uniform(low, high),
    "Wishart": lambda df, scale: td.Wishart(df, scale),
}


def of_torch(name_p: str, p: dict, name_q: str, q: dict) -> float:
    made = [
        TORCH[name](**{k: torch.tensor(v, dtype=torch.float64) for k, v in x.items()})
        for name, x in ((name_p, p), (name_q, q))
    ]
    return float(td.kl_divergence(*made))


def of_textbook(name_p: str, p: dict, name_q: str, q: dict) -> float:
    return float(FORMULAS[name_p](*({k: np.asarray(v, dtype=float) for k, v in x.items()} for x in (p, q))))


def of_scipy(name_p: str, p: dict, name_q: str, q: dict) -> float:
    ps, qs = LAW[name_p](build(name_p, p)), LAW[name_q](build(name_q, q))
    return float(ps.expect(lambda x: ps.logpdf(x) - qs.logpdf(x)))


def of_ours(name_p: str, p: dict, name_q: str, q: dict) -> float:
    return float(kl.kl_divergence(build(name_p, p), build(name_q, q)))


def has_expectation(name: str) -> bool:
    """Whether SciPy integrates over this law: a continuous one of one dimension."""
    sample = build(name, GRID[name][0])
    is_scalar = sample.is_continuous and quadrature.applies(sample)
    return is_scalar and hasattr(LAW.get(name, lambda p: None)(sample), "expect")


def peers_of(name_p: str, name_q: str) -> dict[str, Callable]:
    peers: dict[str, Callable] = {"kltools": of_ours}
    if {name_p, name_q} <= TORCH.keys():
        try:
            of_torch(name_p, GRID[name_p][0], name_q, GRID[name_q][0])
            peers["torch"] = of_torch
        except NotImplementedError:
            pass
        except ValueError:  # the first parameters are none for torch
            peers["torch"] = of_torch
    if name_p == name_q and name_p in FORMULAS:
        peers["textbook"] = of_textbook
    if name_p == name_q and has_expectation(name_p):
        peers["SciPy"] = of_scipy
    return peers


def cases(name_p: str, name_q: str, kind: str) -> Iterator[tuple[dict, dict]]:
    if kind == "grid":
        yield from itertools.product(GRID[name_p], GRID[name_q])
    elif name_p == name_q:
        for p in GRID[name_p]:
            for q in (nudged(name_p, p, key) for key in p):
                if q is not None:
                    yield p, q


def graded(name_p: str, name_q: str, kind: str) -> dict[str, np.ndarray]:
    """Relative errors of each peer, over the cases that have a finite and positive divergence."""
    peers = peers_of(name_p, name_q)
    errors: dict[str, list[float]] = {}
    known = [
        ((name_p, p, name_q, q), exact)
        for p, q in cases(name_p, name_q, kind)
        if (exact := known_truth(name_p, p, name_q, q))
    ]
    for peer, function in peers.items():
        step = -(-len(known) // SCIPY_CASES) if peer == "SciPy" and known else 1
        errors[peer] = [error_of(function, case, exact) for case, exact in known[::step]]
    return {peer: np.array(found) for peer, found in errors.items()}


def known_truth(name_p: str, p: dict, name_q: str, q: dict) -> Any:
    """The exact divergence, None where it is 0, infinite or beyond float64, or where there is none."""
    try:
        kl.kl_divergence(build(name_p, p), build(name_q, q))
        exact = truth(name_p, p, name_q, q)
    except (kl.KLToolsError, ValueError):  # not of one shape, or outside of the domain
        return None
    return exact if 0 < exact < sys.float_info.max else None


def error_of(function: Callable, case: tuple[Any, ...], expected: Any) -> float:
    try:
        value = function(*case)
    except (ValueError, ArithmeticError, RuntimeError, np.linalg.LinAlgError):
        return math.inf  # refused
    return relative_error(value, expected)


def cell(errors: np.ndarray | None) -> str:
    """Largest error, and the share of cases in which no digit is right."""
    if errors is None or not len(errors):
        return "-"
    lost = float((errors >= 0.1).mean())
    if lost == 1.0:
        return "**all lost**"
    worst = float(errors[errors < 0.1].max(initial=0.0))
    return f"{worst:.0e}" + (f", **{100 * lost:.0f}% lost**" if lost else "")


def of_torch_alone() -> str:
    registered = td.kl._KL_REGISTRY.values()
    infinite = sum("infinity" in function.__name__ for function in registered)
    return f"{len(registered)} pairs, of which {infinite} are infinite"


def main() -> None:
    np.seterr(all="ignore")
    warnings.simplefilter("ignore")
    tables, least = {}, {}
    for kind in KINDS:
        rows = []
        for pair in PAIRS:
            if pair not in EXACT:
                continue
            found = graded(*pair, kind)
            if not len(found["kltools"]):
                continue
            least[kind, pair] = found["kltools"].max()
            cells = (cell(found.get(peer)) for peer in PEERS)
            rows.append(f"| {pair[0]} ‖ {pair[1]} | {len(found['kltools'])} | {' | '.join(cells)} |")
        tables[kind] = rows
    worst = max(least, key=least.__getitem__)
    kinds = Counter("own" if p == q else "cross" for p, q in PAIRS)
    ours = [cls for cls in kl.distribution.FAMILIES]
    publish(
        "\n".join(
            [
                heading("Closed forms against exact arithmetic"),
                f"torch {torch.__version__}. Largest relative error, and the share of cases where no digit is right,",
                "or none is given: those are left out of the largest error. SciPy's integration is asked for about",
                f"{SCIPY_CASES} cases of a family. Divergences that are 0, infinite or beyond float64 are left out.\n",
                f"{len(ours)} families, {kinds['own']} closed forms within a family and {kinds['cross']} across;",
                f"infinite divergences and subclasses need none. torch registers {of_torch_alone()}.",
                f"The least accurate case of kltools: {worst[1][0]} ‖ {worst[1][1]} ({worst[0]}), {least[worst]:.1e}.",
                *(
                    line
                    for kind in KINDS
                    for line in (
                        f"\n## {kind.capitalize()} parameters\n",
                        f"| pair | cases | {' | '.join(PEERS)} |",
                        "|---" * (len(PEERS) + 2) + "|",
                        *tables[kind],
                    )
                ),
            ]
        )
    )


if __name__ == "__main__":
    main()
