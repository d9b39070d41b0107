"""Random calls of everything public: an answer, or an error of the library's own, and nothing else.

``python tests/fuzz.py --calls 100000 --out FILE`` makes them in processes of their own, so that a crash and a hang are
seen, and writes a table. A call is made again from its number: ``python tests/fuzz.py --replay NUMBER``.
"""

import argparse
import collections
import dataclasses
import inspect
import json
import math
import resource
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import kltools as kl
from kltools.estimate import Report

_BATCH, _SLOW, _HANGING = 500, 20.0, 900.0  # calls of a process; seconds
_ORDINARY = (0.0, 1.0, 0.5, 2.0, 3.0, 0.1, 10.0, -1.0, 0.25)
_EXTREME = (math.inf, -math.inf, math.nan, 1e300, -1e300, 1e-300, 5e-324, 1e16, -0.0, 1e5)
_JUNK = (None, "", "nats", "knn", (), [], {}, [[]], 1j, b"x", True, object(), [1, "a"], {"a": 1}, np.datetime64("2020"))
_SLOW_NAMES = {"diagnose", "sample_size_for", "warmup", "show_progress"}


def numbers(rng, shape):
    """Real numbers: of one kind, or with a few extreme ones among them."""
    kind = rng.integers(9)
    scale = 10.0 ** rng.integers(-200, 200) if rng.random() < 0.15 else 1.0
    values = (
        rng.normal(size=shape),
        rng.integers(-2, 3, shape).astype(float),
        np.round(rng.normal(size=shape), 1),
        np.full(shape, rng.choice(_ORDINARY)),
        rng.standard_cauchy(shape),
        rng.exponential(size=shape),
        rng.choice(_ORDINARY, shape),
        rng.normal(size=shape) + 1e8,
        rng.normal(size=shape),
    )[kind] * scale
    if rng.random() < 0.15 and values.size:
        values = np.array(values)
        values[rng.random(shape) < 2.0 / values.size] = rng.choice(_EXTREME)
    return values


def as_given(rng, values):
    """An array as users have it."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        kind = rng.integers(12)
        if kind == 0:
            return values.tolist()
        if kind == 1:
            return values.astype(np.float32)
        if kind == 2 and np.isfinite(values).all():
            return values.astype(np.int64)
        if kind == 3:
            return np.asfortranarray(values)[..., ::-1]
        if kind == 4:
            values.flags.writeable = False
        if kind == 5:
            return values.astype(object)
        if kind == 6:
            return values > 0.0
        if kind == 7 and values.size:
            return (np.ma.masked_array(values, values > 1), values[..., None], values.astype(str))[rng.integers(3)]
    return values


def sample(rng):
    n = int(rng.choice([0, 1, 2, 3, 5, 12, 40, 150], p=[0.03, 0.05, 0.07, 0.1, 0.15, 0.25, 0.25, 0.1]))
    d = int(rng.choice([0, 1, 2, 3, 8], p=[0.02, 0.38, 0.3, 0.2, 0.1]))
    return as_given(rng, numbers(rng, (n,) if rng.random() < 0.2 else (n, d)))


def parameter(rng, name, d):
    """A parameter of a distribution, likely to be valid where its name tells what it is."""
    shape = () if rng.random() < 0.5 else tuple(rng.integers(1, 4, rng.integers(1, 3)))
    if name in ("cov", "scale_matrix", "row_cov", "col_cov", "covs") or (name == "scale" and d is not None):
        root = numbers(rng, (d or 2, d or 2))
        with np.errstate(all="ignore"):
            cov = root @ root.T + np.eye(d or 2) * rng.choice([0.0, 1.0])
        return np.stack([cov] * 2) if name == "covs" else cov
    if name in ("mean", "loc", "means", "mean_direction", "concentration", "probs", "weights") and d is not None:
        shape = (2, d) if name == "means" else (2,) if name == "weights" else (d,)
    values = numbers(rng, shape)
    if rng.random() < 0.9 and name not in ("mean", "loc", "means", "mean_direction", "low"):
        with np.errstate(all="ignore"):
            values = np.abs(values) + rng.choice([0.0, 1e-3, 1.0])
            if name in ("probs", "weights"):
                values = values / values.sum() if np.ndim(values) and d is not None else values / (1.0 + values)
    if name in ("n", "dim", "df") and rng.random() < 0.8:
        values = np.floor(np.minimum(values, 50.0)) + 2.0
    if name == "mean_direction" and rng.random() < 0.8:
        with np.errstate(all="ignore"):
            values = values / np.sqrt((values**2).sum())
    return int(values) if name == "dim" and np.ndim(values) == 0 and math.isfinite(values) else values


FAMILIES = sorted(
    name for name in kl.__all__ if inspect.isclass(getattr(kl, name)) and issubclass(getattr(kl, name), kl.Distribution)
)
_PLAIN = [name for name in FAMILIES if name not in ("Distribution", "Mixture", "Product", "Independent", "Transformed")]


def law(rng, name=None):
    """A distribution; may raise, as its constructor does."""
    name = name or rng.choice(_PLAIN)
    cls = getattr(kl, name)
    multivariate = any(word in name for word in ("Multi", "Low", "Wishart", "Matrix", "Dirichlet", "Mixture", "Fisher"))
    d = int(rng.integers(1, 4)) if multivariate or name in ("Categorical", "PowerSpherical") else None
    return cls(**{field.name: parameter(rng, field.name, d) for field in dataclasses.fields(cls) if field.init})


def pair_of_laws(rng):
    """Two of one family more often than not."""
    name = rng.choice(_PLAIN)
    return law(rng, name), law(rng, name if rng.random() < 0.7 else None)


_VALUES = {
    "unit": ("nats", "bits"),
    "method": ("auto", "gaussian", "knn", "knn_radius", "knn_calibrated", "mixture", "kde", "ulsif", "closed_form"),
    "nan_policy": ("raise", "omit"),
    "n_neighbors": (None, 1, 3, (1, 2), 5, 100, 0, -1, 2.5),
    "n_jobs": (None, 1, 2, -1),
    "random_state": (0, 1),
    "memory_limit": (None, 2**20, 2**28),
    "estimator": ("k1", "k2", "k3", "cv"),
    "sampling": ("random", "sobol", "stratified"),
    "n_samples": (1, 2, 100, 500, 0),
    "n_permutations": (1, 19, 99),
    "alpha": (0.5, 0.0, 1.0, 2.0, -1.0, 1e-9),
    "weights": (None, (0.5, 0.5), (0.0, 1.0), (0.3, 0.3)),
    "zero": ("estimate", "inf", "drop", "raise"),
    "reduction": ("none", "sum", "mean", "per_dim"),
    "name": ("jeffreys", "renyi", "hellinger", "total_variation", "chi_squared"),
    "k": (1, 2, 5, 0),
    "half_width": (0.1, 1.0, 0.0),
    "confidence_level": (0.5, 0.95, 0.0, 1.0),
    "kind": ("kl", "js"),
    "f": (lambda t: t * np.log(t), abs, None),
    "device": (None, "cpu"),
    "max_components": (100, 1000),
}


def argument(rng, name):
    if rng.random() < 0.04:
        return _JUNK[rng.integers(len(_JUNK))]
    if name in ("X", "Y", "Z", "x", "Y_or_q"):
        return sample(rng) if name != "Y_or_q" or rng.random() < 0.8 else law(rng)
    if name in ("mu", "log_var", "z", "log_p", "log_q"):
        return as_given(rng, numbers(rng, tuple(rng.integers(1, 6, 1 + (name in ("mu", "log_var", "z"))))))
    if name.startswith("counts"):
        return as_given(rng, rng.integers(0, 9, (3, 3) if name == "counts" and rng.random() < 0.5 else 4).astype(float))
    if name.startswith("labels"):
        return [rng.integers(0, 4, 9), list("aabbcabca"), rng.normal(size=9)][rng.integers(3)]
    if name == "joint":
        table = np.abs(numbers(rng, (2, 3)))
        return table / table.sum() if rng.random() < 0.8 else table
    if name in ("ps", "qs", "p", "q", "target"):
        return law(rng)
    if name == "samples":
        return [sample(rng) for _ in range(3)]
    if name == "y":
        return rng.integers(0, 3, 12)
    if name in _VALUES:
        return _VALUES[name][rng.integers(len(_VALUES[name]))]
    return rng.choice(_ORDINARY)


_PAIRS = (("p", "q"), ("ps", "qs"), ("X", "Y"), ("mu", "log_var"), ("log_p", "log_q"))


def arguments(rng, function):
    """Arguments by their names; those that belong together fit more often than not."""
    parameters = inspect.signature(function).parameters.values()
    chosen = {}
    for one in parameters:
        if one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL):
            continue
        wanted = one.default is one.empty or one.name in ("Y", "random_state", "n_samples", "n_permutations")
        if wanted or rng.random() < 0.15:
            chosen[one.name] = argument(rng, one.name)
    for first, second in _PAIRS:
        if first in chosen and second in chosen and rng.random() < 0.75:
            if first in ("p", "ps"):
                chosen[first], chosen[second] = pair_of_laws(rng)
            elif rng.random() < 0.9:
                shape = np.shape(chosen[first]) if isinstance(chosen[first], np.ndarray) else (20, 2)
                rows = shape if first != "X" or len(shape) == 0 else (int(rng.integers(1, 60)), *shape[1:])
                chosen[first], chosen[second] = numbers(rng, shape or (3,)), numbers(rng, rows or (3,))
    return chosen


def targets():
    """Names of what is called: functions, families and estimators."""
    found = {}
    for name in kl.__all__:
        thing = getattr(kl, name)
        if name in _SLOW_NAMES or inspect.ismodule(thing) or name in ("family", "param", "register_kl", "Distribution"):
            continue
        if inspect.isclass(thing):
            if name in _PLAIN:
                found[name] = "family"
            elif name.endswith("Divergence") and hasattr(thing, "fit"):
                found[name] = "estimator"
        elif callable(thing):
            found[name] = "function"
    return found


TARGETS = targets()


def numbers_of(result):
    """The numbers that an answer promises to be no nan."""
    if isinstance(result, kl.DivergenceEstimate):
        return [result.value]
    if isinstance(result, Report | kl.Distribution):
        return []
    if isinstance(result, tuple | list):
        return [x for part in result for x in numbers_of(part)]
    return np.asarray(result, dtype=float).ravel().tolist()


def call(number):
    """Make a call: what was called, and what came of it."""
    rng = np.random.default_rng(number)
    name = sorted(TARGETS)[rng.integers(len(TARGETS))]
    thing, kind = getattr(kl, name), TARGETS[name]
    try:
        if kind == "family":
            given = law(rng, name)
            if math.prod(given.event_shape) > 1e4:
                return name, "answer"
            x = numbers(rng, given.event_shape)
            result = given.sample(3, random_state=0) if rng.random() < 0.5 else given.log_prob(np.nan_to_num(x))
        elif kind == "estimator":
            fitted = thing().fit(sample(rng))
            result = fitted.divergence(sample(rng)) if hasattr(fitted, "divergence") else None
            result = [] if result is None else result
        else:
            result = thing(**arguments(rng, thing))
    except kl.KLToolsError as error:
        return name, type(error).__name__ if str(error) else "error without words"
    except (ValueError, TypeError) as error:
        if kind == "estimator":  # of scikit-learn's own checks
            return name, "ValueError or TypeError of scikit-learn"
        return name, f"DEFECT {type(error).__name__}: {error}"
    except Exception as error:
        return name, f"DEFECT {type(error).__name__}: {error}"
    if any(math.isnan(x) for x in numbers_of(result)):
        return name, "DEFECT nan"
    return name, "answer"


def judged(number):
    """A call, and what came of it; warnings of others than the library are defects of an answer."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        name, outcome = call(number)
    foreign = [w for w in caught if not issubclass(w.category, kl.KLToolsWarning) and TARGETS[name] != "estimator"]
    if outcome == "answer" and foreign:
        outcome = f"DEFECT {foreign[0].category.__name__}: {foreign[0].message}"
    return name, outcome


def batch(first, n):
    """Calls in this process, one line of JSON for each that is worth telling."""
    counts = collections.Counter()
    for number in range(first, first + n):
        print(f"# {number}", flush=True)
        began = time.perf_counter()
        name, outcome = judged(number)
        seconds = time.perf_counter() - began
        counts[(name, outcome)] += 1
        if outcome.startswith("DEFECT") or seconds > _SLOW:
            print(json.dumps({"number": number, "name": name, "outcome": outcome, "seconds": seconds}), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"counts": [[*key, count] for key, count in counts.items()], "peak": peak}), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--batch", type=int, nargs=2)
    parser.add_argument("--replay", type=int)
    parser.add_argument("--out", type=Path, help="a file for the table, which grows with every process that ends")
    options = parser.parse_args()
    if options.replay is not None:
        print(judged(options.replay))
    elif options.batch:
        batch(*options.batch)
    else:
        print(run(options))


def run(options):
    counts, told, peak, n = collections.Counter(), [], 0, 0
    parts = [(start, min(_BATCH, options.first + options.calls - start))
             for start in range(options.first, options.first + options.calls, _BATCH)]  # fmt: skip
    with ThreadPoolExecutor(options.jobs) as pool:
        for (_, size), (lines, failure) in zip(parts, pool.map(in_own_process, parts), strict=True):
            if failure:
                told.append({"number": lines[-1] if lines else "", "outcome": f"DEFECT process {failure}"})
            for item in (json.loads(line) for line in lines if line.startswith("{")):
                if "counts" in item:
                    counts.update({(name, outcome): count for name, outcome, count in item["counts"]})
                    peak, n = max(peak, item["peak"]), n + size
                else:
                    told.append(item)
            if options.out:
                options.out.write_text(table(counts, told, peak, n) + "\n", encoding="utf-8")
    return table(counts, told, peak, n)


def in_own_process(part):
    """The lines that a batch has printed, and how its process failed."""
    command = [sys.executable, __file__, "--batch", *map(str, part)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_HANGING, check=False)
    except subprocess.TimeoutExpired as hanging:
        return (hanging.stdout or b"").decode().splitlines(), "hangs"
    return done.stdout.splitlines(), f"ended with {done.returncode}" if done.returncode else ""


def table(counts, told, peak, n):
    outcomes = collections.Counter()
    for (_, outcome), count in counts.items():
        outcomes["defect" if outcome.startswith("DEFECT") else outcome] += count
    lines = [
        "# Random calls of the public functions\n",
        f"{time.strftime('%Y-%m-%d')}, kltools {kl.__version__}, Python {sys.version.split()[0]}, "
        f"numpy {np.__version__}; "
        f"{n} calls of {len(TARGETS)} functions, families and estimators, the largest process took {peak} MiB.\n",
        "| outcome | calls |",
        "|---|---|",
        *(f"| {outcome} | {count} |" for outcome, count in outcomes.most_common()),
    ]
    if told:
        lines += ["", "| call | of | what | seconds |", "|---|---|---|---|"]
        lines += [
            f"| {t['number']} | {t.get('name', '')} | {t['outcome'][:200]} | {t.get('seconds', math.nan):.1f} |"
            for t in told
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
