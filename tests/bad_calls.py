"""The rest of the table of `bad_inputs`: bad arguments of what does not take two samples, files and containers."""

import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bad_inputs import FEW, INFINITE, SHAPE, TYPE, VALUE, P, Q, Raises
from sklearn.exceptions import NotFittedError

import kltools as kl
from kltools import errors, plotting
from kltools.inference import jackknife_uncertainty
from kltools.io import load


@dataclass(frozen=True)
class Returns:
    """A number to 14 digits or else this value itself, told with warnings of these categories and no others."""

    value: Any
    warns: tuple[type, ...] = ()


FINITE = object()  # any finite number
ONLY_DOCUMENTED = 122  # a file that is cut while it is mapped ends the process

HALVES = kl.Categorical(probs=[0.5, 0.5])
STANDARD, WIDE = kl.Normal(mean=0.0, var=1.0), kl.Normal(mean=0.0, var=16.0)
IDENTITY = np.eye(2)
FRAME_NAMES = ["a", "b", "c"]
HOSTILE = "x$_{y$ <script>alert(1)</script>"


def tested(X: Any, **options: Any) -> Callable[[], float]:
    return lambda: kl.two_sample_test(X, Q, random_state=0, **options).p_value


def drawn(log_q: Any, p: Any = STANDARD) -> Callable[[], float]:
    """KL by draws of p against a log-density."""
    return lambda: kl.estimate_kl_monte_carlo(p, log_q, n_samples=256, random_state=0).value


def log_density(x: Any) -> np.ndarray:
    return WIDE.log_prob(np.asarray(x))


def with_mark(value: float) -> Callable[[np.ndarray], np.ndarray]:
    """A log-density that has a value at its greatest draw."""
    return lambda x: np.where(x == x.max(), value, log_density(x))


def torch_density(x: Any) -> Any:
    return optional("torch").as_tensor(log_density(x))


def failing_density(x: Any) -> Any:
    raise ZeroDivisionError("mine")


def optional(name: str) -> Any:
    import pytest

    return pytest.importorskip(name)


def pooled(X: Any, Y: Any) -> float:
    """An estimate of both kinds, which agree."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X (has|does not have valid) feature names", UserWarning)
        fitted = kl.KNNDivergence(n_neighbors=3).fit(Y).divergence(X).value
    value = kl.estimate_kl(X, Y, method="knn", n_neighbors=3).value
    assert value == fitted
    return value


CLEAN = pooled(P, Q)


def growth_of_memory() -> bool:
    """10^5 rows against 10^5 take no table of their distances (75 GiB)."""
    X, Y = np.random.default_rng(0).normal(size=(2, 100_000, 2))
    tracemalloc.start()
    try:
        kl.estimate_kl(X, Y, method="knn", n_neighbors=1)
        return tracemalloc.get_traced_memory()[1] < 100 * X.nbytes
    finally:
        tracemalloc.stop()


def loaded(name: str, change: Callable[[Path], None]) -> Callable[[], Any]:
    def call() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            np.save(path, P)
            change(path)
            return load(path)

    return call


def save_objects(path: Path) -> None:
    np.save(path, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def claim_terabytes(path: Path) -> None:
    content = path.read_bytes()
    claimed = content.replace(b"(50, 3), }          ", b"(999999999999, 3), }", 1)
    assert claimed != content
    path.write_bytes(claimed)


def dask_array() -> Any:
    return optional("dask.array").from_array(P, chunks=(20, 3))


def from_file(library: str) -> float:
    """Rows that stand in a file of another library."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows")
        if library == "zarr":
            return pooled(optional("zarr").array(P), Q)
        with optional("h5py").File(path, "w") as file:
            return pooled(file.create_dataset("P", data=P), Q)


def arrow_table() -> Any:
    return optional("pyarrow").table({name: P[:, j] for j, name in enumerate(FRAME_NAMES)})


def tensor(**options: Any) -> Any:
    return optional("torch").tensor(P, **options)


def dispatched() -> bool:
    """Tensors while scikit-learn hands arrays of any library on: SciPy has to be told before it is imported."""
    optional("torch")
    code = """
import numpy as np, sklearn, torch, kltools as kl
P, Q = np.random.default_rng(0).normal(size=(2, 50, 3))
wanted = kl.KNNDivergence(n_neighbors=3).fit(Q).divergence(P).value
with sklearn.config_context(array_api_dispatch=True):
    found = kl.KNNDivergence(n_neighbors=3).fit(torch.tensor(Q)).divergence(torch.tensor(P, requires_grad=True)).value
print(found == wanted)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"SCIPY_ARRAY_API": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    return done.stdout == "True\n"


def named(names: list[str]) -> Any:
    frame = importlib.import_module("pandas").DataFrame(P, columns=FRAME_NAMES)
    return frame[names] if set(names) == set(FRAME_NAMES) else frame.set_axis(names, axis=1)


def fitted_on_frame() -> Any:
    return kl.KNNDivergence(n_neighbors=3).fit(named(FRAME_NAMES))


def array_after_frame() -> float:
    return fitted_on_frame().divergence(Q).value


def plotted() -> bool:
    from matplotlib.figure import Figure

    figure = Figure()
    plotting.plot_forest({HOSTILE: kl.estimate_kl(P, Q, method="gaussian")}, ax=figure.add_subplot())
    with tempfile.TemporaryFile() as file:
        figure.savefig(file)
        return file.tell() > 0


def reported() -> bool:
    frame = importlib.import_module("pandas").DataFrame(P, columns=[HOSTILE, "=HYPERLINK(1)", "c"])
    found = kl.latent_report(frame, 0.0 * P, random_state=0)
    return "<script>alert" not in found._repr_html_() and json.loads(found.to_json())["names"][0] == HOSTILE


# (number, name, probabilities, outcome)
PROBABILITIES = [
    ("93", "sums_of_4", [2, 2], Raises(VALUE, r"probs of \w+ must .*sum to 1.*sums from 4 to 4; divide by the sum")),
    ("93", "too_little", [0.5, 0.4], Raises(VALUE, r"sums from 0\.9 to 0\.9")),
    ("93", "one_of_a_batch", [[0.5, 0.5], [1, 3]], Raises(VALUE, "sums from 1 to 4")),
    ("94", "negative", [-0.5, 1.5], Raises(VALUE, r"must be >= 0.*from -0\.5 to 1\.5")),
    ("95", "all_zero", [0, 0], Raises(VALUE, "sums from 0 to 0")),
    ("96", "empty", [], Raises(SHAPE, r"probs of \w+ is empty")),
    ("99", "nan", [np.nan, 1.0], Raises(VALUE, "1 values that are not finite")),
    ("99", "inf", [np.inf, 0.0], Raises(VALUE, "not finite")),
    ("101", "logarithms", np.log([0.5, 0.5]), Raises(VALUE, "must be >= 0.*logarithms.*from_logits")),
    ("101", "one", [0.5], Raises(VALUE, r"sum to 1.*got 0\.5")),
]  # fmt: skip

# (number, name, covariance, outcome)
COVARIANCES = [
    ("105", "not_definite", [[1, 2], [2, 1]], Raises(VALUE, r"cov.*definite, its smallest eigenvalue is -1\b")),
    ("105", "negative", -IDENTITY, Raises(VALUE, r"cov.*smallest eigenvalue is -1\b")),
    ("105", "one_of_a_batch", [IDENTITY, -3 * IDENTITY], Raises(VALUE, r"cov.*smallest eigenvalue is -3\b")),
    ("106", "not_symmetric", [[1, 0.5], [0.2, 1]], Raises(VALUE, r"cov.*entry \[0, 1\] is 0\.5, \[1, 0\] is 0\.2")),
    ("106", "triangle", [[1, 0], [0.5, 1]], Raises(VALUE, r"cov.*symmetric.*entry \[0, 1\] is 0\.0, \[1, 0\] is 0\.5")),
    ("106", "scales", [[1e18, 1, 0], [2, 1, 1e-3], [0, 0, 1]], Raises(VALUE, r"entry \[1, 2\] is 0\.001, \[2, 1\]")),
    ("106", "one_of_a_batch", [IDENTITY, [[1, 0], [0.5, 1]]], Raises(VALUE, r"first offence at \[1\]: entry \[0, 1\]")),
    ("107", "singular", [[1, 1], [1, 1]], Raises(VALUE, r"cov.*smallest eigenvalue is -?[\d.e-]+;.*dependent")),
    ("107", "zero", np.zeros((2, 2)), Raises(VALUE, "cov.*smallest eigenvalue is 0")),
    ("107", "zero_variance", [[0, 0], [0, 1]], Raises(VALUE, "cov.*smallest eigenvalue is 0")),
    ("108", "nan", [[1, 0], [0, np.nan]], Raises(VALUE, "cov.*not finite")),
    ("108", "inf", [[np.inf, 0], [0, 1]], Raises(VALUE, "cov.*not finite")),
    ("108", "three_for_two", np.eye(3), Raises(SHAPE, r"mean \(2,\).*\(3, 3\)")),
    ("108", "not_square", [[1, 0]], Raises(VALUE, r"cov.*square.*\(1, 2\).*1 rows and 2 columns")),
    ("108", "vector", [1, 1], Raises(SHAPE, r"cov.*shape \(2,\)")),
    ("108", "scalar", 1.0, Raises(SHAPE, r"cov.*shape \(\)")),
    ("108", "empty", np.zeros((0, 0)), Raises(SHAPE, "cov.*empty")),
]  # fmt: skip


def of_parameters(rows: list, *builds: Callable[[Any], Any]) -> list:
    """Rows of a table of one parameter as calls of whatever takes it."""
    return [
        (number, name, lambda value=value, build=build: build(value), outcome)
        for number, name, value, outcome in rows
        for build in builds
    ]


def normal(cov: Any) -> kl.MultivariateNormal:
    return kl.MultivariateNormal(mean=[0, 0], cov=cov)


UNIT = Raises(VALUE, "unit must be one of 'nats', 'bits'")
RESAMPLED = Raises((VALUE, TYPE), "n_permutations")
NO_PICKLES = Raises(VALUE, r"objects\.npy")

# (number, name, call, outcome)
CALLS = [
    *of_parameters(
        PROBABILITIES, lambda probs: kl.Categorical(probs=probs), lambda probs: kl.Multinomial(n=3, probs=probs)),
    *of_parameters(COVARIANCES, normal),
    ("83", "0", tested(P, n_permutations=0), RESAMPLED),
    ("83", "-3", tested(P, n_permutations=-3), RESAMPLED),
    ("83", "2.5", tested(P, n_permutations=2.5), RESAMPLED),
    ("84", "1", tested(P, n_permutations=1), Returns(FINITE, (errors.SmallSampleWarning,))),
    ("87", "one_row", tested(P[:1]), Raises(FEW, r"\bX\b")),
    ("88", "a_constant", lambda: jackknife_uncertainty(np.full(10, 1.5)).interval(1.5, 0.95), Returns((1.5, 1.5))),
    *(("92", str(unit), lambda unit=unit: kl.kl_divergence(STANDARD, WIDE, unit=unit), UNIT)
        for unit in (1, 0, -2, "e")),
    ("93", "divided_when_asked", lambda: kl.Categorical.from_counts(counts=[1, 3]).probs.tolist(),
        Returns([0.25, 0.75])),
    ("97", "no_mass_of_q", lambda: kl.kl_divergence(HALVES, kl.Categorical(probs=[1.0, 0.0])), Returns(math.inf)),
    ("98", "no_mass_of_both", lambda: kl.kl_divergence(kl.Categorical(probs=[1.0, 0.0]), HALVES), Returns(math.log(2))),
    ("100", "batches_broadcast", lambda: kl.kl_divergence(kl.Categorical(probs=[[0.5, 0.5]] * 3), HALVES).tolist(),
        Returns([0.0] * 3)),
    ("100", "categories_do_not", lambda: kl.kl_divergence(HALVES, kl.Categorical(probs=[0.2, 0.3, 0.5])),
        Raises(SHAPE, "2 categories, q has 3")),
    ("102", "names_tell_the_order", lambda: kl.kl_divergence(q=WIDE, p=STANDARD),
        Returns(0.5 * (1 / 16 - 1 + math.log(16)))),
    ("102", "the_direction_is_told", lambda: "KL(P||Q)" in kl.estimate_kl(P, Q, method="gaussian").summary(),
        Returns(True)),
    *(("103", str(var), lambda var=var: kl.Normal(mean=0, var=var), Raises(VALUE, "var of Normal must be"))
        for var in (0, -1, np.nan, [1, 0])),
    ("104", "inf", lambda: kl.Normal(mean=0, var=np.inf), Raises(VALUE, "var of Normal must be finite")),
    ("109", "ill_conditioned", lambda: kl.kl_divergence(normal(np.diag([1e16, 1.0])), normal(IDENTITY)),
        Returns(0.5 * (1e16 - 1.0 - math.log(1e16)))),
    ("110", "wide_against_narrow", lambda: kl.kl_divergence(kl.Uniform(low=0, high=2), kl.Uniform(low=0, high=1)),
        Returns(math.inf)),
    ("110", "Laplace_against_Gamma", lambda: kl.kl_divergence(kl.Laplace(loc=0, scale=1), kl.Gamma(shape=2, rate=1)),
        Returns(math.inf)),
    ("111", "unknown_pair", lambda: kl.kl_divergence(kl.Gamma(shape=1, rate=1), kl.Logistic(loc=0, scale=1)),
        Raises(errors.NoClosedFormError, r'KL\(Gamma \|\| Logistic\).*method="quadrature"')),
    ("112", "a_column", drawn(lambda x: log_density(x)[:, None]),
        Raises(SHAPE, r"log-density of q has shape \(256, 1\)")),
    ("113", "-inf", drawn(with_mark(-math.inf)), Returns(math.inf, (INFINITE,))),
    ("114", "inf", drawn(with_mark(math.inf)), Raises(VALUE, r"log_q holds .* index \d+.*: inf")),
    ("114", "nan", drawn(with_mark(math.nan)), Raises(VALUE, r"log_q holds .* index \d+.*: nan")),
    ("115", "a_list", drawn(lambda x: log_density(x).tolist()), Returns(drawn(log_density)())),
    ("115", "a_tensor", drawn(torch_density), Returns(drawn(log_density)())),
    ("116", "an_error", drawn(failing_density), Raises(ZeroDivisionError, "mine")),
    ("117", "heavy_tails", lambda: kl.estimate_kl_monte_carlo(
        STANDARD, WIDE, n_samples=100_000, estimator="k3", random_state=0).value,
        Returns(FINITE, (errors.UnreliableEstimateWarning,))),
    ("118", "many_rows", growth_of_memory, Returns(True)),
    ("119", "objects", loaded("objects.npy", save_objects), NO_PICKLES),
    ("120", "cut_short", loaded("cut.npy", cut), Raises(VALUE, r"cut\.npy")),
    ("121", "terabytes_claimed", loaded("huge.npy", claim_terabytes), Raises(VALUE, r"huge\.npy")),
    ("123", "dask", lambda: kl.estimate_kl(dask_array(), Q), Raises(TYPE, r"kltools\.dask")),
    ("123", "dask_in_an_estimator", lambda: kl.KNNDivergence().fit(dask_array()), Raises(TYPE, r"kltools\.dask")),
    ("124", "zarr", lambda: from_file("zarr"), Returns(CLEAN)),
    ("124", "h5py", lambda: from_file("h5py"), Returns(CLEAN)),
    ("124", "pyarrow", lambda: pooled(arrow_table(), Q), Returns(CLEAN)),
    ("125", "lazy_frame", lambda: kl.estimate_kl(optional("polars").LazyFrame({"a": [1.0]}), Q),
        Raises(TYPE, r"\bX is a polars LazyFrame.*\.collect\(\)")),
    ("126", "requires_grad", lambda: pooled(tensor(requires_grad=True), Q), Returns(CLEAN)),
    ("126", "bfloat16", lambda: pooled(tensor().bfloat16(), Q) == pooled(tensor().bfloat16().double(), Q),
        Returns(True)),
    ("127", "array_api_dispatch", dispatched, Returns(True)),
    *(("128", use, lambda use=use: getattr(kl.KNNDivergence(), use)(P), Raises(NotFittedError, "KNNDivergence"))
        for use in ("divergence", "score", "score_samples")),
    ("129", "columns_reordered", lambda: fitted_on_frame().divergence(named(["c", "a", "b"])),
        Raises(ValueError, "order")),
    ("129", "columns_renamed", lambda: fitted_on_frame().divergence(named(["a", "b", "z"])),
        Raises(ValueError, "z")),
    ("129", "array_after_frame", array_after_frame, Returns(FINITE, (UserWarning,))),
    ("130", "a_name_in_a_plot", plotted, Returns(True)),
    ("131", "a_name_in_a_report", reported, Returns(True)),
]  # fmt: skip
