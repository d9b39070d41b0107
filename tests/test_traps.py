"""False claims, each with the right answer: mistakes of the documents of origin, and of other libraries.

Those about estimates from samples are in test_traps_samples.py.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import kltools as kl
from kltools import errors

LOG_2 = math.log(2)


def categorical(p, q, unit="nats"):
    return kl.kl_divergence(kl.Categorical(probs=p), kl.Categorical(probs=q), unit=unit)


# ---------------------------------------------------------------- the documents of origin (design.md, section 5)


def test_claim_kl_of_9_1_from_5_5_is_0394_bits():
    assert categorical([0.9, 0.1], [0.5, 0.5], "bits") == pytest.approx(0.5310, abs=5e-5)
    assert categorical([0.9, 0.1], [0.5, 0.5]) == pytest.approx(0.3681, abs=5e-5)
    assert categorical([0.9, 0.1], [0.5, 0.5]) == pytest.approx(
        0.9 * math.log(1.8) + 0.1 * math.log(0.2), rel=1e-14, abs=0
    )


def test_claim_the_reverse_is_0369_bits_and_smaller():
    assert categorical([0.5, 0.5], [0.9, 0.1], "bits") == pytest.approx(0.7370, abs=5e-5)
    assert categorical([0.5, 0.5], [0.9, 0.1]) == pytest.approx(0.5108, abs=5e-5)
    assert categorical([0.5, 0.5], [0.9, 0.1]) > categorical([0.9, 0.1], [0.5, 0.5])


def test_claim_kl_of_n01_from_n02_is_0318():
    """Right for a standard deviation of 2, wrong for the variance that the notation says."""
    by_std = kl.kl_divergence(kl.Normal.from_std(mean=0, std=1), kl.Normal.from_std(mean=0, std=2))
    by_var = kl.kl_divergence(kl.Normal(mean=0, var=1), kl.Normal(mean=0, var=2))
    assert by_std == pytest.approx(0.3181, abs=5e-5)
    assert by_var == pytest.approx(0.0966, abs=5e-5)


@pytest.mark.parametrize("name", ["std", "sigma", "scale", "log_var", "logvar", "variance", "cov"])
def test_nobody_has_to_guess_what_the_second_parameter_is(name):
    for cls in (kl.Normal, kl.MultivariateNormalDiag):
        with pytest.raises(TypeError, match=name):
            cls(mean=[0.0], **{name: [2.0]})
        with pytest.raises(TypeError, match="positional"):
            cls([0.0], [2.0])


def test_kl_of_std_2_from_std_1():
    value = kl.kl_divergence(kl.Normal.from_std(mean=0, std=2), kl.Normal(mean=0, var=1))
    assert value == pytest.approx(0.8069, abs=5e-5)


@pytest.mark.parametrize(("constant", "invented"), [(1e-6, 6.2), (1e-10, 10.8), (1e-16, 17.7)])
def test_claim_replace_a_zero_of_q_by_a_constant(constant, invented):
    assert categorical([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert categorical([0.5, 0.5], [1.0 - constant, constant]) == pytest.approx(invented, abs=0.05)


def test_claim_filter_out_zero_probabilities():
    """Right for a zero of p, wrong for a zero of q, whose term is infinite."""
    assert categorical([1.0, 0.0], [0.5, 0.5]) == LOG_2
    assert categorical([0.5, 0.5, 0.0], [0.5, 0.0, 0.5]) == math.inf


@given(st.integers(0, 2**20), st.sampled_from(["Normal", "Diag", "full", "Categorical"]), st.floats(-16, 0))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_claim_a_negative_kl_means_a_bug_is_true_of_closed_forms(seed, kind, exponent):
    rng = np.random.default_rng(seed)
    step = 10.0**exponent
    factor = rng.normal(size=(2, 3))
    build = {
        "Normal": lambda z: kl.Normal(mean=step * z, var=np.exp(step * z)),
        "Diag": lambda z: kl.MultivariateNormalDiag(mean=[0, step * z], var=np.exp([step * z, 1])),
        "full": lambda z: kl.MultivariateNormal(mean=[0, 0], cov=factor @ np.diag(np.exp([step * z, 0, z])) @ factor.T),
        "Categorical": lambda z: kl.Categorical.from_logits(logits=[step * z, 0.0, 1.0]),
    }[kind]
    assert kl.kl_divergence(build(rng.normal()), build(rng.normal())) >= 0.0


def test_claim_a_negative_kl_means_a_bug_is_false_of_unbiased_estimates():
    values = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        values.append(float(kl.estimate_kl(rng.normal(size=200), rng.normal(size=200), method="gaussian")))
    assert min(values) < 0.0 < max(values)
    assert abs(np.mean(values)) < 4.0 * np.std(values) / math.sqrt(len(values))


def test_claim_the_kl_term_prevents_posterior_collapse():
    """It is least, and 0, where the code says nothing of the input, and grows with all that it says."""
    mu = np.random.default_rng(0).normal(size=(100, 4))
    log_var = np.full((100, 4), -2.0)
    terms = [kl.vae_kl(share * mu, share * log_var, reduction="mean") for share in (1.0, 0.5, 0.1, 0.0)]
    assert terms == sorted(terms, reverse=True)
    assert terms[-1] == 0.0


def test_claim_vaes_use_the_forward_kl():
    mu, log_var = [0.7, -1.2], [-1.0, 0.5]
    encoder = kl.MultivariateNormalDiag.from_log_var(mean=mu, log_var=log_var)
    prior = kl.MultivariateNormalDiag(mean=[0, 0], var=[1, 1])
    assert kl.vae_kl(mu, log_var) == pytest.approx(kl.kl_divergence(encoder, prior), rel=1e-13, abs=0)
    assert abs(kl.vae_kl(mu, log_var) - kl.kl_divergence(prior, encoder)) > 0.1


def test_claim_sample_both_and_call_kl_div():
    torch = pytest.importorskip("torch")
    X, Y = np.random.default_rng(0).normal(size=(2, 400))
    nonsense = torch.nn.functional.kl_div(torch.tensor(X), torch.tensor(Y), reduction="sum").item()
    assert math.isnan(nonsense)
    estimate = kl.estimate_kl(X, Y, method="gaussian")
    assert abs(estimate.value) < 5.0 * estimate.standard_error


def test_kl_div_of_log_probabilities_is_ours_with_the_sides_changed():
    torch = pytest.importorskip("torch")
    p, log_q = np.array([0.2, 0.3, 0.5]), np.log([0.6, 0.3, 0.1])
    theirs = torch.nn.functional.kl_div(torch.tensor(log_q), torch.tensor(p), reduction="sum").item()
    ours = kl.kl_divergence(kl.Categorical(probs=p), kl.Categorical.from_logits(logits=log_q))
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)
    with pytest.warns(UserWarning, match="batchmean"):
        mean = torch.nn.functional.kl_div(torch.tensor(log_q), torch.tensor(p), reduction="mean").item()
    assert mean == pytest.approx(ours / 3, rel=1e-12, abs=0)  # of the elements, which is no divergence


def test_claim_i_need_the_covariance_matrix():
    mean, var = np.array([[0.3, -1.0, 2.0], [0.0, 0.5, 1.0]]), np.array([[1.0, 4.0, 0.25], [2.0, 1.0, 0.5]])
    by_vectors = kl.kl_divergence(*(kl.MultivariateNormalDiag(mean=m, var=v) for m, v in zip(mean, var, strict=True)))
    by_matrices = kl.kl_divergence(
        *(kl.MultivariateNormal(mean=m, cov=np.diag(v)) for m, v in zip(mean, var, strict=True))
    )
    assert by_vectors == pytest.approx(by_matrices, rel=1e-14, abs=0)


def test_claim_the_vae_term_is_one_sum_over_everything():
    mu, log_var = np.random.default_rng(1).normal(size=(2, 8, 3))
    per_row = kl.vae_kl(mu, log_var)
    assert per_row.shape == (8,)
    assert kl.vae_kl(mu, log_var, reduction="sum") == pytest.approx(per_row.sum(), rel=1e-13, abs=0)
    assert kl.vae_kl(mu, log_var, reduction="mean") == pytest.approx(per_row.sum() / 8, rel=1e-13, abs=0)


# ---------------------------------------------------------------- the lesson and the derivation (peers.md, section 1)


def test_weights_that_are_no_probabilities_gave_minus_3219():
    for p, q in (([1.0, 1.0], [5.0, 5.0]), ([0.5, 0.5], [1.0, 1.0])):
        with pytest.raises(errors.InvalidParameterError, match="sum to 1"):
            categorical(p, q)
    assert categorical([1e-12, 1 - 1e-12], [0.0, 1.0]) == math.inf  # was -5.6e-12


@pytest.mark.parametrize("var", [0.0, -1.0, math.nan, math.inf])
def test_a_variance_that_is_none_gave_a_number(var):
    with pytest.raises(errors.InvalidParameterError, match="var of Normal must be"):
        kl.Normal(mean=0.0, var=var)


def test_examples_of_the_lesson_that_are_right():
    q = kl.Normal(mean=0, var=1)
    assert kl.kl_divergence(kl.Normal.from_std(mean=0.5, std=0.8), q) == pytest.approx(0.16814, abs=5e-6)
    assert kl.kl_divergence(kl.Normal(mean=1, var=1), q) == 0.5


def test_divergence_is_cross_entropy_less_entropy():
    """The derivation wrote the entropy twice; -E_p log q belongs to the first."""
    p, q = kl.Normal(mean=0.4, var=0.3), kl.Normal(mean=0, var=1)
    cross_entropy = stats.norm(0.4, math.sqrt(0.3)).expect(lambda x: -q.log_prob(x))
    assert kl.kl_divergence(p, q) == pytest.approx(cross_entropy - p.entropy(), rel=1e-9, abs=0)


def test_reverse_kl_is_another_quantity_and_may_be_infinite_too():
    p, q = [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]
    assert categorical(p, q) == categorical(q, p) == math.inf
    assert categorical([1.0, 0.0], [0.5, 0.5]) == LOG_2
    assert categorical([0.5, 0.5], [1.0, 0.0]) == math.inf


# ---------------------------------------------------------------- other libraries (peers.md, section 4)


def test_torch_full_covariance_in_float32_is_negative_near_equality():
    """There: 195 of 500 negative, down to -1.4e-6, where the truth is about 2e-10."""
    eps = float(np.float32(1e-5))
    for seed in range(100):
        factor = np.random.default_rng(seed).normal(size=(8, 12)).astype(np.float32)
        cov = factor @ factor.T
        p, q = (
            kl.MultivariateNormal(mean=np.zeros(8), cov=cov),
            kl.MultivariateNormal(mean=np.zeros(8), cov=cov * (1 + eps)),
        )
        assert 1e-10 < kl.kl_divergence(p, q) < 4e-10


def test_torch_normal_is_zero_for_a_small_shift():
    unit = kl.Normal(mean=0, var=1)
    assert kl.kl_divergence(kl.Normal(mean=1e-8, var=1), unit) == pytest.approx(5e-17, rel=1e-15, abs=0)
    assert kl.kl_divergence(kl.Normal(mean=np.float32(1e-4), var=1), unit) == pytest.approx(5e-9, rel=1e-6, abs=0)


def test_torch_normal_is_infinite_for_a_small_variance():
    unit = kl.Normal(mean=0, var=1)
    assert kl.kl_divergence(kl.Normal(mean=0, var=1e-60), unit) == pytest.approx(68.5776, abs=5e-5)
    assert kl.kl_divergence(kl.Normal(mean=0, var=5e-324), unit) == pytest.approx(371.72004, abs=5e-6)


def test_textbook_formula_is_nan_for_equal_huge_deviations():
    huge = kl.Normal(mean=0, var=1.7e308)
    assert kl.kl_divergence(huge, huge) == 0.0
    with pytest.raises(errors.InvalidParameterError, match="overflows"):
        kl.Normal.from_std(mean=0, std=1e200)


def test_log_of_a_determinant_underflows_in_many_dimensions():
    d = 400
    p, q = (kl.MultivariateNormal(mean=np.zeros(d), cov=scale * np.eye(d)) for scale in (1e-3, 2e-3))
    assert np.linalg.det(p.cov) == 0.0
    assert kl.kl_divergence(p, q) == pytest.approx(0.5 * d * (LOG_2 - 0.5), rel=1e-12, abs=0)


def test_textbook_vae_term_overflows_in_float32():
    """The number is stated: 1.3e43 is beyond float32, not beyond the answer."""
    log_var = np.full((1, 2), 100.0, np.float32)
    assert kl.vae_kl(np.zeros_like(log_var), log_var)[0] == pytest.approx(math.exp(100.0), rel=1e-12, abs=0)
    np.testing.assert_allclose(kl.vae_kl(np.zeros_like(log_var), log_var, reduction="per_dim"), 1.344e43, rtol=1e-3)


def test_kl_div_is_nan_where_both_are_zero():
    p = kl.Categorical(probs=[0.5, 0.5, 0.0])
    assert kl.kl_divergence(p, kl.Categorical.from_logits(logits=[0.0, 0.0, -math.inf])) == 0.0


def test_kl_div_takes_negative_or_logarithmic_probabilities():
    for wrong in ([-0.1, 1.1], np.log([0.9, 0.1])):
        with pytest.raises(errors.InvalidParameterError, match="probs of Categorical"):
            kl.Categorical(probs=wrong)


def test_an_empty_bin_is_filled_and_not_renormalised():
    p, q = (kl.Categorical.from_counts(counts=counts) for counts in ([5, 5, 10], [10, 10, 0]))
    assert kl.kl_divergence(p, q) == math.inf
    assert math.isfinite(kl.kl_divergence(q, p))
    with pytest.raises(errors.InvalidParameterError, match="sum to 1"):
        kl.Categorical(probs=np.maximum(q.probs, 1e-4))


def test_discrete_kl_runs_over_the_intersection_of_supports():
    assert categorical([0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]) == math.inf  # was -0.693
    assert categorical([0.5, 0.5], [1.0, 0.0]) == math.inf


def test_divergences_of_far_apart_gaussians_are_large():
    """There, on a grid: -0.61 for 18 and -1.74 for 47.2."""
    build = kl.Normal.from_std
    assert kl.kl_divergence(build(mean=0, std=1), build(mean=6, std=1)) == 18.0
    assert kl.kl_divergence(build(mean=0, std=3), build(mean=0, std=0.3)) == pytest.approx(47.2, abs=0.05)


def test_subnormal_probability_is_harmless():
    """The Jensen-Shannon distance of SciPy is inf for this pair."""
    assert categorical([0.0, 1.0], [5e-324, 1.0]) <= 5e-324
    assert categorical([5e-324, 1.0], [0.0, 1.0]) == math.inf


def test_batches_are_never_summed():
    p = kl.MultivariateNormalDiag(mean=np.ones((4, 5, 3)), var=np.ones(3))
    q = kl.MultivariateNormalDiag(mean=np.zeros(3), var=np.ones(3))
    np.testing.assert_allclose(kl.kl_divergence(p, q), np.full((4, 5), 1.5), rtol=1e-15)
