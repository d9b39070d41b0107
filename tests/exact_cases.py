"""The cases of every registered pair: parameters, and the divergence in exact arithmetic.

A pair needs a function in `EXACT` of one of the files laws_*.py, each of its families parameters in `GRID`; where
1e-12 is out of reach, `TOLERANCES` says by how much.
"""

import importlib
from pathlib import Path

import numpy as np
from mpmath import mp

import kltools as kl
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
    if p.__module__.startswith("kltools.") and {p, q} <= set(FAMILIES.values())  # not those made of other distributions
)
NAMES = sorted({name for pair in PAIRS for name in pair})


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
