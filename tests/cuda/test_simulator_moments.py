"""Moments of samples in the simulator, against exact fractions, and estimates of method="gaussian" against the CPU."""

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kltools as kl
from kltools import cuda
from kltools.cuda import interop, moments
from kltools.cuda.moments import Rows
from kltools.models import moments as on_host

SHAPES = [(2, 1), (16, 1), (41, 1), (37, 3), (16, 4), (50, 5), (2, 33), (19, 33)]


def exact_moments(X):
    """The mean less the first row, and the summed products of deviations, each rounded once."""
    columns = [[Fraction(float(x)) for x in column] for column in np.asarray(X).T]
    means = [sum(column) / len(column) for column in columns]
    deviations = [[x - mean for x in column] for column, mean in zip(columns, means, strict=True)]
    offset = [float(mean - column[0]) for mean, column in zip(means, columns, strict=True)]
    return np.array(offset), np.array(
        [[float(sum(a * b for a, b in zip(u, v, strict=True))) for v in deviations] for u in deviations]
    )


def exact_squares(X, center, matrix, constants, weights):
    out = []
    for row in np.asarray(X):
        u = [Fraction(float(x)) - c for x, c in zip(row, center, strict=True)]
        lines = [sum(Fraction(w) * x for w, x in zip(line, u, strict=True)) for line in matrix.tolist()]
        terms = zip(weights.tolist(), lines, constants.tolist(), strict=True)
        out.append(float(sum(Fraction(w) * (line + Fraction(c)) ** 2 for w, line, c in terms)))
    return np.array(out)


def assert_moments(found, X):
    (offset, products), (exact_offset, exact_products) = found, exact_moments(X)
    spread = np.sqrt(np.diag(exact_products))
    assert (np.abs(offset - exact_offset) <= 1e-15 * (spread + np.abs(exact_offset))).all()
    assert (np.abs(products - exact_products) <= 1e-15 * np.sqrt(len(X)) * np.outer(spread, spread)).all()
    assert np.array_equal(products, products.T)


@pytest.mark.parametrize("center", [0.0, 1e9])
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_moments(n, d, center):
    X = np.random.default_rng([n, d]).normal(center, 2.0, (n, d))
    assert_moments(Rows(X).moments(), X)


@pytest.mark.parametrize("length", [1, 4, 7, 17])
@pytest.mark.parametrize(("n", "d"), [(2, 1), (41, 1), (21, 4), (9, 5), (5, 33)])
def test_squares(n, d, length):
    rng = np.random.default_rng([n, d, length])
    X, matrix, offset = 1e6 + rng.normal(size=(n, d)), rng.normal(size=(length, d)), rng.normal(size=d)
    constants, weights = rng.normal(size=(2, length))
    center = [Fraction(a) + Fraction(b) for a, b in zip(X[1].tolist(), offset.tolist(), strict=True)]
    plain = np.zeros(length), np.ones(length)
    found = Rows(X).squares(X[1], offset, matrix)
    np.testing.assert_allclose(found, exact_squares(X, center, matrix, *plain), rtol=1e-13)
    found = Rows(X).squares(X[1], offset, matrix, constants, weights)
    sizes = exact_squares(X, center, matrix, constants, np.abs(weights))
    expected = exact_squares(X, center, matrix, constants, weights)
    assert (np.abs(found - expected) <= 1e-12 * (sizes + np.abs(weights).sum())).all()


def test_squares_without_a_matrix_are_of_distances():
    X = np.random.default_rng(0).normal(size=(23, 5))
    found = Rows(X).squares(X[0], np.zeros(5))
    np.testing.assert_allclose(found, [math.dist(row, X[0]) ** 2 for row in X], rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "view",
    [lambda x: x, lambda x: x[::2], lambda x: x[:, ::-1], lambda x: x[3:, 1:], lambda x: x[:5].T],
    ids=["whole", "rows", "turned", "part", "transposed"],
)
def test_views_of_any_layout(view, dtype):
    X = view(np.random.default_rng(1).normal(3.0, 1.0, (38, 6)).astype(dtype))
    rows = Rows(X)
    assert_moments(rows.moments(), X)
    expected = [math.fsum((float(a) - float(b)) ** 2 for a, b in zip(row, X[0], strict=True)) for row in X]
    np.testing.assert_allclose(rows.squares(X[0], np.zeros(X.shape[1])), expected, rtol=1e-14)


def everything(X):
    rows = Rows(X)
    offset, products = rows.moments()
    return offset, products, rows.squares(rows.origin, offset)


def test_neither_memory_nor_launches_change_a_bit(monkeypatch):
    X = np.random.default_rng(2).normal(size=(70, 5))
    expected = everything(X)
    with cuda.memory_limit(1):
        in_blocks = everything(X)
    monkeypatch.setattr(moments, "_MOST_PARTS", 50)
    by_two_chunks = everything(X)
    monkeypatch.setattr(moments, "_FOLDING_BLOCKS", 1)
    for found in (in_blocks, by_two_chunks, everything(X)):
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_rows_are_sent_once(monkeypatch):
    sent, view = [], interop.Place.view
    monkeypatch.setattr(interop.Place, "view", lambda self, x: sent.append(x.shape) or view(self, x))
    everything(np.random.default_rng(3).normal(size=(40, 2)))
    assert sent == [(40, 2)]
    with cuda.memory_limit(1):
        everything(np.random.default_rng(3).normal(size=(40, 2)))
    assert sent[1:] == 3 * [(16, 2), (16, 2), (8, 2)]


@settings(max_examples=10, deadline=None)
@given(data=st.data(), n=st.integers(2, 20), d=st.integers(1, 3), shift=st.integers(-(2**40), 2**40))
def test_a_shift_changes_no_bit(data, n, d, shift):
    numbers = data.draw(st.lists(st.integers(-1000, 1000), min_size=n * d, max_size=n * d))
    X = np.array(numbers, dtype=np.float64).reshape(n, d)
    for a, b in zip(everything(X), everything(X + shift), strict=True):
        assert np.array_equal(a, b)


# ---------------------------------------------------------------- estimates


def estimates(X, Y, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [kl.estimate_kl(X, Y, method="gaussian", device=device, **options) for device in ("cpu", "cuda")]


def assert_same(expected, found):
    assert found.value == pytest.approx(expected.value, rel=1e-12, abs=1e-14)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-12, abs=1e-14, nan_ok=True)
    assert found.warnings == expected.warnings
    assert found.reliable == expected.reliable
    assert found.diagnostics == expected.diagnostics


@pytest.mark.parametrize(("n", "m", "d"), [(2, 4, 1), (41, 50, 1), (30, 35, 3), (37, 36, 33)])
def test_estimates_are_those_of_the_cpu(n, m, d):
    rng = np.random.default_rng([5, d])
    expected, found = estimates(rng.normal(size=(n, d)), rng.normal(0.5, 1.5, (m, d)) + 1e3 * np.arange(d))
    assert_same(expected, found)
    assert math.isfinite(found.value)


@pytest.mark.parametrize("options", [{"bias": "mle"}, {"covariance": "ledoit-wolf"}, {"covariance": "oas"}], ids=str)
def test_options(options):
    rng = np.random.default_rng(6)
    X, Y = rng.normal(size=(20, 5)) @ rng.normal(size=(5, 5)), rng.normal(size=(25, 5))
    assert_same(*estimates(X, Y, **{"bias": "mle", **options}))
    q = kl.MultivariateNormalDiag(mean=np.zeros(5), var=2.0 * np.ones(5))
    assert_same(*estimates(X, q, **{"bias": "mle", **options}))


def special_cases():
    rng = np.random.default_rng(7)
    X, Y = rng.normal(size=(30, 2)), rng.normal(size=(40, 2))
    constant, wild, plane = np.ones((40, 1)), X.copy(), X.copy()
    wild[3] = 1e4
    plane[:, 1] = 3.0 * plane[:, 0]
    return {
        "equal constants": (np.hstack([X, constant[:30]]), np.hstack([Y, constant])),
        "a constant column": (X, np.hstack([Y[:, :1], constant])),
        "a wild row": (wild, Y),
        "repeated rows": (np.vstack([X, X[:5]]), Y),
        "a plane": (plane, Y),
        "tiny": (1e-200 * X, 1e-200 * Y),
        "large": (1e200 * X, 1e200 * Y),
        "of other magnitudes": (X * [1e-90, 1.0], Y * [1e-95, 1.0]),
        "beyond float64": (1e160 * X, 1e-160 * Y),
    }


@pytest.mark.parametrize("name", special_cases())
def test_special_cases_are_those_of_the_cpu(name):
    expected, found = estimates(*special_cases()[name])
    assert_same(expected, found)
    assert name in ("tiny", "large") or expected.warnings or expected.value > 1e6


def test_what_cannot_be_estimated_is_refused():
    X = np.random.default_rng(8).normal(size=(9, 3))
    with pytest.raises(kl.NotEnoughSamplesError, match=r"method='gaussian' in 3 features"):
        kl.estimate_kl(X[:3], X, method="gaussian", device="cuda")
    with pytest.raises(kl.InvalidParameterError, match="NaN"):
        kl.estimate_kl(X * math.nan, X, method="gaussian", device="cuda")


def test_rows_are_traversed_on_the_device_alone(monkeypatch):
    rng = np.random.default_rng(9)
    X, Y = rng.normal(size=(40, 2)), rng.normal(size=(45, 2))

    def refused(*_):
        raise AssertionError

    for name in ("moments", "squares"):
        monkeypatch.setattr(on_host.Rows, name, refused)
    value = kl.estimate_kl(X, Y, method="gaussian", device="cuda").value
    assert kl.estimate_kl(X, Y, method="gaussian", device="cuda").value == value
    with pytest.raises(AssertionError):
        kl.estimate_kl(X, Y, method="gaussian")


class There:
    """What has the CUDA array interface alone."""

    def __init__(self, array):
        self.__cuda_array_interface__ = {**array.__array_interface__, "version": 3}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_on_the_device(dtype):
    rng = np.random.default_rng(10)
    X, Y = rng.normal(size=(50, 4)).astype(dtype)[::2, ::-1], rng.normal(size=(2, 30)).astype(dtype).T
    expected = kl.estimate_kl(X[:, :2].astype(np.float64), Y.astype(np.float64), method="gaussian")
    found = kl.estimate_kl(There(X[:, :2]), There(Y), method="gaussian")
    assert_same(expected, found)
