"""The nearest-neighbour estimate of samples without ties."""

import numpy as np
import pytest
from scipy.spatial import distance
from scipy.special import digamma

from kltools.neighbors.contrast import Some, contrast
from kltools.neighbors.neighborhood import Search

N, M, KS, RADIUS_K = 240, 300, (3, 5), 4


def naive_rows(X, Y, ks, radius_k):
    """For each row of X both estimates, from all distances."""
    own, other = distance.cdist(X, X), distance.cdist(X, Y)
    np.fill_diagonal(own, np.inf)
    fixed, equal = [], []
    for rho, nu in zip(np.sort(own), np.sort(other), strict=True):
        fixed.append(np.mean([X.shape[1] * np.log(nu[k - 1] / rho[k - 1]) for k in ks]))
        radius = max(rho[radius_k - 1], nu[radius_k - 1])
        inside = [radius_k if z[radius_k - 1] == radius else (z <= radius).sum() + 1 for z in (rho, nu)]
        equal.append(digamma(inside[0]) - digamma(inside[1]))
    constant = np.log(len(Y) / (len(X) - 1))
    return np.array(fixed) + constant, np.array(equal) + constant


@pytest.mark.parametrize("d", [1, 3, 20])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_contrast_of_all_rows(d, n_jobs):
    rng = np.random.default_rng(d)
    X, Y = rng.normal(size=(N, d)), rng.normal(0.2, 1.1, (M, d))
    fixed, equal = naive_rows(X, Y, KS, RADIUS_K)
    found = contrast(X, Y, Search(KS, n_jobs), RADIUS_K)
    np.testing.assert_allclose([found.fixed, found.equal], [fixed.mean(), equal.mean()], rtol=1e-12)
    assert contrast(X, Y, Search(KS, n_jobs), RADIUS_K, Some(N, rng)) == found


@pytest.mark.parametrize("d", [1, 3, 20])
def test_contrast_of_some_rows_is_a_mean_over_these(d):
    """With all but one row left out, one of the rows is the answer."""
    rng = np.random.default_rng(d)
    X, Y = rng.normal(size=(N, d)), rng.normal(0.2, 1.1, (M, d))
    fixed, equal = naive_rows(X, Y, KS, RADIUS_K)
    found = contrast(X, Y, Search(KS), RADIUS_K, Some(1, rng))
    row = int(np.argmin(np.abs(fixed - found.fixed)))
    np.testing.assert_allclose([found.fixed, found.equal], [fixed[row], equal[row]], rtol=1e-12)
    half = contrast(X, Y, Search(KS), RADIUS_K, Some(N // 2, rng))
    assert half != contrast(X, Y, Search(KS), RADIUS_K)
    for value, rows in ((half.fixed, fixed), (half.equal, equal)):
        assert abs(value - rows.mean()) < 4.0 * rows.std() / np.sqrt(N // 2)
