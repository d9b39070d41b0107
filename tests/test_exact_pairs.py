"""Every registered pair against exact arithmetic, and against quadrature where there is one dimension.

A pair needs a function in `EXACT` of one of the files laws_*.py, each of its families parameters in `GRID`; where
1e-12 is out of reach, `TOLERANCES` says by how much.
"""

import importlib
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from exact import relative_error
from mpmath import mp

import kltools as kl
from kltools import errors, quadrature
from kltools._parameters import declaration
from kltools.closed_forms import registered_pairs
from kltools.distribution import FAMILIES

LAWS = [importlib.import_module(path.stem) for path in sorted(Path(__file__).parent.glob("laws_*.py"))]


def gathered(name):
    return {key: value for laws in LAWS for key, value in getattr(laws, name, {}).items()}


EXACT, TOLERANCES = gathered("EXACT"), gathered("TOLERANCES")
GRID = {
    name: [point for laws in LAWS for point in getattr(laws, "GRID", {}).get(name, [])] for name in gathered("GRID")
}
DIGITS = 60
PAIRS = sorted(
    (p.__name__, q.__name__)
    for p, q in registered_pairs()
    if p.__module__.startswith("kltools.") and p in FAMILIES.values()  # not those made of other distributions
)
NAMES = sorted({name for pair in PAIRS for name in pair})
every_pair = pytest.mark.parametrize(("name_p", "name_q"), PAIRS)
of_one_family = pytest.mark.parametrize("name", [p for p, q in PAIRS if p == q])


def build(name, parameters):
    return getattr(kl, name)(**parameters)


def numbers(value):
    """mpmath numbers of a float, or of nested lists."""
    return [numbers(each) for each in value] if isinstance(value, list) else mp.mpf(value)


def is_counted(name):
    """Whether a family has no other parameters than whole numbers, of which few are worth a look."""
    return all(declaration(getattr(kl, name), key)[0] == "count" for key in GRID[name][0])


def truth(name_p, p, name_q, q):
    with mp.workdps(DIGITS):
        return EXACT[name_p, name_q](
            {key: numbers(value) for key, value in p.items()}, {key: numbers(value) for key, value in q.items()}
        )


def check(name_p, p, name_q, q):
    value = kl.kl_divergence(build(name_p, p), build(name_q, q))
    assert value >= 0.0, (p, q)
    tolerance = TOLERANCES.get((name_p, name_q), lambda p, q: 1e-12)(p, q)
    expected = truth(name_p, p, name_q, q)
    assert relative_error(value, expected) <= tolerance, (p, q, value, mp.nstr(expected, 17))


def test_every_registered_pair_has_an_exact_form_and_every_family_a_grid():
    assert [pair for pair in PAIRS if pair not in EXACT] == []
    assert [name for name in NAMES if len(GRID.get(name, [])) < (1 if is_counted(name) else 4)] == []


@every_pair
def test_pair_is_exact(name_p, name_q):
    n_checked = 0
    for p, q in itertools.product(GRID[name_p], GRID[name_q]):
        if build(name_p, p).event_shape == build(name_q, q).event_shape:
            check(name_p, p, name_q, q)
            n_checked += 1
    assert n_checked


@of_one_family
def test_equals_are_exactly_0_apart(name):
    for p in GRID[name]:
        assert kl.kl_divergence(build(name, p), build(name, p)) == 0.0, p


def nudged(name, parameters, key, size=1e-8):
    """Copies of parameters of which one entry has moved by a relative 1e-8, None where it must not."""
    domain = declaration(getattr(kl, name), key)[0]
    value = np.array(parameters[key], dtype=float)
    if domain == "count":
        return None
    moved = value.copy()
    if domain == "probabilities":
        order = np.argsort(-value, kind="stable")
        step = size * value[order[1]]
        moved[order[0]] -= step
        moved[order[1]] += step
    elif domain == "direction":
        i, j = (0, 1) if value.size > 1 else (0, 0)
        moved[i], moved[j] = value[i] - size * value[j], value[j] + size * value[i]
    else:
        place = (0,) * value.ndim
        moved[place] = value[place] * (1.0 + size) if value[place] else (size if domain == "real" else 0.0)
    return None if (moved == value).all() else {**parameters, key: moved.tolist()}


@of_one_family
def test_near_equal_parameters(name):
    n_checked = 0
    for p in GRID[name]:
        for key in p:
            q = nudged(name, p, key)
            if q is None:
                continue
            try:
                kl.kl_divergence(build(name, p), build(name, q))
            except errors.KLToolsError:  # the step left the domain, or what the form holds for
                continue
            check(name, p, name, q)
            check(name, q, name, p)
            n_checked += 1
    assert n_checked >= 3 or is_counted(name)


def is_moderate(parameters):
    values = np.abs(np.concatenate([np.ravel(value) for value in parameters.values()]))
    return bool(((values == 0) | ((values >= 1e-2) & (values <= 1e3))).all())


def integrable(name):
    grid = [parameters for parameters in GRID[name] if is_moderate(parameters)][:4]
    return [build(name, parameters) for parameters in grid if quadrature.applies(build(name, parameters))]


BY_QUADRATURE = [pair for pair in PAIRS if all(name in GRID and integrable(name) for name in pair)]


@pytest.mark.parametrize(("name_p", "name_q"), BY_QUADRATURE)
def test_quadrature_agrees(name_p, name_q):
    """Nothing but the log-densities of the two families takes part."""
    n_agreed = n_refused = 0
    for p, q in itertools.product(integrable(name_p), integrable(name_q)):
        closed = kl.kl_divergence(p, q)
        try:
            integrated = kl.kl_divergence(p, q, method="quadrature")
        except errors.NoClosedFormError:
            n_refused += 1
            continue
        n_agreed += 1
        assert integrated == closed if math.isinf(closed) else abs(integrated - closed) <= 1e-9 * closed + 1e-13, (p, q)
    assert n_agreed > 3 * n_refused


def test_quadrature_is_compared_at_all():
    assert {("Normal", "Normal"), ("Categorical", "Categorical")} <= set(BY_QUADRATURE)
