"""Rows that repeat, or stand in both samples, are told by every method that counts all of them."""

import warnings

import numpy as np
import pytest

import kltools as kl
from kltools import errors

every_method = pytest.mark.parametrize("method", ["gaussian", "kde", "classifier", "ulsif", "rulsif", "kliep"])


def told(X, Y, method):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = kl.estimate_kl(X, Y, method=method, random_state=0)
    texts = [str(warning.message) for warning in caught if issubclass(warning.category, errors.TiesWarning)]
    assert set(texts) <= set(found.warnings)
    return texts


def normals(n=150, m=200):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 2)), 0.5 + rng.standard_normal((m, 2))


@every_method
def test_nothing_is_told_of_independent_draws(method):
    assert told(*normals(), method) == []


@every_method
def test_rows_that_repeat(method):
    X, Y = normals()
    (text,) = told(np.concatenate([X, X[:40]]), np.concatenate([Y, Y[:7]]), method)
    assert text.startswith("47 rows repeat within their sample")


@every_method
def test_rows_in_both_samples(method):
    X, Y = normals()
    X[:30] = Y[:30]
    (text,) = told(X, Y, method)
    assert text.startswith("30 rows of X occur also in Y")


def test_rows_against_a_known_q():
    X, _ = normals()
    q = kl.MultivariateNormalDiag(mean=[0.0, 0.0], var=[1.0, 1.0])
    for method in ("gaussian", "kde"):
        (text,) = told(np.concatenate([X, X[:40]]), q, method)
        assert text.startswith("40 rows repeat")
