"""Relatives of KL: closed forms against exact arithmetic, the others against quadrature of mpmath and plain sums."""

import itertools
import math

import numpy as np
import pytest
import scalar_laws as laws
from exact import matrix, relative_error
from mpmath import mp

import kltools as kl
from kltools import errors
from kltools.families import gaussian_relatives
from kltools.relatives import exponential_log_affinity

INF = math.inf
ALPHAS = (0.01, 0.3, 0.5, 0.9, 1.0 - 1e-9, 1.0 + 1e-9, 1.5, 2.0, 7.0)
NORMALS = [
    (0.0, 1.0), (1.0, 1.0), (1e-8, 1.0), (0.0, 1.0 + 1e-8), (-3.0, 2.5), (0.0, 1e-6), (10.0, 1e8), (1e5, 1.3),
    (0.0, 1e-250), (1e100, 1e200),
]  # fmt: skip
SYMMETRIC = (kl.jeffreys, kl.jensen_shannon, kl.hellinger, kl.bhattacharyya, kl.total_variation)
DIVERGENCES = {
    **{function.__name__: function for function in (*SYMMETRIC, kl.chi_squared)},
    **{f"renyi {a}": (lambda p, q, a=a, **options: kl.renyi(p, q, alpha=a, **options)) for a in (0.3, 1.0, 1.7)},
    **{f"tsallis {a}": (lambda p, q, a=a, **options: kl.tsallis(p, q, alpha=a, **options)) for a in (0.3, 1.0, 1.7)},
    "f": lambda p, q, **options: kl.f_divergence(p, q, lambda t: (t - 1) ** 2 / (t + 1), **options),
}
every_divergence = pytest.mark.parametrize("divergence", DIVERGENCES.values(), ids=DIVERGENCES)


def normal(mean, var):
    return kl.Normal(mean=mean, var=var)


def exact_log_affinity(p, q, alpha):
    """For two pairs of mean and variance; inf where the integral diverges."""
    (mean_p, var_p), (mean_q, var_q) = [tuple(map(mp.mpf, law)) for law in (p, q)]
    alpha = mp.mpf(alpha)
    mixed = (1 - alpha) * var_p + alpha * var_q
    if mixed <= 0:
        return mp.inf
    gap = mp.log(mixed) - (1 - alpha) * mp.log(var_p) - alpha * mp.log(var_q)
    shift = mp.fsub(mean_p, mean_q, exact=True)
    return -gap / 2 - alpha * (1 - alpha) * shift**2 / mixed / 2


# ---------------------------------------------------------------- Gaussians


@pytest.mark.parametrize("alpha", ALPHAS)
def test_orders_of_normals_are_exact(alpha):
    with mp.workdps(700):
        for p, q in itertools.product(NORMALS, NORMALS):
            found = kl.renyi(normal(*p), normal(*q), alpha=alpha)
            assert found >= 0.0
            truth = exact_log_affinity(p, q, alpha) / (mp.mpf(alpha) - 1)
            assert relative_error(found, truth) <= 2e-13, (p, q, found, mp.nstr(truth, 17))
            small = kl.tsallis(normal(*p), normal(*q), alpha=alpha)
            truth = mp.expm1(exact_log_affinity(p, q, alpha)) / (mp.mpf(alpha) - 1)
            if abs(truth) < 1e10:
                assert relative_error(small, truth) <= 1e-11, (p, q, small, mp.nstr(truth, 17))


def test_functions_of_the_affinity_of_normals():
    with mp.workdps(700):
        for p, q in itertools.product(NORMALS, NORMALS):
            first, second = normal(*p), normal(*q)
            half, double = exact_log_affinity(p, q, 0.5), exact_log_affinity(p, q, 2)
            assert relative_error(kl.bhattacharyya(first, second), -half) <= 2e-13
            assert relative_error(kl.hellinger(first, second), mp.sqrt(-mp.expm1(half))) <= 2e-13
            if double == mp.inf or double < 100:
                assert relative_error(kl.chi_squared(first, second), mp.expm1(double)) <= 1e-11


def test_divergences_of_normals_that_are_inf():
    assert kl.chi_squared(normal(0, 2), normal(0, 1)) == INF
    assert kl.chi_squared(normal(0, 1.999), normal(0, 1)) < INF
    assert kl.renyi(normal(0, 1.5), normal(0, 1), alpha=3) == INF
    assert kl.renyi(normal(0, 1.49), normal(0, 1), alpha=3) < INF
    p, q = (kl.MultivariateNormalDiag(mean=[0, 0], var=var) for var in ([2.5, 0.1], [1, 1]))
    assert kl.chi_squared(p, q) == kl.chi_squared(p.to_full(), q) == INF


def diagonal(rng, d=3):
    return kl.MultivariateNormalDiag(mean=rng.normal(size=d), var=rng.gamma(3.0, size=d))


def full(rng, d=3):
    factor = rng.normal(size=(d, d + 2))
    return kl.MultivariateNormal(mean=rng.normal(size=d), cov=factor @ factor.T)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.1])
@pytest.mark.parametrize("kinds", [(full, full), (full, diagonal), (diagonal, full), (diagonal, diagonal)])
def test_gaussians_of_several_dimensions(alpha, kinds):
    rng = np.random.default_rng(0)
    with mp.workdps(60):
        for _ in range(5):
            p, q = (kind(rng) for kind in kinds)
            covs = [matrix((law.cov if hasattr(law, "cov") else np.diag(law.var)).tolist()) for law in (p, q)]
            a = mp.mpf(alpha)
            mixed = (1 - a) * covs[0] + a * covs[1]
            shift = mp.matrix((p.mean - q.mean).tolist())
            is_finite = np.linalg.eigvalsh(np.array(mixed.tolist(), dtype=float)).min() > 0
            if is_finite:
                gap = mp.log(mp.det(mixed)) - (1 - a) * mp.log(mp.det(covs[0])) - a * mp.log(mp.det(covs[1]))
                truth = -gap / 2 - a * (1 - a) * (shift.T * mixed**-1 * shift)[0] / 2
            else:
                truth = mp.inf
            assert relative_error(kl.renyi(p, q, alpha=alpha), truth / (a - 1)) <= 1e-11


def test_gaussians_that_nearly_agree():
    rng = np.random.default_rng(1)
    p = full(rng)
    cov = np.array(p.cov)
    cov[0, 0] *= 1 + 1e-8
    q = kl.MultivariateNormal(mean=p.mean, cov=cov)
    with mp.workdps(80):
        first, second = (matrix(law.cov.tolist()) for law in (p, q))
        gap = mp.log(mp.det((first + second) / 2)) - mp.log(mp.det(first)) / 2 - mp.log(mp.det(second)) / 2
        assert relative_error(kl.bhattacharyya(p, q), gap / 2) <= 1e-9 * np.linalg.cond(cov)
    assert kl.bhattacharyya(p, p) == 0.0


def test_total_variation_of_normals():
    with mp.workdps(60):
        for p, q in itertools.product(NORMALS[:8], NORMALS[:8]):
            found = kl.total_variation(normal(*p), normal(*q))
            truth = exact_total_variation(p, q)
            assert relative_error(found, truth) <= 1e-12, (p, q, found, mp.nstr(truth, 17))
    assert kl.total_variation(normal(0, 1e-250), normal(0, 1)) == 1.0
    assert kl.total_variation(normal(0, 1), normal(1e300, 1)) == 1.0


def test_a_kink_beside_the_edge_of_a_panel():
    """These densities cross nearer to an edge than any node is."""
    laws_of_logs = [(0.0, 0.0625), (1.84375, 1.40625)]
    truth = kl.total_variation(*(normal(*law) for law in laws_of_logs))
    p, q = (laws.LogNormal(mean=mean, var=var) for mean, var in laws_of_logs)
    assert kl.total_variation(p, q) == pytest.approx(truth, rel=1e-9)


def exact_total_variation(p, q):
    """From the roots of the difference of log-densities, in plain arithmetic of 60 digits."""
    if p == q:
        return mp.mpf(0)
    (mean_p, var_p), (mean_q, var_q) = [tuple(map(mp.mpf, law)) for law in (p, q)]
    a = 1 / var_p - 1 / var_q
    b = -2 * (mean_p / var_p - mean_q / var_q)
    c = mean_p**2 / var_p - mean_q**2 / var_q + mp.log(var_p / var_q)
    roots = (
        [-c / b]
        if a == 0
        else [(-b - mp.sqrt(b * b - 4 * a * c)) / (2 * a), (-b + mp.sqrt(b * b - 4 * a * c)) / (2 * a)]
    )

    def difference(x):
        return mp.ncdf(x, mean_p, mp.sqrt(var_p)) - mp.ncdf(x, mean_q, mp.sqrt(var_q))

    values = [difference(x) for x in roots]
    return abs(values[-1] - values[0]) if len(values) == 2 else abs(values[0])


def test_nodes_of_gauss_and_legendre():
    nodes, weights = np.polynomial.legendre.leggauss(8)
    np.testing.assert_allclose(gaussian_relatives._NODES, nodes[4:], rtol=1e-15)
    np.testing.assert_allclose(gaussian_relatives._WEIGHTS, weights[4:], rtol=1e-14)


# ---------------------------------------------------------------- exponential families


@pytest.mark.parametrize("alpha", [0.01, 0.3, 0.5, 0.9, 1.1, 2.0, 5.0])
@pytest.mark.parametrize(("a", "b"), [(1, 2), (2, 1), (1, 1 + 1e-8), (1e-3, 7), (5, 4.9), (3, 3)])
def test_exponential_and_poisson_by_the_rule(a, b, alpha):
    with mp.workdps(60):
        x, y, order = mp.mpf(a), mp.mpf(b), mp.mpf(alpha)
        if a == b:
            assert exponential_log_affinity(laws.Poisson(rate=a), laws.Poisson(rate=b), alpha=alpha) == 0.0
            assert exponential_log_affinity(laws.Exponential(rate=a), laws.Exponential(rate=b), alpha=alpha) == 0.0
            return
        mixed = order * x + (1 - order) * y
        truth = mp.inf if mixed <= 0 else order * mp.log(x) + (1 - order) * mp.log(y) - mp.log(mixed)
        found = exponential_log_affinity(laws.Exponential(rate=a), laws.Exponential(rate=b), alpha=alpha)
        assert relative_error(float(found), truth) <= 1e-11
        p, q = laws.Poisson(rate=a), laws.Poisson(rate=b)
        truth = x**order * y ** (1 - order) - mixed
        if abs(a - b) > 1e-6:  # KL of these is written plainly
            assert relative_error(float(exponential_log_affinity(p, q, alpha=alpha)), truth) <= 1e-9
            if alpha < 3:
                assert kl.tsallis(p, q, alpha=alpha) == pytest.approx(
                    kl.tsallis(p, q, alpha=alpha, method="quadrature"), rel=1e-9, abs=1e-14
                )


def test_exponential_families_with_two_parameters_and_batches():
    p = laws.Gamma(shape=[0.5, 3.0, 3.0], rate=[1.0, 2.0, 9.0])
    q = laws.Gamma(shape=2.0, rate=[[3.0], [8.0]])
    for alpha in (0.4, 2.0):
        found = kl.renyi(p, q, alpha=alpha)
        assert found.shape == (2, 3)
        np.testing.assert_allclose(found, kl.renyi(p, q, alpha=alpha, method="quadrature"), rtol=1e-9)
    assert np.isinf(kl.chi_squared(p, q)).tolist() == [[True, False, False], [True, True, False]]
    np.testing.assert_array_equal(kl.hellinger(p, p), np.zeros(3))


def test_a_rate_of_0():
    zero, two = laws.Poisson(rate=0.0), laws.Poisson(rate=2.0)
    assert kl.bhattacharyya(zero, two) == kl.bhattacharyya(two, zero) == pytest.approx(1.0)
    assert kl.chi_squared(two, zero) == INF
    assert kl.chi_squared(zero, two) == pytest.approx(math.expm1(2.0))
    assert kl.bhattacharyya(zero, zero) == 0.0


# ---------------------------------------------------------------- categories


def tables(seed, n=5):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n))


@pytest.mark.parametrize("seed", range(5))
def test_categories_are_plain_sums(seed):
    a, b = tables(seed)
    p, q, m = kl.Categorical(probs=a), kl.Categorical(probs=b), (a + b) / 2
    js = (a * np.log(a / m) + b * np.log(b / m)).sum() / 2
    expected = {
        "jeffreys": ((a - b) * np.log(a / b)).sum(),
        "jensen_shannon": js,
        "hellinger": math.sqrt(1 - np.sqrt(a * b).sum()),
        "bhattacharyya": -math.log(np.sqrt(a * b).sum()),
        "total_variation": abs(a - b).sum() / 2,
        "chi_squared": (a * a / b).sum() - 1,
        "f": ((a - b) ** 2 / (a + b)).sum(),
        **{f"renyi {o}": math.log((a**o * b ** (1 - o)).sum()) / (o - 1) for o in (0.3, 1.7)},
        **{f"tsallis {o}": ((a**o * b ** (1 - o)).sum() - 1) / (o - 1) for o in (0.3, 1.7)},
        "renyi 1.0": (a * np.log(a / b)).sum(),
        "tsallis 1.0": (a * np.log(a / b)).sum(),
    }
    assert expected.keys() == DIVERGENCES.keys()
    for name, value in expected.items():
        assert DIVERGENCES[name](p, q) == pytest.approx(value, rel=1e-12), name
        assert DIVERGENCES[name](p, q, method="closed_form") == DIVERGENCES[name](p, q), name
    assert kl.entropy(p) == pytest.approx(-(a * np.log(a)).sum(), rel=1e-14)
    assert kl.cross_entropy(p, q) == pytest.approx(-(a * np.log(b)).sum(), rel=1e-14)


def test_categories_that_nearly_agree():
    p, q = kl.Categorical(probs=[0.5, 0.5]), kl.Categorical(probs=[0.5 + 2.0**-30, 0.5 - 2.0**-30])
    with mp.workdps(60):
        a, b = [mp.mpf(0.5)] * 2, [mp.mpf(0.5) + mp.ldexp(1, -30), mp.mpf(0.5) - mp.ldexp(1, -30)]
        affinity = mp.fsum(mp.sqrt(x * y) for x, y in zip(a, b, strict=True))
        chi = mp.fsum(x * x / y for x, y in zip(a, b, strict=True)) - 1
        js = mp.fsum(x * mp.log(2 * x / (x + y)) + y * mp.log(2 * y / (x + y)) for x, y in zip(a, b, strict=True)) / 2
        assert relative_error(kl.bhattacharyya(p, q), -mp.log(affinity)) <= 1e-12
        assert relative_error(kl.chi_squared(p, q), chi) <= 1e-12
        assert relative_error(kl.jensen_shannon(p, q), js) <= 1e-12


def test_categories_with_zeros():
    p, q, r = (kl.Categorical(probs=probs) for probs in ([1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]))
    assert kl.chi_squared(q, p) == kl.jeffreys(p, q) == kl.renyi(q, p, alpha=1.5) == INF
    assert kl.chi_squared(p, q) == pytest.approx(1.0)
    assert kl.bhattacharyya(p, r) == INF
    assert kl.hellinger(p, r) == kl.total_variation(p, r) == 1.0
    assert kl.jensen_shannon(p, r, unit="bits") == pytest.approx(1.0)
    assert kl.f_divergence(q, p, lambda t: t * np.log(t)) == INF
    assert kl.f_divergence(q, p, lambda t: abs(t - 1) / 2) == pytest.approx(0.5)
    tiny = kl.Categorical(probs=[1e-300, 1.0, 0.0])
    assert kl.bhattacharyya(p, tiny) == pytest.approx(150 * math.log(10), rel=1e-14)


# ---------------------------------------------------------------- every divergence


PAIRS = [
    (normal(0, 1), normal(0.5, 1.4)),
    (laws.Gamma(shape=2.0, rate=1.0), laws.Gamma(shape=2.2, rate=0.9)),
    (kl.Categorical(probs=[0.2, 0.3, 0.5]), kl.Categorical(probs=[0.3, 0.3, 0.4])),
    (laws.Laplace(loc=0.0, scale=1.0), laws.Cauchy(loc=0.1, scale=1.0)),
    (laws.Poisson(rate=2.0), laws.Geometric(probs=0.4)),
]


@every_divergence
@pytest.mark.parametrize(("p", "q"), PAIRS, ids=lambda law: type(law).__name__)
def test_divergence_is_0_at_equals_and_positive_else(divergence, p, q):
    assert divergence(p, p) == divergence(q, q) == 0.0
    assert divergence(p, q) > 0.0
    assert divergence(p, q, method="quadrature") == pytest.approx(divergence(p, q), rel=1e-9)
    if divergence in SYMMETRIC:
        assert divergence(q, p) == pytest.approx(divergence(p, q), rel=1e-9)


@pytest.mark.parametrize(("p", "q"), PAIRS, ids=lambda law: type(law).__name__)
def test_f_divergences_are_the_others(p, q):
    generators = {
        kl.total_variation: lambda t: abs(t - 1) / 2,
        kl.chi_squared: lambda t: (t - 1) ** 2,
        kl.jensen_shannon: lambda t: (t * np.log(t) - (t + 1) * np.log((t + 1) / 2)) / 2,
        lambda p, q: kl.hellinger(p, q) ** 2: lambda t: (np.sqrt(t) - 1) ** 2 / 2,
    }
    for divergence, f in generators.items():
        assert kl.f_divergence(p, q, f) == pytest.approx(divergence(p, q), rel=1e-8)


@every_divergence
def test_batches_broadcast(divergence):
    p, q = normal([[0.0], [1.0]], 1.0), normal([0.0, 0.5, 3.0], 1.2)
    found = divergence(p, q)
    np.testing.assert_allclose(found, [[divergence(p[i, 0], q[j]) for j in range(3)] for i in range(2)], rtol=1e-12)
    assert isinstance(divergence(p[0, 0], q[0]), float)
    assert divergence(p[:0], q).shape == (0, 3)


def test_jensen_shannon_of_several():
    p = [normal(mean, 1) for mean in (0.0, 1.0, 5.0)]
    weights = [0.2, 0.3, 0.5]
    with mp.workdps(20):

        def density(i, x):
            return mp.npdf(x, float(p[i].mean), 1)

        def term(x):
            mixture = mp.fsum(w * density(i, x) for i, w in enumerate(weights))
            return mp.fsum(w * density(i, x) * mp.log(density(i, x) / mixture) for i, w in enumerate(weights))

        truth = float(mp.quad(term, [-12, -4, 0, 1, 3, 5, 9, 17]))
    assert kl.jensen_shannon(p, weights=weights) == pytest.approx(truth, rel=1e-9)
    assert kl.jensen_shannon(p[:2], weights=[0.5, 0.5]) == kl.jensen_shannon(*p[:2])
    with pytest.raises(errors.ShapeMismatchError, match="3 numbers"):
        kl.jensen_shannon(p, weights=[0.5, 0.5])
    with pytest.raises(errors.InvalidTypeError, match="two or more"):
        kl.jensen_shannon(p[:1])
    with pytest.raises(errors.InvalidTypeError, match=r"p\[1\] is a float"):
        kl.jensen_shannon([p[0], 1.0])


def test_units():
    p, q = PAIRS[0]
    for function in (kl.jeffreys, kl.jensen_shannon, kl.bhattacharyya, kl.cross_entropy):
        assert function(p, q, unit="bits") == pytest.approx(function(p, q) / math.log(2), rel=1e-15)
    assert kl.renyi(p, q, alpha=2, unit="bits") == pytest.approx(kl.renyi(p, q, alpha=2) / math.log(2), rel=1e-15)
    with pytest.raises(TypeError, match="unit"):
        kl.hellinger(p, q, unit="bits")


def test_without_a_form_the_way_out_is_named():
    p, q = (kl.MultivariateNormalDiag(mean=[m, 0], var=[1, 1]) for m in (0, 1))
    for name in ("jensen_shannon", "total_variation"):
        for method in (None, "closed_form"):
            with pytest.raises(errors.NoClosedFormError, match=rf'estimate_divergence_monte_carlo\(p, q, "{name}", n'):
                getattr(kl, name)(p, q, method=method)
    mixture = kl.GaussianMixture(weights=[1.0], means=[[0.0, 0.0]], covs=[[1.0, 1.0]])
    for name in ("jeffreys", "hellinger", "bhattacharyya", "chi_squared", "cross_entropy"):
        with pytest.raises(errors.NoClosedFormError, match=rf'monte_carlo\(p, q, "{name}"'):
            getattr(kl, name)(mixture, p)
    for name in ("renyi", "tsallis"):
        for alpha in (1, 2):
            with pytest.raises(errors.NoClosedFormError, match=rf'monte_carlo\(p, q, "{name}"'):
                getattr(kl, name)(mixture, p, alpha=alpha)
    with pytest.raises(errors.NoClosedFormError, match='pass method="quadrature", or None'):
        kl.jensen_shannon(normal(0, 1), normal(1, 1), method="closed_form")


@every_divergence
def test_wrong_arguments(divergence):
    p = normal(0, 1)
    for wrong in ([0.5, 0.5], 1.0, None):
        with pytest.raises(errors.InvalidTypeError, match=r"(p|q) is a "):
            divergence(p, wrong)
    with pytest.raises(errors.ShapeMismatchError, match="events differ"):
        divergence(p, kl.MultivariateNormalDiag(mean=[0], var=[1]))
    with pytest.raises(errors.ShapeMismatchError, match="broadcast"):
        divergence(normal(np.zeros(2), 1), normal(np.zeros(3), 1))
    with pytest.raises(errors.InvalidParameterError, match="method must be one of"):
        divergence(p, p, method="exact")
    with pytest.raises(errors.ShapeMismatchError, match="categories"):
        divergence(kl.Categorical(probs=[0.5, 0.5]), kl.Categorical(probs=[0.5, 0.25, 0.25]))


@pytest.mark.parametrize("alpha", [0, -1, math.nan, INF, "2", None, True])
def test_wrong_orders(alpha):
    for function in (kl.renyi, kl.tsallis):
        with pytest.raises((errors.InvalidParameterError, errors.InvalidTypeError), match="alpha"):
            function(normal(0, 1), normal(1, 1), alpha=alpha)


def test_a_generator_must_be_a_function():
    with pytest.raises(errors.InvalidTypeError, match="f must be a function"):
        kl.f_divergence(normal(0, 1), normal(1, 1), "kl")


# ---------------------------------------------------------------- mutual information


def test_mutual_information_of_tables():
    joint = np.random.default_rng(0).dirichlet(np.ones(12)).reshape(3, 4)
    independent = joint.sum(1)[:, None] * joint.sum(0)
    assert kl.mutual_information(joint) == pytest.approx((joint * np.log(joint / independent)).sum(), rel=1e-12)
    assert kl.mutual_information(independent) == pytest.approx(0.0, abs=1e-15)
    assert kl.mutual_information(np.eye(4) / 4, unit="bits") == pytest.approx(2.0)
    assert kl.mutual_information([[0.5, 0.5], [0.0, 0.0]]) == 0.0


def test_mutual_information_of_gaussians():
    for rho in (1e-8, 0.3, -0.9, 0.999):
        law = kl.MultivariateNormal(mean=[1, 2], cov=[[4, 2 * rho], [2 * rho, 1]])
        assert kl.mutual_information(law, split=1) == pytest.approx(-0.5 * math.log1p(-(rho**2)), rel=1e-12)
    batch = kl.MultivariateNormal(mean=np.zeros(3), cov=[np.eye(3), np.eye(3) + 0.5])
    found = kl.mutual_information(batch, split=2)
    cov = np.eye(3) + 0.5
    expected = 0.5 * math.log(np.linalg.det(cov[:2, :2]) * cov[2, 2] / np.linalg.det(cov))
    np.testing.assert_allclose(found, [0.0, expected], rtol=1e-12)
    assert kl.mutual_information(kl.MultivariateNormalDiag(mean=[0, 0], var=[1, 2]), split=1) == 0.0


@pytest.mark.parametrize(
    ("joint", "options", "error", "message"),
    [
        ([[1, 2], [3, 4]], {}, errors.InvalidParameterError, r"sums to 10.*joint / joint.sum\(\)"),
        ([[1.5, -0.5]], {}, errors.InvalidParameterError, "joint must be >= 0"),
        ([[math.nan, 1.0]], {}, errors.InvalidParameterError, "joint must be"),
        ([0.5, 0.5], {}, errors.ShapeMismatchError, r"shape \(a, b\)"),
        ([[0.5, 0.5]], {"split": 1}, errors.InvalidTypeError, "split"),
        (kl.MultivariateNormal(mean=[0, 0], cov=np.eye(2)), {}, errors.InvalidTypeError, "split="),
        (kl.MultivariateNormal(mean=[0, 0], cov=np.eye(2)), {"split": 2}, errors.InvalidParameterError, "at most 1"),
        (kl.Normal(mean=0, var=1), {"split": 1}, errors.NoClosedFormError, "estimate_mutual_information"),
    ],
    ids=str,
)
def test_wrong_joint_laws(joint, options, error, message):
    with pytest.raises(error, match=message):
        kl.mutual_information(joint, **options)
