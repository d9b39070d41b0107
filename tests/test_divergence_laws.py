"""Theorems on divergences, as properties of whatever distributions hypothesis finds."""

import math

import numpy as np
import pytest
import scalar_laws as laws
from hypothesis import given, settings
from hypothesis import strategies as st

import kltools as kl

some = settings(derandomize=True, deadline=None, database=None, max_examples=60)
numbers = st.floats(-20.0, 20.0)
variances = st.floats(1e-3, 1e3)
probabilities = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1.0)), min_size=4, max_size=4).filter(any)
normals = st.builds(lambda mean, var: kl.Normal(mean=mean, var=var), numbers, variances)
tables = probabilities.map(lambda row: kl.Categorical(probs=np.array(row) / sum(row)))
gammas = st.builds(lambda shape, rate: laws.Gamma(shape=shape, rate=rate), st.floats(0.2, 30.0), st.floats(0.1, 10.0))
pairs = st.one_of(*(st.tuples(kind, kind) for kind in (normals, tables)))
pairs_of_all = st.one_of(pairs, st.tuples(gammas, gammas))
orders = st.floats(0.05, 4.0)


def close(a, b, scale=1.0):
    if math.isinf(a) or math.isinf(b):
        assert a == b
    else:
        assert abs(a - b) <= 1e-9 * max(abs(a), abs(b)) + 1e-12 * scale


def at_most(a, b):
    assert a <= b * (1 + 1e-9) + 1e-12


@some
@given(pair=pairs)
def test_cross_entropy_is_entropy_plus_kl(pair):
    p, q = pair
    found = kl.cross_entropy(p, q, method="quadrature")
    close(found, kl.entropy(p, method="quadrature") + kl.kl_divergence(p, q), abs(kl.entropy(p)) + 1.0)
    close(kl.cross_entropy(p, q), found, abs(kl.entropy(p)) + 1.0)
    close(kl.cross_entropy(p, p), kl.entropy(p))


@some
@given(rows=st.lists(probabilities, min_size=6, max_size=6), weights=st.tuples(probabilities, probabilities))
def test_chain_rule(rows, weights):
    """KL of joint laws is that of the first variables, plus the mean of that of the second given the first."""
    first, second = (np.array(row[:3]) + 1e-9 for row in weights)
    a, b = first / first.sum(), second / second.sum()
    given_p, given_q = (np.array(part) / np.sum(part, axis=1, keepdims=True) for part in (rows[:3], rows[3:]))
    joint_p, joint_q = ((w[:, None] * given).reshape(-1) for w, given in ((a, given_p), (b, given_q)))
    whole = kl.kl_divergence(kl.Categorical(probs=joint_p), kl.Categorical(probs=joint_q))
    conditional = kl.kl_divergence(kl.Categorical(probs=given_p), kl.Categorical(probs=given_q))
    close(whole, kl.kl_divergence(kl.Categorical(probs=a), kl.Categorical(probs=b)) + float((a * conditional).sum()))


@some
@given(pair=st.tuples(tables, tables), channel=st.lists(probabilities, min_size=4, max_size=4), alpha=orders)
def test_data_processing(pair, channel, alpha):
    matrix = np.array(channel) / np.sum(channel, axis=1, keepdims=True)
    p, q = pair
    behind = [kl.Categorical(probs=law.probs @ matrix) for law in pair]
    for divergence in (
        kl.kl_divergence,
        kl.jeffreys,
        kl.jensen_shannon,
        kl.hellinger,
        kl.total_variation,
        kl.chi_squared,
    ):
        if math.isfinite(divergence(p, q)):
            at_most(divergence(*behind), divergence(p, q))
    if math.isfinite(kl.renyi(p, q, alpha=alpha)):
        at_most(kl.renyi(*behind, alpha=alpha), kl.renyi(p, q, alpha=alpha))


@some
@given(pair=pairs_of_all, weight=st.floats(0.01, 0.99))
def test_bounds(pair, weight):
    p, q = pair
    js, tv, hellinger = kl.jensen_shannon(p, q), kl.total_variation(p, q), kl.hellinger(p, q)
    assert js >= 0.0
    at_most(js, math.log(2.0))
    weights = (weight, 1.0 - weight)
    at_most(kl.jensen_shannon(p, q, weights=weights), -sum(w * math.log(w) for w in weights))
    for x in (tv, hellinger):
        assert 0.0 <= x <= 1.0 + 1e-12
    at_most(hellinger**2, tv)  # Le Cam
    at_most(tv, hellinger * math.sqrt(2.0 - min(hellinger, 1.0) ** 2))
    at_most(2.0 * tv**2, kl.kl_divergence(p, q))  # Pinsker
    at_most(tv**2 / 2.0, js)  # Lin
    at_most(js, tv * math.log(2.0))
    at_most(kl.kl_divergence(p, q), math.log1p(kl.chi_squared(p, q)))
    at_most(2.0 * kl.bhattacharyya(p, q), kl.kl_divergence(p, q))


@some
@given(pair=pairs_of_all, alpha=orders, beta=orders)
def test_renyi_grows_with_its_order(pair, alpha, beta):
    low, high = sorted((alpha, beta))
    at_most(kl.renyi(*pair, alpha=low), kl.renyi(*pair, alpha=high))


@some
@given(pair=st.tuples(normals, normals))
def test_renyi_goes_to_kl(pair):
    """Not at infinite variance of the log-ratio: the slope in alpha is half of that."""
    truth = kl.kl_divergence(*pair)
    for order in (1.0 - 1e-12, 1.0 + 1e-12):
        assert kl.renyi(*pair, alpha=order) == pytest.approx(truth, rel=1e-6, abs=1e-15)
        assert kl.tsallis(*pair, alpha=order) == pytest.approx(truth, rel=1e-6, abs=1e-15)
    assert kl.renyi(*pair, alpha=1) == kl.tsallis(*pair, alpha=1) == truth


@some
@given(pair=pairs_of_all, alpha=st.floats(0.05, 0.95))
def test_skew_symmetry(pair, alpha):
    p, q = pair
    close(kl.renyi(p, q, alpha=alpha) * (1.0 - alpha), kl.renyi(q, p, alpha=1.0 - alpha) * alpha)
    close(kl.bhattacharyya(p, q), kl.renyi(p, q, alpha=0.5) / 2.0)
    close(kl.hellinger(p, q) ** 2, kl.tsallis(p, q, alpha=0.5) / 2.0)
    close(kl.chi_squared(p, q), kl.tsallis(p, q, alpha=2.0))
    close(kl.jeffreys(p, q), kl.kl_divergence(p, q) + kl.kl_divergence(q, p))


@some
@given(first=st.tuples(normals, normals), second=st.tuples(normals, normals), alpha=orders)
def test_additivity(first, second, alpha):
    """Of independent coordinates."""
    together = [
        kl.MultivariateNormalDiag(mean=[a.mean, b.mean], var=[a.var, b.var]) for a, b in zip(first, second, strict=True)
    ]
    for divergence in (kl.kl_divergence, kl.jeffreys, kl.bhattacharyya, lambda p, q: kl.renyi(p, q, alpha=alpha)):
        close(divergence(*together), divergence(*first) + divergence(*second))
    a, b = kl.chi_squared(*first), kl.chi_squared(*second)
    if a < 1e100 and b < 1e100:
        close(kl.chi_squared(*together), a + b + a * b)


@some
@given(pair=st.tuples(normals, normals), shift=numbers, log_scale=st.integers(-20, 20), alpha=orders)
def test_invariance(pair, shift, log_scale, alpha):
    """Under x -> s x + t, where s is a power of 2; and under exp, which makes log-normal distributions."""
    scale = 2.0**log_scale
    moved = [kl.Normal(mean=scale * law.mean, var=scale**2 * law.var) for law in pair]
    for divergence in (
        kl.kl_divergence,
        kl.bhattacharyya,
        kl.total_variation,
        lambda p, q: kl.renyi(p, q, alpha=alpha),
    ):
        assert divergence(*moved) == divergence(*pair)
    moved = [kl.Normal(mean=law.mean + shift, var=law.var) for law in pair]
    assert kl.jensen_shannon(*moved) == pytest.approx(kl.jensen_shannon(*pair), rel=1e-8, abs=1e-12)


@settings(some, max_examples=20)
@given(
    pair=st.tuples(*[st.builds(lambda mean, var: (mean, var), st.floats(-3.0, 3.0), st.floats(0.05, 4.0))] * 2),
)
def test_invariance_under_exp(pair):
    normal = [kl.Normal(mean=mean, var=var) for mean, var in pair]
    log_normal = [laws.LogNormal(mean=mean, var=var) for mean, var in pair]
    for divergence in (kl.kl_divergence, kl.jensen_shannon, kl.total_variation, kl.hellinger):
        close(divergence(*log_normal, method="quadrature"), divergence(*normal, method="quadrature"))


@some
@given(joint=st.lists(probabilities, min_size=3, max_size=3))
def test_mutual_information(joint):
    table = np.array(joint) / np.sum(joint)
    found = kl.mutual_information(table)
    marginals = [kl.entropy(kl.Categorical(probs=table.sum(axis=axis))) for axis in (0, 1)]
    close(found, sum(marginals) - kl.entropy(kl.Categorical(probs=table.reshape(-1))))
    assert found >= 0.0
    at_most(found, min(marginals))
    assert kl.mutual_information(table.T) == pytest.approx(found, rel=1e-10, abs=1e-15)
