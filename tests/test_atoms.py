"""Columns with atoms beside a density, clipped or often 0: counts within equal radii know them, densities do not."""

import math

import numpy as np
import pytest
from parts import assert_same, quietly
from scipy import integrate, stats

import kltools as kl
from kltools import _blocks
from kltools.estimators import BY_COUNTS, METHODS

DENSITIES = sorted(set(METHODS) - set(BY_COUNTS))


def clipped(seed, n=900, m=1100, d=3, shift=0.4, low=-1.0, high=1.0):
    rng = np.random.default_rng(seed)
    return [np.clip(rng.normal(mean, 1.0, (rows, d)), low, high) for mean, rows in ((0.0, n), (shift, m))]


def truth(d, shift, low, high):
    p, q = stats.norm(0.0, 1.0), stats.norm(shift, 1.0)
    ends = sum(a * math.log(a / b) for a, b in ((p.cdf(low), q.cdf(low)), (p.sf(high), q.sf(high))) if a > 0.0)
    between, _ = integrate.quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), max(low, -40.0), min(high, 40.0))
    return d * (ends + between)


@pytest.mark.parametrize("method", BY_COUNTS)
@pytest.mark.parametrize(
    ("d", "shift", "low", "high"), [(3, 0.4, -1.0, 1.0), (2, 0.4, 0.0, math.inf), (4, 0.0, 0.0, 9.0)]
)
def test_estimates_are_near_the_truth(method, d, shift, low, high):
    estimates = [
        quietly(kl.estimate_kl, *clipped(seed, d=d, shift=shift, low=low, high=high), method=method, random_state=0)
        for seed in range(4)
    ]
    mean = np.mean([estimate.value for estimate in estimates])
    assert abs(mean - truth(d, shift, low, high)) < 0.06  # densities are off by 0.3, and by 2 for four columns
    assert all(0.0 < estimate.standard_error < 0.08 for estimate in estimates)
    assert all("[0, 1" in estimate.warnings[0] and "equal radii" in estimate.warnings[0] for estimate in estimates)


@pytest.mark.parametrize("method", DENSITIES)
def test_methods_of_densities_say_that_they_cannot(method):
    X, Y = clipped(0, 200, 200, d=2)
    estimate = quietly(kl.estimate_kl, X, Y, method=method, random_state=0)
    assert estimate.reliable is False
    assert any("no density has such rows" in reason for reason in estimate.reasons)


def test_a_known_q_is_a_density():
    X, _ = clipped(0, d=2)
    q = kl.MultivariateNormalDiag(mean=[0.0, 0.0], var=[1.0, 1.0])
    estimate = quietly(kl.estimate_kl, X, q, method="knn")
    assert any("no density has such rows" in reason for reason in estimate.reasons)


@pytest.mark.parametrize("function", [kl.estimate_cross_entropy, kl.estimate_renyi])
def test_other_quantities_say_that_they_cannot(function):
    options = {"alpha": 0.5} if function is kl.estimate_renyi else {}
    found = quietly(function, *clipped(0, 200, 200, d=2), random_state=0, **options)
    assert any("no density has such rows" in reason for reason in found.reasons)


def test_one_clipped_column_is_named():
    X, Y = clipped(0, low=-9.0, high=9.0)
    X[:, 2], Y[:, 2] = np.maximum(X[:, 2], 0.0), np.maximum(Y[:, 2], 0.0)
    estimate = quietly(kl.estimate_kl, X, Y)
    assert estimate.warnings[0].startswith("columns [2] have one value in many rows")
    assert estimate.diagnostics["chosen_method"] == "knn"


def test_few_rows_are_not_taken_for_normal():
    estimate = quietly(kl.estimate_kl, *clipped(0, 50, 50, d=6), random_state=0)
    assert estimate.diagnostics["chosen_method"] == "knn"
    assert "equal radii" in estimate.warnings[0]


@pytest.mark.parametrize("change", [np.array, lambda Z: np.round(Z, 1), np.round, lambda Z: np.repeat(Z, 2, axis=0)])
def test_other_columns_have_no_atoms(change):
    X, Y = (change(Z) for Z in clipped(0, 400, 400, low=-9.0, high=9.0))
    estimate = quietly(kl.estimate_kl, X, Y, method="knn")
    assert not any("in many rows" in text for text in estimate.warnings)


def test_a_matrix_counts_as_well():
    X, Y = clipped(0, d=2)
    samples = [X, Y, Y[:30]]  # the last one is too small to be searched with the others
    matrix = quietly(kl.divergence_matrix, samples, n_neighbors=5)
    assert abs(matrix[0, 1] - truth(2, 0.4, -1.0, 1.0)) < 0.06
    for i, j in ((0, 1), (1, 0), (0, 2)):
        pair = quietly(kl.estimate_kl, samples[i], samples[j], method="knn", n_neighbors=5, scale="none")
        alone = quietly(kl.divergence_matrix, [samples[i], samples[j]], n_neighbors=5, scale="none")
        assert alone[0, 1] == pytest.approx(pair.value, rel=1e-12)


def test_in_blocks(monkeypatch):
    monkeypatch.setattr(_blocks, "STEP", 300)
    X, Y = clipped(0)
    expected = quietly(kl.estimate_kl, X, Y, method="knn", random_state=0)
    dask_array = pytest.importorskip("dask.array")
    import kltools.dask as kd

    found = quietly(
        kd.estimate_kl,
        *(dask_array.from_array(Z, chunks=(400, -1)) for Z in (X, Y)),
        method="knn",
        random_state=0,
        block_rows=300,
    )
    assert_same(found, expected)
