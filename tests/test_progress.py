"""Progress of anything that takes long."""

import itertools
import re
import sys

import numpy as np
import pytest

import kltools as kl
from kltools import _progress


@pytest.fixture
def latents():
    rng = np.random.default_rng(0)
    return rng.normal(size=(800, 3)), np.log(0.2) * np.ones((800, 3))


def long_work(X, mu, log_var):
    """Functions that have no argument of their own for it."""
    return {
        "latent_report": lambda: kl.latent_report(mu, log_var, random_state=0).to_dict(),
        "diagnose": lambda: kl.diagnose(X[:150], X[:150] + 0.1, random_state=0).to_dict(),
        "sample_size_for": lambda: kl.sample_size_for(X, X[:, ::-1] + 0.5, 0.1, method="knn", random_state=0),
        "estimator": lambda: kl.KNNDivergence().fit(X[:300]).divergence(X[300:]).value,
        "estimate_entropy": lambda: kl.estimate_entropy(X).value,
    }


@pytest.mark.parametrize("name", ["latent_report", "diagnose", "sample_size_for", "estimator", "estimate_entropy"])
def test_a_listener_hears_of_every_pass(name, latents):
    work = long_work(np.random.default_rng(1).normal(size=(600, 2)), *latents)[name]
    expected, passes = work(), [(0, 0)]
    with kl.show_progress(lambda done, total: passes.append((done, total))):
        assert repr(work()) == repr(expected)
    assert len(passes) > 1
    assert any(done == total for done, total in passes[1:])
    for (before, of), (done, total) in itertools.pairwise(passes):
        assert 0 <= done <= total
        assert done > before or before == of or total != of
    n_calls = len(passes)
    work()
    assert len(passes) == n_calls  # outside nobody listens


def test_raising_stops_the_work(latents):
    def stop(done, total):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"), kl.show_progress(stop):
        kl.latent_report(*latents)
    kl.latent_report(*latents)


@pytest.mark.parametrize("bad", [0, 1, "tqdm"], ids=repr)
def test_what_is_no_listener(bad):
    with pytest.raises(kl.InvalidTypeError, match="progress"), kl.show_progress(bad):
        pass


@pytest.mark.parametrize("nothing", [None, False])
def test_no_progress(nothing, latents):
    """Within a listener, an argument that asks for none leaves it where it is."""
    calls = []
    with kl.show_progress(nothing):
        kl.latent_report(*latents, random_state=0)
    with kl.show_progress(lambda done, total: calls.append(done)):
        kl.latent_report(*latents, random_state=0, progress=nothing)
    assert len(calls) > 1


def with_argument(X, mu, log_var):
    seen = kl.LatentAccumulator()
    seen.update(mu, log_var)
    options = {"random_state": 0}
    return {
        "latent_report": lambda **more: kl.latent_report(mu, log_var, **options, **more),
        "latent_report of z": lambda **more: kl.latent_report(None, None, mu[:100], **options, **more),
        "compare_latents": lambda **more: kl.compare_latents((mu, log_var), (-mu, log_var), **options, **more),
        "report": lambda **more: seen.report(**options, **more),
        "diagnose": lambda **more: kl.diagnose(X[:150], X[:150] + 0.1, **options, **more),
        "sample_size_for": lambda **more: kl.sample_size_for(X, X[:, ::-1] + 0.5, 0.1, method="knn", **options, **more),
    }


@pytest.mark.parametrize(
    "name", ["latent_report", "latent_report of z", "compare_latents", "report", "diagnose", "sample_size_for"]
)
def test_an_argument_is_a_listener_for_the_call(name, latents):
    work = with_argument(np.random.default_rng(1).normal(size=(600, 2)), *latents)[name]
    calls = []
    told = work(progress=lambda done, total: calls.append((done, total)))
    assert any(done == total for done, total in calls)
    n_calls = len(calls)
    assert repr(told) == repr(work())
    assert len(calls) == n_calls
    with pytest.raises(kl.InvalidTypeError, match="progress must be"):
        work(progress="tqdm")


@pytest.fixture
def eager(monkeypatch, capsys):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(_progress, "_DELAY", 0.0)
    monkeypatch.setattr(_progress, "_INTERVAL", 0.0)
    return lambda: capsys.readouterr().err


def test_a_bar(eager, latents):
    with kl.show_progress():
        kl.latent_report(*latents, random_state=0)
    shown = eager()
    assert re.search(r"pass 2: +\d+%.*\[00:\d\d\]", shown)
    assert shown.endswith("\r")  # it is gone at the end


def test_arguments_show_bars(eager):
    X, Y = np.random.default_rng(0).normal(size=(2, 400, 2))
    estimate = kl.estimate_kl(X, Y, method="knn", progress=True)
    assert "pass 1: " in eager()
    assert estimate.value == kl.estimate_kl(X, Y, method="knn").value
    kl.two_sample_test(X, Y, random_state=0, progress=True)
    assert "pass 1: " in eager()


def test_short_work_shows_nothing(monkeypatch, capsys):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(_progress, "_DELAY", 60.0)
    X, Y = np.random.default_rng(0).normal(size=(2, 400, 2))
    kl.estimate_kl(X, Y, method="gaussian", progress=True)
    assert capsys.readouterr().err == ""


def test_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(kl.MissingDependencyError, match=r"kltools\[progress\]"):
        kl.estimate_kl([0.0, 1.0], [0.0, 1.0], progress=True)
