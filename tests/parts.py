"""Samples for estimates that are put together from parts, which must not be seen in any bit."""

import warnings

import numpy as np

from kltools.errors import KLToolsWarning


def samples(n, m, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ np.triu(np.ones((d, d))), rng.normal(0.3, 1.2, (m, d))


def quietly(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KLToolsWarning)
        return function(*arguments, **options)


def assert_same(found, expected, error=True):
    """Equal to the last bit, with all that is told."""
    assert found == expected
    assert found.diagnostics == expected.diagnostics
    if error:
        np.testing.assert_array_equal(found.standard_error, expected.standard_error)
