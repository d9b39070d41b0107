"""DivergenceEstimate: what every estimation returns."""

import copy
import dataclasses
import json
import math
import pickle

import cases
import numpy as np
import pytest

import kltools as kl
from kltools import DivergenceEstimate, errors
from kltools.estimate import Deferred
from kltools.estimators import knn
from kltools.inference import Uncertainty

LOG_2 = math.log(2.0)


def made(value=0.5, error=0.1, **fields):
    """An estimate without an estimation."""
    fields = {"method": "knn", "n_p": 10, "n_q": 20, "d": 2, **fields}
    return DivergenceEstimate(value=value, uncertainty=Deferred(lambda: Uncertainty(error)), **fields)


def estimated(**options):
    X, Y = cases.Pair("normal", 200, 300, 2, 0).samples
    return kl.estimate_kl(X, Y + 0.5, method="knn", **{"random_state": 0, **options})


def strict_json(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


# ---------------------------------------------------------------- a number with company


def test_frozen():
    for field in dataclasses.fields(DivergenceEstimate):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made(), field.name, 1)


def test_float():
    assert float(made(0.25)) == 0.25
    assert type(float(made())) is float
    assert math.sqrt(made(0.25)) == 0.5
    assert type(estimated().value) is float
    assert type(estimated().standard_error) is float


def test_fields_of_an_estimation():
    estimate = estimated()
    assert (estimate.n_p, estimate.n_q, estimate.d) == (200, 300, 2)
    assert (estimate.unit, estimate.direction, estimate.method) == ("nats", "P||Q", "knn")
    assert estimate.n_neighbors == (5, 10, 20)
    assert (estimate.n_ties, estimate.n_dropped, estimate.support_mismatch) == (0, 0, False)
    assert estimate.reliable is None
    assert estimate.reasons == estimate.warnings == ()


def test_equal_calls_give_equal_estimates():
    assert estimated() == estimated()
    assert hash(estimated()) == hash(estimated())
    assert estimated() != estimated(n_neighbors=3)


@pytest.mark.parametrize(("value", "clipped"), [(0.3, 0.3), (-0.02, 0.0), (0.0, 0.0), (math.inf, math.inf)])
def test_clipped(value, clipped):
    assert made(value).clipped() == clipped
    assert made(value).value == value


# ---------------------------------------------------------------- units


def test_bits():
    nats = estimated()
    for bits in (nats.to("bits"), estimated(unit="bits")):
        assert bits.unit == "bits"
        assert bits.value == pytest.approx(nats.value / LOG_2, rel=1e-15)
        assert bits.standard_error == pytest.approx(nats.standard_error / LOG_2, rel=1e-15)
        assert bits.confidence_interval() == pytest.approx([x / LOG_2 for x in nats.confidence_interval()])
        assert bits.to("nats").value == pytest.approx(nats.value, rel=1e-15)
        assert bits.to("bits") == bits
    assert nats.to("nats") == nats


def test_infinite_bits():
    estimate = made(math.inf).to("bits")
    assert estimate.value == math.inf
    low, high = estimate.confidence_interval()
    assert math.isnan(low)
    assert high == math.inf


@pytest.mark.parametrize("unit", ["nat", "Bits", None, 2])
def test_unknown_unit(unit):
    with pytest.raises(errors.InvalidParameterError, match="unit must be one of 'nats', 'bits'"):
        made().to(unit)
    with pytest.raises(errors.InvalidParameterError, match="unit"):
        estimated(unit=unit)


# ---------------------------------------------------------------- uncertainty, later


@pytest.fixture
def calls(monkeypatch):
    """How often a jackknife was run."""
    seen, jackknife = [], knn.jackknife_uncertainty
    monkeypatch.setattr(knn, "jackknife_uncertainty", lambda values: seen.append(values) or jackknife(values))
    return seen


def test_uncertainty_is_computed_once_and_late(calls):
    estimate = estimated()
    repr(estimate)
    assert not calls
    first = estimate.standard_error
    assert estimate.standard_error == first
    estimate.confidence_interval(), estimate.to("bits").standard_error, estimate.summary(), estimate.to_json()
    assert len(calls) == 1


def test_uncertainty_has_the_seed_of_the_call():
    rng = np.random.default_rng(5)
    early, late = estimated(random_state=np.random.default_rng(5)), estimated(random_state=rng)
    first = early.standard_error
    rng.standard_normal(1000)
    np.random.seed(0)  # noqa: NPY002
    assert late.standard_error == first


def test_without_a_seed_one_estimate_still_has_one_standard_error():
    estimate = estimated(random_state=None)
    assert estimate.standard_error == estimate.to("bits").to("nats").standard_error == estimate.standard_error


@pytest.mark.parametrize("again", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy, copy.copy])
@pytest.mark.parametrize("asked_before", [True, False])
def test_copies_keep_the_standard_error(again, asked_before):
    estimate = estimated(random_state=None)
    before = estimate.standard_error if asked_before else None
    copied = again(estimate)
    assert copied == estimate
    assert copied.diagnostics == estimate.diagnostics
    assert copied.standard_error == estimate.standard_error
    assert before in (None, copied.standard_error)
    assert copied.confidence_interval() == estimate.confidence_interval()


def test_interval():
    low, high = made(0.5, 0.1).confidence_interval(0.95)
    assert (low, high) == pytest.approx((0.5 - 0.1959964, 0.5 + 0.1959964))
    narrow = made().confidence_interval(0.5)
    assert low < narrow[0] < 0.5 < narrow[1] < high
    assert made().confidence_interval(confidence_level=np.float64(0.5)) == narrow


@pytest.mark.parametrize("level", [0, 1, -0.1, 95, math.nan, math.inf])
def test_confidence_level_out_of_range(level):
    for method in (made().confidence_interval, made().to_dict, made().to_json, made().summary):
        with pytest.raises(errors.InvalidParameterError, match=r"confidence_level must lie in \(0, 1\)"):
            method(level)


def test_percents_are_understood_as_a_mistake():
    with pytest.raises(errors.InvalidParameterError, match=r"did you mean 0\.95"):
        made().confidence_interval(95)


@pytest.mark.parametrize("level", ["0.95", None, True, [0.95]])
def test_confidence_level_of_the_wrong_type(level):
    with pytest.raises(errors.InvalidTypeError, match="confidence_level"):
        made().confidence_interval(level)


# ---------------------------------------------------------------- for other programs


def test_dict():
    estimate = estimated()
    found = estimate.to_dict(confidence_level=0.9)
    fields = {field.name for field in dataclasses.fields(estimate)} - {"uncertainty"}
    assert fields < set(found)
    assert {"value", "standard_error", "confidence_interval", "unit", "method", "reliable", "warnings"} < set(found)
    assert found["value"] == estimate.value
    assert found["standard_error"] == estimate.standard_error
    assert tuple(found["confidence_interval"]) == estimate.confidence_interval(0.9)
    assert next(iter(found)) == "value"


def test_json():
    estimate = estimated()
    found = strict_json(estimate.to_json(0.9, indent=2))
    assert found["value"] == estimate.value
    assert found["confidence_interval"] == list(estimate.confidence_interval(0.9))
    assert found["n_neighbors"] == [5, 10, 20]
    assert found["reliable"] is None
    assert found["warnings"] == []
    assert found["diagnostics"]["value_by_n_neighbors"]["5"] == estimate.diagnostics["value_by_n_neighbors"][5]


def test_json_of_what_is_not_finite():
    found = strict_json(made(math.inf, math.nan, diagnostics={"low": -math.inf}).to_json())
    assert found["value"] == "Infinity"
    assert found["standard_error"] is None
    assert found["confidence_interval"] == [None, "Infinity"]
    assert found["diagnostics"] == {"low": "-Infinity"}


def test_json_of_arrays_and_numpy_numbers():
    diagnostics = {"a": np.array([1.0, np.nan]), "b": np.int64(3), "c": {"d": (np.float64(np.inf), np.bool_(True))}}
    found = strict_json(made(diagnostics=diagnostics).to_json())["diagnostics"]
    assert found == {"a": [1.0, None], "b": 3, "c": {"d": ["Infinity", True]}}


# ---------------------------------------------------------------- for people


def test_repr_is_one_line():
    assert repr(made()) == (
        "DivergenceEstimate(value=0.5, unit='nats', method='knn', n_p=10, n_q=20, d=2, reliable=None)"
    )


def test_summary_tells_everything():
    reason = "the samples hardly overlap."
    text = made(n_neighbors=(5, 10), reasons=(reason,), warnings=(reason, "ties.")).summary(0.9)
    for part in ("KL(P||Q)", "0.5 nats", "0.1", "90", "knn, n_neighbors 5, 10", "10 rows of P, 20 of Q", "2 features"):
        assert part in text
    assert text.count(reason) == 1
    assert text.count("ties.") == 1
    assert "Q known" in made(n_q=None).summary()


def test_html_is_escaped():
    text = made(warnings=("<script>alert('&')</script>",), method="<b>")._repr_html_()
    assert text.startswith("<table>")
    assert text.endswith("</table>")
    assert "<script>" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;alert(&#x27;&amp;&#x27;)" in text
    assert "0.5 nats" in text
