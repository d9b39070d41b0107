"""Rows of the tables that the registries of the library make: nothing here is listed a second time."""

import dataclasses
import inspect

import kltools
from kltools import closed_forms, distribution, errors
from kltools._parameters import DOMAINS, declaration
from kltools.estimators import METHODS, ON_CUDA, RELATIVES, divergence_monte_carlo, method_options
from kltools.estimators.problem import KNOWN_Q

Table = tuple[list[str], list[list[str]]]

_AXES = ("", " vector", " matrix")
_QUANTITIES = ("kl", "entropy", "mutual_information", "total_correlation", "population_stability_index")


def first_sentence(thing: object) -> str:
    """What a docstring says first, on one line."""
    return inspect.cleandoc(thing.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def link(role: str, name: str) -> str:
    return f":{role}:`~kltools.{name}`"


def families() -> Table:
    """Every family with its parameters and their domains, and the other ways to build it."""
    rows = []
    for name in kltools.families.__all__:
        cls = getattr(kltools, name)
        ways = [link("meth", f"{name}.{way}") for way in dir(cls) if way.startswith("from_")]
        rows.append([link("class", name), _parameters(cls), ", ".join(ways), first_sentence(cls)])
    return ["family", "parameters", "also", "which is"], rows


def _parameters(cls: type) -> str:
    if cls.__name__ not in distribution.FAMILIES:
        return ", ".join(f"``{name}``" for name in inspect.signature(cls).parameters)
    return ", ".join(f"``{field.name}`` ({_domain(cls, field.name)})" for field in dataclasses.fields(cls))


def _domain(cls: type, name: str) -> str:
    domain, n_axes = declaration(cls, name)
    return domain + _AXES[max(0, n_axes - DOMAINS[domain].event_ndim)] + " matrix" * (domain == "symmetric")


def closed_form_pairs() -> Table:
    """Of every family p those q for which KL(p || q) has a formula, and the condition where there is one."""
    found: dict[type, dict[str, str]] = {}
    for p, q in closed_forms.registered_pairs():
        found.setdefault(p, {})[q.__name__] = _condition(p, q)
    rows = []
    for p in sorted(found, key=lambda cls: cls.__name__):
        forms = [link("class", q) + found[p][q] for q in sorted(found[p])]
        rows.append([link("class", p.__name__), ", ".join(forms)])
    return ["p", "q"], rows


def _condition(p: type, q: type) -> str:
    conditions = closed_forms._CONDITIONS
    holds = conditions.get((p, q), conditions.get((p, q.__name__)))
    return "" if holds is None else f" (where {holds.__doc__.rstrip('.')})"


def methods() -> Table:
    """Every method of `estimate_kl`: what it does, its options, and what it can be given."""
    rows = []
    for name, text in METHODS.items():
        options = ", ".join(f"``{option}``" for option in method_options(name))
        rows.append([f"``{name}``", _code(text), options, _mark(name in KNOWN_Q), _mark(name in ON_CUDA)])
    return ["method", "what it does", "options", "known q", "CUDA"], rows


def relatives() -> Table:
    """Every quantity, and the calls that give it: exact, from samples, from counts, by drawing."""
    drawn = divergence_monte_carlo._NAMES
    rows = []
    for name in sorted({*_QUANTITIES, *drawn, *(relative.removeprefix("estimate_") for relative in RELATIVES)}):
        exact = "kl_divergence" if name == "kl" else name
        calls = [_call(call) for call in (exact, f"estimate_{name}", f"estimate_{name}_from_counts")]
        title = drawn[name][0] if name in drawn else name.replace("_", " ")
        rows.append([title, *calls, _mark(name in drawn)])
    return ["quantity", "of distributions", "from samples", "from counts", "by drawing"], rows


def _call(name: str) -> str:
    return link("func", name) if name in kltools.__all__ else ""


def exceptions() -> Table:
    """Every error and warning, and the built-in class that also catches it."""
    rows = []
    for name in errors.__all__:
        cls = getattr(errors, name)
        builtin = next(base.__name__ for base in cls.__mro__ if base.__module__ == "builtins")
        rows.append([link("exc", name), f"``{builtin}``", first_sentence(cls)])
    return ["class", "also a", "when"], rows


def _mark(holds: bool) -> str:
    return "yes" if holds else ""


def _code(text: str) -> str:
    """Names between single backticks as code."""
    return text.replace("`", "``")


TABLES = {
    "families": families,
    "closed forms": closed_form_pairs,
    "methods": methods,
    "relatives": relatives,
    "exceptions": exceptions,
}
