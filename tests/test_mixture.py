"""Gaussian mixtures: densities against mpmath, SciPy, scikit-learn and torch; shapes."""

import math
import pickle
import warnings

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import parameters, variances
from mpmath import mp
from scipy import stats
from scipy.special import logsumexp
from sklearn.mixture import GaussianMixture as SklearnMixture

import kltools as kl
from kltools import errors
from kltools.models import density

compiled_only = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="plain Python warns at infinities")


def scipy_log_density(weights, means, covs, x):
    parts = [stats.multivariate_normal(mean, cov).logpdf(x) for mean, cov in zip(means, covs, strict=True)]
    with np.errstate(divide="ignore"):
        return logsumexp(np.stack(parts, axis=-1) + np.log(weights), axis=-1)


def exact_log_density(weights, means, variances, x):
    """With independent coordinates."""
    with mp.workdps(60):
        total = mp.mpf(0)
        for weight, mean, var in zip(weights, means, variances, strict=True):
            part = mp.mpf(float(weight))
            for a, m, v in zip(x, mean, var, strict=True):
                v = mp.mpf(float(v))
                deviation = mp.fsub(mp.mpf(float(a)), mp.mpf(float(m)), exact=True)
                part *= mp.exp(-(deviation**2) / (2 * v)) / mp.sqrt(2 * mp.pi * v)
            total += part
        return float(mp.log(total)) if total else -math.inf


# ---------------------------------------------------------------- log-densities


@pytest.mark.parametrize("n_rows", [1, 2, 15, 16, 17, 100])
@pytest.mark.parametrize(("n_components", "d"), [(1, 1), (1, 3), (2, 1), (3, 2), (5, 7), (2, 40)])
def test_log_prob_is_that_of_scipy(n_components, d, n_rows):
    law = parameters(d, n_components, d)
    x = 3.0 * np.random.default_rng(n_rows).normal(size=(n_rows, d))
    truth = scipy_log_density(**law, x=x)
    np.testing.assert_allclose(kl.GaussianMixture(**law).log_prob(x), truth, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("n_components", "d"), [(1, 1), (3, 2), (4, 5), (2, 9)])
def test_full_covariances_in_exact_arithmetic(n_components, d):
    law = parameters(d, n_components, d)
    x = 3.0 * np.random.default_rng(d).normal(size=(12, d))
    with mp.workdps(50):
        inverses = [mp.inverse(mp.matrix(cov.tolist())) for cov in law["covs"]]
        scales = [mp.sqrt((2 * mp.pi) ** d * mp.det(mp.matrix(cov.tolist()))) for cov in law["covs"]]
        truth = []
        for row in x:
            shifts = [mp.matrix(row.tolist()) - mp.matrix(mean.tolist()) for mean in law["means"]]
            squares = [(shift.T * inverse * shift)[0] for shift, inverse in zip(shifts, inverses, strict=True)]
            parts = [w * mp.exp(-s / 2) / c for w, s, c in zip(law["weights"].tolist(), squares, scales, strict=True)]
            truth.append(float(mp.log(mp.fsum(parts))))
    np.testing.assert_allclose(kl.GaussianMixture(**law).log_prob(x), truth, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("condition", [1e4, 1e8, 1e12])
def test_near_singular_covariances_lose_what_their_condition_costs(condition):
    rng = np.random.default_rng(0)
    turn = stats.ortho_group.rvs(4, random_state=0)
    cov = (turn * np.geomspace(1.0 / condition, 1.0, 4)) @ turn.T
    cov = 0.5 * (cov + cov.T)
    x = rng.multivariate_normal(np.zeros(4), cov, size=20)
    with mp.workdps(60):
        exact = mp.matrix(cov.tolist())
        inverse, scale = mp.inverse(exact), mp.log((2 * mp.pi) ** 4 * mp.det(exact)) / 2
        rows = [mp.matrix(row.tolist()) for row in x]
        truth = [float(-(row.T * inverse * row)[0] / 2 - scale) for row in rows]
    p = kl.GaussianMixture(weights=[1.0], means=np.zeros((1, 4)), covs=cov[None])
    np.testing.assert_allclose(p.log_prob(x), truth, rtol=0.0, atol=1e-15 * condition)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_a_fitted_model_of_scikit_learn(covariance_type):
    X = np.random.default_rng(0).normal(size=(400, 3)) * [1.0, 2.0, 0.5] + np.repeat([[0.0], [4.0]], 200, axis=0)
    theirs = SklearnMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    ours = kl.GaussianMixture.from_sklearn(theirs)
    np.testing.assert_allclose(ours.log_prob(X), theirs.score_samples(X), rtol=1e-11, atol=1e-12)


def test_what_is_no_fitted_model():
    with pytest.raises(errors.InvalidParameterError, match=r"\(n_components=2\), which has not been fitted"):
        kl.GaussianMixture.from_sklearn(SklearnMixture(2))
    for wrong in (SklearnMixture, np.zeros(3), kl.Normal(mean=0.0, var=1.0), None):
        with pytest.raises(errors.InvalidTypeError, match=r"a fitted GaussianMixture of scikit-learn is needed"):
            kl.GaussianMixture.from_sklearn(wrong)


@pytest.mark.parametrize("diagonal", [False, True])
def test_torch_agrees_on_batches(diagonal):
    torch = pytest.importorskip("torch")
    law = parameters(3, 4, 2, batch=(5,))
    if diagonal:
        law["covs"] = variances(law["covs"])
    weights, means, covs = (torch.tensor(array) for array in law.values())
    scales = torch.linalg.cholesky(torch.diag_embed(covs) if diagonal else covs)
    theirs = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(probs=weights),
        torch.distributions.MultivariateNormal(means, scale_tril=scales),
    )
    x = np.random.default_rng(4).normal(size=(7, 5, 2))
    truth = theirs.log_prob(torch.tensor(x)).numpy()
    np.testing.assert_allclose(kl.GaussianMixture(**law).log_prob(x), truth, rtol=1e-11, atol=1e-12)


HARD = {
    "far_out": ([0.5, 0.5], [[-1.0], [1.0]], [[1.0], [2.0]], [1e6]),
    "tiny_weight": ([1e-300, 1.0], [[0.0], [100.0]], [[1.0], [1.0]], [0.0]),
    "tiny_variance": ([0.5, 0.5], [[0.0], [0.0]], [[1e-300], [1.0]], [1e-150]),
    "large_variance": ([0.5, 0.5], [[0.0], [0.0]], [[1e300], [1.0]], [1e149]),
    "offset": ([0.4, 0.6], [[1e8, -1e8], [1e8 + 2, 1e8]], [[1.0, 2.0], [3.0, 1e-4]], [1e8 + 1, -1e8 + 1]),
    "scales": ([0.4, 0.6], [[1e-100, 1e100], [0.0, 0.0]], [[1e-200, 1e200], [1e-198, 1e198]], [2e-100, 3e100]),
    "no_weight": ([0.0, 1.0], [[0.0], [9.0]], [[1.0], [1.0]], [0.0]),
}


@pytest.mark.parametrize("kind", HARD)
def test_log_prob_keeps_its_digits(kind):
    weights, means, var, x = HARD[kind]
    truth = exact_log_density(weights, means, var, x)
    full = np.array(var)[:, :, None] * np.eye(len(x))
    for covs in (var, full):
        value = kl.GaussianMixture(weights=weights, means=means, covs=covs).log_prob(x)
        assert value == pytest.approx(truth, rel=1e-13, abs=0)


@compiled_only
@pytest.mark.parametrize("x", [[1e200, 0.0], [0.0, -1e200], [1e200, 1e200], [1.7e308, -1.7e308], [-1.7e308, 1.7e308]])
def test_a_density_far_out_is_zero_and_never_nan(x):
    covs = np.array([[[1.0, 0.9], [0.9, 1.0]], [[2.0, -1.0], [-1.0, 2.0]]])
    means = np.array([[0.0, 0.0], [-1e308, 1e308]])
    for shapes in (covs, 1e-300 * covs, variances(covs)):
        assert kl.GaussianMixture(weights=[0.5, 0.5], means=means, covs=shapes).log_prob(x) == -math.inf


@compiled_only
def test_a_component_out_of_reach_leaves_the_others():
    """In units of the narrow one the point is (inf, -inf, inf - inf)."""
    narrow, wide = 1e-320 * (0.5 * np.eye(3) + 0.5), 1e300 * np.eye(3)
    p = kl.GaussianMixture(weights=[0.5, 0.5], means=np.zeros((2, 3)), covs=[narrow, wide])
    alone = math.log(0.5) + stats.norm(0.0, 1e150).logpdf(1e149) * 3
    assert p.log_prob([1e149, 1e149, 1e149]) == pytest.approx(alone, rel=1e-14)


def test_only_rows_with_nan_are_nan():
    p = kl.GaussianMixture(**parameters(0, 2, 3))
    x = np.zeros((4, 3))
    x[2, 1] = math.nan
    assert np.isnan(p.log_prob(x)).tolist() == [False, False, True, False]
    assert np.isnan(p[None].log_prob(x[:, None])).tolist() == [[False], [False], [True], [False]]


def test_a_component_without_weight_changes_no_bit():
    law, x = parameters(1, 3, 2), np.random.default_rng(1).normal(size=(50, 2))
    more = {name: np.concatenate([array[:1], array]) for name, array in law.items()}
    more["weights"][0] = 0.0
    np.testing.assert_array_equal(kl.GaussianMixture(**more).log_prob(x), kl.GaussianMixture(**law).log_prob(x))


def test_a_row_alone_gives_the_bits_of_many():
    p = kl.GaussianMixture(**parameters(2, 3, 4))
    x = p.sample(1000, random_state=0)
    np.testing.assert_array_equal(p.log_prob(x), [p.log_prob(row) for row in x])
    np.testing.assert_array_equal(p.log_prob(x)[::-1], p.log_prob(x[::-1]))


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("n_components", [31, 32, 33, 64, 65, 130])
def test_many_components_meet_many_rows(n_components, diagonal):
    """Whatever share of a chunk or of a block of rows is left over."""
    law = parameters(n_components, n_components, 3)
    x = 6.0 * np.random.default_rng(0).normal(size=(300, 3))
    matrices = law["covs"]
    if diagonal:
        law["covs"] = variances(matrices)
        matrices = law["covs"][..., None] * np.eye(3)
    p, truth = kl.GaussianMixture(**law), scipy_log_density(law["weights"], law["means"], matrices, x)
    for n_rows in (1, 127, 128, 129, 300):
        np.testing.assert_allclose(p.log_prob(x[:n_rows]), truth[:n_rows], rtol=1e-11, atol=1e-12)
    np.testing.assert_array_equal(p.log_prob(x), [p.log_prob(row) for row in x])


def test_a_hundred_thousand_components():
    """As the aggregate posterior of a variational autoencoder has."""
    rng = np.random.default_rng(0)
    means, var = rng.normal(size=(100_000, 4)), 0.05 + 0.05 * rng.random((100_000, 4))
    x = rng.normal(size=(20, 4))
    logs = [-0.5 * ((row - means) ** 2 / var + np.log(2.0 * np.pi * var)).sum(axis=1) for row in x]
    p = kl.GaussianMixture(weights=np.full(100_000, 1e-5), means=means, covs=var)
    np.testing.assert_allclose(p.log_prob(x), logsumexp(logs, axis=1) + math.log(1e-5), rtol=1e-12)


def test_rows_far_out_leave_the_bits_of_the_others():
    p = kl.GaussianMixture(**parameters(9, 40, 2))
    x = p.sample(64, random_state=0)
    mixed = x.copy()
    mixed[::3] = 1e200 * (1.0 + np.arange(22.0)[:, None])
    found = p.log_prob(mixed)
    assert (found[::3] == -math.inf).all()
    others = np.arange(64) % 3 != 0
    np.testing.assert_array_equal(found[others], p.log_prob(x)[others])


@pytest.mark.parametrize("diagonal", [False, True])
def test_registers_change_no_bit(diagonal, monkeypatch):
    law = parameters(11, 40, 5)
    if diagonal:
        law["covs"] = variances(law["covs"])
    p = kl.GaussianMixture(**law)
    x = np.concatenate([p.sample(150, random_state=0), [[1e200] * 5, [-1e3] * 5]])
    found = []
    for has in (True, False):
        monkeypatch.setattr(density, "has_avx512", lambda has=has: has)
        found.append(p.log_prob(x))
    np.testing.assert_array_equal(*found)


def test_threads_of_joblib_change_no_bit():
    joblib = pytest.importorskip("joblib")
    p = kl.GaussianMixture(**parameters(10, 20, 4))
    x = p.sample(50_000, random_state=0)
    with joblib.parallel_config(n_jobs=2, backend="threading"):
        found = p.log_prob(x)
    np.testing.assert_array_equal(found, p.log_prob(x))


@given(st.integers(1, 4), st.integers(1, 4), st.booleans(), st.floats(0.0, 1.0), st.integers(0, 2**16))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_a_component_may_be_told_as_two(n_components, d, diagonal, share, seed):
    law = parameters(seed, n_components, d)
    if diagonal:
        law["covs"] = variances(law["covs"])
    split = {name: np.concatenate([array, array[-1:]]) for name, array in law.items()}
    split["weights"][-2:] *= share, 1.0 - share
    x = np.random.default_rng(seed).normal(size=(5, d))
    whole, parts = (kl.GaussianMixture(**each).log_prob(x) for each in (law, split))
    np.testing.assert_allclose(parts, whole, rtol=1e-13, atol=1e-13)


# ---------------------------------------------------------------- shapes


def test_the_number_of_axes_says_what_covs_are():
    """Also where three components, three coordinates and three mixtures make the shapes equal."""
    rng = np.random.default_rng(5)
    weights, cube = np.full(3, 1 / 3), parameters(5, 3, 3)["covs"]
    x = rng.normal(size=(4, 3))
    p = kl.GaussianMixture(weights=weights, means=np.zeros((3, 3)), covs=cube)
    assert p.batch_shape == ()
    np.testing.assert_allclose(p.log_prob(x), scipy_log_density(weights, np.zeros((3, 3)), cube, x), rtol=1e-11)
    positive = rng.gamma(2.0, size=(3, 3, 3))
    batch = kl.GaussianMixture(weights=weights, means=np.zeros((1, 3, 3)), covs=positive)
    assert batch.batch_shape == (3,)
    for i in range(3):
        matrices = positive[i][:, :, None] * np.eye(3)
        truth = scipy_log_density(weights, np.zeros((3, 3)), matrices, x)
        np.testing.assert_allclose(batch[i].log_prob(x), truth, rtol=1e-11)


SHAPES = [
    ((2,), (2, 3), (2, 3), ()),
    ((2,), (2, 3), (2, 3, 3), ()),
    ((5, 2), (2, 3), (2, 3, 3), (5,)),
    ((2,), (5, 2, 3), (2, 3), (5,)),
    ((2,), (5, 2, 3), (1, 2, 3, 3), (5,)),
    ((2,), (2, 3), (5, 2, 3, 3), (5,)),
    ((2,), (1, 2, 3), (5, 2, 3), (5,)),
    ((4, 1, 2), (5, 2, 3), (2, 3), (4, 5)),
    ((5, 2), (4, 1, 2, 3), (4, 5, 2, 3, 3), (4, 5)),
]


@pytest.mark.parametrize(("weights", "means", "covs", "batch"), SHAPES, ids=str)
def test_batches_broadcast(weights, means, covs, batch):
    rng = np.random.default_rng(6)
    w, m = rng.dirichlet(np.ones(2), size=weights[:-1]), rng.normal(size=means)
    diagonal = len(covs) <= len(means)
    c = rng.gamma(2.0, size=covs) if diagonal else parameters(6, 2, 3, covs[:-3])["covs"]
    p = kl.GaussianMixture(weights=w, means=m, covs=c)
    assert (p.batch_shape, p.event_shape) == (batch, (3,))
    matrices = c[..., None] * np.eye(3) if diagonal else c
    x = rng.normal(size=(6, *batch, 3))
    every = [np.broadcast_to(w, (*batch, 2)), np.broadcast_to(m, (*batch, 2, 3))]
    every.append(np.broadcast_to(matrices, (*batch, 2, 3, 3)))
    found = p.log_prob(x)
    for i in np.ndindex(batch):
        np.testing.assert_allclose(
            found[(..., *i)], scipy_log_density(*(array[i] for array in every), x[(slice(None), *i)]), rtol=1e-11
        )
        np.testing.assert_array_equal(p[i].log_prob(x[(slice(None), *i)]), found[(..., *i)])


def test_points_broadcast_against_a_batch():
    p = kl.GaussianMixture(**parameters(7, 2, 3, batch=(4, 1)))
    x = np.random.default_rng(7).normal(size=(6, 1, 5, 3))
    found = p.log_prob(x)
    assert found.shape == (6, 4, 5)
    for i in range(4):
        np.testing.assert_array_equal(found[:, i], p[i, 0].log_prob(x[:, 0]))


WRONG = [
    ({"weights": [0.5, 0.25, 0.25]}, errors.ShapeMismatchError, r"event shapes differ.*weights \(3,\)"),
    ({"means": np.zeros((2, 4))}, errors.ShapeMismatchError, r"event shapes differ.*means \(2, 4\)"),
    ({"covs": np.ones((2, 4))}, errors.ShapeMismatchError, r"event shapes differ.*covs \(2, 4\)"),
    ({"covs": np.ones((1, 3))}, errors.ShapeMismatchError, r"event shapes differ.*covs \(1, 3\)"),
    ({"covs": np.ones(2)}, errors.ShapeMismatchError, r"covs of GaussianMixture needs at least 2 dimension"),
    ({"covs": np.ones((2, 0))}, errors.ShapeMismatchError, "covs of GaussianMixture is empty"),
    ({"covs": np.ones((2, 2, 3))}, errors.InvalidParameterError, "covs of GaussianMixture must be a symmetric"),
    ({"covs": [[1, 1, 1], [1, 0, 1]]}, errors.InvalidParameterError, "covs of GaussianMixture must be > 0"),
    ({"covs": np.ones((2, 3, 3))}, errors.InvalidParameterError, "covs of GaussianMixture must be positive definite"),
    ({"weights": [0.5, 0.6]}, errors.InvalidParameterError, "weights of GaussianMixture must be >= 0 and sum to 1"),
    ({"weights": [1.5, -0.5]}, errors.InvalidParameterError, "weights of GaussianMixture must be >= 0 and sum to 1"),
]


@pytest.mark.parametrize(("changed", "error", "message"), WRONG, ids=lambda x: "" if isinstance(x, type) else str(x))
def test_wrong_parameters(changed, error, message):
    right = {"weights": [0.5, 0.5], "means": np.zeros((2, 3)), "covs": np.ones((2, 3))}
    with pytest.raises(error, match=message):
        kl.GaussianMixture(**{**right, **changed})


def test_a_matrix_singular_but_for_rounding_is_told_once():
    cov = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-15]])
    with pytest.warns(kl.KLToolsWarning, match="covs of GaussianMixture is singular but for rounding"):
        p = kl.GaussianMixture(weights=[[0.5, 0.5]] * 2, means=np.zeros((2, 2)), covs=[np.eye(2), cov])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        part, copy = p[1], pickle.loads(pickle.dumps(p))
    assert part.log_prob([0.0, 0.0]) == copy.log_prob([0.0, 0.0])[1]
