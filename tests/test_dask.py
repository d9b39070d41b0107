"""Estimates from Dask arrays: the same bits as from arrays in memory, whoever computes."""

import math
import os
import signal
import threading
import time
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parts import assert_same, quietly, samples

import kltools as kl
from kltools.errors import (
    InfiniteDivergenceWarning,
    InvalidParameterError,
    InvalidTypeError,
    KLToolsWarning,
    NotEnoughSamplesError,
    ShapeMismatchError,
    UnreliableEstimateWarning,
)

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
import kltools.dask as kd  # noqa: E402
from kltools.dask import log_prob  # noqa: E402

SMALL = {"block_rows": 4096}


@pytest.fixture(params=["synchronous", "threads"])
def scheduler(request):
    with dask.config.set(scheduler=request.param):
        yield request.param


@pytest.mark.parametrize("chunks", [1000, 4096, 20_000])
@pytest.mark.parametrize("d", [1, 3, 12])
def test_chunks_change_no_bit(scheduler, chunks, d):
    X, Y = samples(9001, 8500, d)
    expected = quietly(kl.estimate_kl, X, Y, method="knn", random_state=0)
    x, y = da.from_array(X, chunks=(chunks, -1)), da.from_array(Y, chunks=(chunks + 7, -1))
    assert_same(quietly(kd.estimate_kl, x, y, method="knn", random_state=0, **SMALL), expected)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=6), st.integers(2, 4), st.integers(0, 2**32))
def test_any_chunks(lengths, d, seed):
    n = sum(lengths) + 4000
    X, Y = samples(n, 4500, d, seed)
    expected = quietly(kl.estimate_kl, X, Y, method="knn", random_state=seed)
    x = da.from_array(X, chunks=((*lengths, 4000), (d,)))
    with dask.config.set(scheduler="synchronous"):
        found = quietly(kd.estimate_kl, x, da.from_array(Y, chunks=(999, -1)), method="knn", random_state=seed, **SMALL)
        assert_same(found, expected, error=False)


def test_chunks_of_unknown_length(scheduler):
    X, Y = samples(9001, 8500, 3)
    x = da.from_array(X, chunks=(1000, -1))
    x = x[x[:, 0] > 0.5]
    expected = quietly(kl.estimate_kl, X[X[:, 0] > 0.5], Y, method="knn", random_state=0)
    assert_same(quietly(kd.estimate_kl, x, Y, method="knn", random_state=0, **SMALL), expected)


def test_columns_in_several_chunks_are_told():
    X, Y = samples(5000, 5000, 3)
    with pytest.warns(KLToolsWarning, match=r"columns of X are in 2 chunks"):
        found = kd.estimate_kl(da.from_array(X, chunks=(1000, 2)), da.from_array(Y), method="knn", n_neighbors=3)
    assert found.value == kl.estimate_kl(X, Y, method="knn", n_neighbors=3).value


@pytest.mark.parametrize("method", ["auto", "gaussian", "knn_radius"])
def test_other_methods_take_all_rows_or_some(scheduler, method):
    X, Y = samples(1500, 1400, 2)
    x, y = da.from_array(X, chunks=(333, -1)), da.from_array(Y, chunks=(500, -1))
    assert_same(
        quietly(kd.estimate_kl, x, y, method=method, random_state=0),
        quietly(kl.estimate_kl, X, Y, method=method, random_state=0),
    )
    some = quietly(kd.estimate_kl, x, y, method=method, random_state=0, max_rows=1000)
    assert "1000 of 1500 rows of X were drawn at random" in some.warnings[0]
    assert (some.n_p, some.n_q) == (1000, 1000)
    again = quietly(kd.estimate_kl, x.rechunk((100, -1)), y, method=method, random_state=0, max_rows=1000)
    assert_same(again, some)
    other = quietly(kd.estimate_kl, x, y, method=method, random_state=1, max_rows=1000)
    assert other.value != some.value


def test_an_estimate_for_later(scheduler):
    X, Y = samples(9001, 8500, 2)
    x, y = da.from_array(X, chunks=(4000, -1)), da.from_array(Y, chunks=(4000, -1))
    later = kd.estimate_kl(x, y, method="knn", random_state=0, compute=False, **SMALL)
    assert type(later).__name__ == "Delayed"
    assert_same(later.compute(), kl.estimate_kl(X, Y, method="knn", random_state=0))


def test_nothing_is_computed_for_later():
    def never(block):
        raise AssertionError

    x = da.from_array(np.zeros((4, 2)), chunks=(2, 2)).map_blocks(never, dtype=float, meta=np.empty((0, 2)))
    kd.estimate_kl(x, x, method="knn", compute=False)


def test_frames(scheduler):
    frames = pytest.importorskip("dask.dataframe")
    pd = pytest.importorskip("pandas")
    X, Y = samples(5000, 4000, 2)
    x, y = (frames.from_pandas(pd.DataFrame(Z, columns=["a", "b"]), npartitions=3) for Z in (X, Y))
    assert (
        kd.estimate_kl(x, y, method="knn", n_neighbors=3).value
        == kl.estimate_kl(X, Y, method="knn", n_neighbors=3).value
    )
    with pytest.raises(ShapeMismatchError, match="columns differ"):
        kd.estimate_kl(x, y[["b", "a"]], method="knn")


def test_bad_arguments_of_dask():
    x = da.zeros((10, 2), chunks=(5, 2))
    with pytest.raises(InvalidParameterError, match="method"):
        kd.estimate_kl(x, x, method="nearest")
    with pytest.raises(InvalidParameterError, match="no option"):
        kd.estimate_kl(x, x, method="knn", bandwidth=1.0)
    with pytest.raises(InvalidTypeError, match="block_rows"):
        kd.estimate_kl(x, x, method="knn", block_rows=2.5)
    with pytest.raises(InvalidTypeError, match="pass one of Q"):
        kd.estimate_kl(x, kl.Normal(mean=0, var=1), method="knn")
    with pytest.raises(ShapeMismatchError, match="Y has 3"):
        kd.estimate_kl(x, da.zeros((10, 3)), method="knn")
    with pytest.raises(ShapeMismatchError, match="2-D X"):
        kd.estimate_kl(da.zeros((10, 2, 2)), x, method="knn")
    with pytest.raises(InvalidTypeError, match="X holds dtype"):
        kd.estimate_kl(x.astype(complex), x, method="knn")
    with pytest.raises(NotEnoughSamplesError, match=r"X has 0 sample"):
        kd.estimate_kl(x[:0], x, method="knn")


@pytest.mark.parametrize("function", [kl.estimate_kl, kl.kth_neighbor_distances, kl.estimate_kl_from_labels])
def test_other_functions_do_not_load_dask_arrays(function):
    x = da.zeros((10,), chunks=5)
    with pytest.raises(InvalidTypeError, match=r"kltools\.dask"):
        function(x, x, **({"k": 1} if function is kl.kth_neighbor_distances else {}))


def test_sklearn_estimators_do_not_load_dask_arrays():
    with pytest.raises(InvalidTypeError, match=r"kltools\.dask"):
        kl.KNNDivergence().fit(da.zeros((10, 2), chunks=5))


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3", "cv"])
@pytest.mark.parametrize("n", [1000, 300_000])
def test_log_densities(scheduler, monkeypatch, estimator, n):
    monkeypatch.setattr(log_prob, "_VECTOR_ROWS", 2**17)
    rng = np.random.default_rng(n)
    log_p = rng.normal(size=n)
    log_q = log_p + rng.normal(-0.045, 0.3, n)
    expected = quietly(kl.estimate_kl_from_log_prob, log_p, log_q, estimator=estimator)
    p, q = da.from_array(log_p, chunks=77_777), da.from_array(log_q, chunks=50_000)
    assert_same(quietly(kd.estimate_kl_from_log_prob, p, q, estimator=estimator), expected)
    later = kd.estimate_kl_from_log_prob(p, q, estimator=estimator, compute=False)
    assert_same(quietly(later.compute), expected)


def test_log_densities_that_are_none():
    zeros = da.zeros(100, chunks=30)
    with pytest.warns(InfiniteDivergenceWarning, match="1 of 100"):
        found = kd.estimate_kl_from_log_prob(zeros, da.where(da.arange(100, chunks=30) == 70, -np.inf, 0.0))
    assert found.value == math.inf
    with pytest.raises(InvalidParameterError, match="log_q holds 1 values"):
        kd.estimate_kl_from_log_prob(zeros, da.where(da.arange(100, chunks=30) == 70, np.nan, 0.0))
    with pytest.raises(InvalidParameterError, match="log_p is -inf"):
        kd.estimate_kl_from_log_prob(zeros - np.inf, zeros)
    with pytest.raises(ShapeMismatchError, match="log_q has shape"):
        kd.estimate_kl_from_log_prob(zeros, zeros[:50])
    with pytest.raises(ShapeMismatchError, match="2 axes"):
        kd.estimate_kl_from_log_prob(zeros.reshape(10, 10), zeros)
    with pytest.raises(NotEnoughSamplesError, match="empty"):
        kd.estimate_kl_from_log_prob(zeros[:0], zeros[:0])


@pytest.mark.parametrize("kind", [int, float, str])
@pytest.mark.parametrize("method", ["zhang-grabchak", "jeffreys"])
def test_labels(scheduler, kind, method):
    rng = np.random.default_rng(0)
    p, q = rng.integers(0, 30, 5000).astype(kind), rng.integers(2, 33, 4000).astype(kind)
    expected = quietly(kl.estimate_kl_from_labels, p, q, method=method)
    x, y = da.from_array(p, chunks=777), da.from_array(q, chunks=1111)
    x = x[x != p[0]] if kind is int else x  # chunks of unknown length
    if kind is int:
        expected = quietly(kl.estimate_kl_from_labels, p[p != p[0]], q, method=method)
    assert_same(quietly(kd.estimate_kl_from_labels, x, y, method=method), expected)
    later = kd.estimate_kl_from_labels(x, y, method=method, compute=False)
    assert_same(quietly(later.compute), expected)
    if kind is not float:
        assert found_counts(x) == Counter(x.compute().tolist())


def found_counts(x):
    from kltools.dask.counts import _tally

    return _tally(x, "labels_p")[0]


def test_labels_of_two_kinds():
    with pytest.raises(InvalidTypeError, match="numbers and text"):
        kd.estimate_kl_from_labels(da.arange(4, chunks=2), da.from_array(np.array(["a", "b"])))
    with pytest.raises(NotEnoughSamplesError, match="labels_p is empty"):
        kd.estimate_kl_from_labels(da.arange(0), da.arange(4))
    with pytest.raises(ShapeMismatchError, match="one label"):
        kd.estimate_kl_from_labels(da.zeros((2, 2)), da.arange(4))


def test_counts(scheduler):
    rng = np.random.default_rng(0)
    counts = [rng.integers(5, 50, 12) for _ in range(2)]
    expected = kl.estimate_kl_from_counts(*counts)
    lazily = [da.from_array(c, chunks=5) for c in counts]
    assert_same(kd.estimate_kl_from_counts(*lazily), expected)
    assert_same(kd.estimate_kl_from_counts(*lazily, compute=False).compute(), expected)


def test_warnings_point_to_the_call():
    X, Y = samples(60, 60, 5)
    with pytest.warns(UnreliableEstimateWarning) as caught:
        kd.estimate_kl(da.from_array(X), da.from_array(Y), method="knn")
    assert {warning.filename for warning in caught} == {__file__}


# ---------------------------------------------------------------- workers


@pytest.fixture
def cluster():
    distributed = pytest.importorskip("distributed")
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit="2GiB"
        ) as workers,
        distributed.Client(workers) as client,
    ):
        warnings.simplefilter("ignore")  # of its connections, when a worker is gone
        yield client


@pytest.mark.slow
@pytest.mark.jit
def test_workers_change_no_bit(cluster):
    X, Y = samples(20_000, 18_000, 3)
    expected = quietly(kl.estimate_kl, X, Y, method="knn", random_state=0)
    x, y = da.from_array(X, chunks=(3333, -1)), da.from_array(Y, chunks=(5000, -1))
    assert_same(quietly(kd.estimate_kl, x, y, method="knn", random_state=0, **SMALL), expected)
    later = kd.estimate_kl(x, y, method="knn", random_state=0, compute=False, **SMALL)
    assert_same(later.compute(), expected)
    persisted = kd.estimate_kl(x.persist(), y.persist(), method="knn", random_state=0, **SMALL)
    assert_same(persisted, expected)
    log_p = X[:, 0]
    p, q = da.from_array(log_p, chunks=3000), da.from_array(log_p - 0.1, chunks=7000)
    assert kd.estimate_kl_from_log_prob(p, q) == kl.estimate_kl_from_log_prob(log_p, log_p - 0.1)


@pytest.mark.slow
@pytest.mark.jit
def test_a_lost_worker_loses_nothing(cluster):
    X, Y = samples(40_000, 40_000, 8)
    expected = quietly(kl.estimate_kl, X, Y, method="knn", random_state=0)
    x, y = da.from_array(X, chunks=(4096, -1)), da.from_array(Y, chunks=(4096, -1))
    pids = cluster.run(os.getpid)
    assert len(pids) == 2
    victim = min(pids.values())
    lost = []

    def lose_one():
        while sum(cluster.run_on_scheduler(tasks_done)) < 60:
            time.sleep(0.02)
        os.kill(victim, signal.SIGKILL)  # a process of this cluster, which this test has started
        lost.append(victim)

    thread = threading.Thread(target=lose_one)
    thread.start()
    found = quietly(kd.estimate_kl, x, y, method="knn", random_state=0, **SMALL)
    thread.join()
    assert lost == [victim]
    assert victim not in cluster.run(os.getpid).values()
    assert_same(found, expected, error=False)


def tasks_done(dask_scheduler):
    """Searches that are in memory or whose results have been used already."""
    return [
        prefix.state_counts["memory"] + prefix.state_counts["released"] + prefix.state_counts["forgotten"]
        for name, prefix in dask_scheduler.task_prefixes.items()
        if "nearest" in name
    ]
