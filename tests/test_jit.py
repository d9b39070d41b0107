"""Compiled kernels: what Numba was told, and how rows are handed to threads."""

import _thread
import importlib
import math
import pkgutil
import sys
import threading
import time

import joblib
import numpy as np
import pytest
from numba.core import config
from numba.core.dispatcher import Dispatcher

import kltools as kl
from kltools import _jit
from kltools._jit import effective_n_jobs, elementwise, jit, run_rows

compiled_only = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="asks what compiled code does")


class Kernel:
    """A kernel in Python: it notes the rows it did and who did them, and does something at one row."""

    def __init__(self, n_rows, seconds=0.0, at=None, action=None):
        self.done = np.zeros(n_rows, dtype=int)
        self.blocks = []
        self.threads = set()
        self._seconds, self._at, self._action = seconds, at, action

    def __call__(self, start, stop):
        self.blocks.append((start, stop))
        self.threads.add(threading.get_ident())
        for row in range(start, stop):
            if row == self._at:
                self._action()
            time.sleep(self._seconds)
            self.done[row] += 1


@pytest.fixture
def cores(monkeypatch):
    """Set the number of cores that the runner believes in."""
    return lambda n: monkeypatch.setattr(_jit, "available_cores", lambda: n)


@pytest.fixture
def threads_end():
    """Whatever happens, no thread is left over."""
    before = threading.active_count()
    yield
    assert threading.active_count() == before


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize("block_seconds", [1e-9, 1e-5, 1e9])
@pytest.mark.parametrize("n_jobs", [1, 2, 5, 10**6])
@pytest.mark.parametrize("n_rows", [0, 1, 2, 7, 1000])
def test_every_row_is_done_once(n_rows, n_jobs, block_seconds, cores, monkeypatch, threads_end):
    cores(4)
    monkeypatch.setattr(_jit, "_BLOCK_SECONDS", block_seconds)
    kernel = Kernel(n_rows)
    run_rows(kernel, n_rows, n_jobs=n_jobs)
    assert (kernel.done == 1).all()
    assert all(start < stop for start, stop in kernel.blocks)


def results(n_jobs):
    """Everything that runs over rows, once."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(700, 3)), rng.normal(size=(600, 3))
    wide = rng.normal(size=(60, 12))
    lattice = rng.integers(0, 9, (300, 2)).astype(float)
    estimate = kl.estimate_kl(X, Y, method="knn", n_jobs=n_jobs, random_state=0)
    return [
        kl.kth_neighbor_distances(X, Y, k=7, n_jobs=n_jobs),
        kl.kth_neighbor_distances(X, k=7, n_jobs=n_jobs),
        kl.kth_neighbor_distances(wide, k=7, n_jobs=n_jobs),
        estimate.value,
        estimate.standard_error,
        kl.KNNDivergence(n_jobs=n_jobs).fit(Y).score_samples(X),
        kl.GaussianDivergence().fit(Y).score(X),
        _tied(lattice, lattice[::2] + 1.0, n_jobs),
    ]


def _tied(X, Y, n_jobs):
    with pytest.warns(kl.TiesWarning):
        return kl.estimate_kl(X, Y, method="knn", n_jobs=n_jobs).value


def test_results_are_bitwise_independent_of_threads_and_blocks(cores, monkeypatch):
    cores(8)
    expected = results(1)
    for n_jobs, block_seconds in [(1, 1e-9), (1, 1e9), (2, 1e-5), (3, 1e-4), (8, 1e-5), (None, 1e-4), (-1, 1e-5)]:
        monkeypatch.setattr(_jit, "_BLOCK_SECONDS", block_seconds)
        for one, other in zip(expected, results(n_jobs), strict=True):
            np.testing.assert_array_equal(one, other)


def test_full_covariance_batches_are_bitwise_independent_of_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    factor = np.tril(rng.normal(size=(2, 200, 4, 4)), -1) + 3.0 * np.eye(4)
    p, q = (kl.MultivariateNormal.from_cholesky(mean=rng.normal(size=4), cholesky=f) for f in factor)
    expected = kl.kl_divergence(p, q)
    for block_seconds in (1e-9, 1e9):
        monkeypatch.setattr(_jit, "_BLOCK_SECONDS", block_seconds)
        np.testing.assert_array_equal(kl.kl_divergence(p, q), expected)
    assert [kl.kl_divergence(p[i], q[i]) for i in range(0, 200, 40)] == list(expected[::40])


@jit
def _sums_of_sines(start, stop, values, out):
    for i in range(start, stop):
        out[i] = 0.0
        for value in values:
            out[i] += math.sin(i * value)


def test_compiled_kernels_run_in_several_threads(cores, monkeypatch, threads_end):
    cores(3)
    monkeypatch.setattr(_jit, "_BLOCK_SECONDS", 1e-3)
    values = np.random.default_rng(0).normal(size=1000)
    together, alone = np.empty((2, 3000))
    _sums_of_sines(0, 3000, values, alone)
    threads = set()

    def kernel(start, stop, *arguments):
        threads.add(threading.get_ident())
        _sums_of_sines(start, stop, *arguments)

    run_rows(kernel, 3000, values, together, n_jobs=3)
    assert len(threads) > 1
    np.testing.assert_array_equal(together, alone)


def test_rows_longer_than_a_block_go_to_threads(cores, threads_end):
    cores(2)
    kernel = Kernel(12, seconds=2 * _jit._BLOCK_SECONDS)
    run_rows(kernel, 12, n_jobs=2)
    assert (kernel.done == 1).all()
    assert len(kernel.threads - {threading.get_ident()}) == 2


def test_short_work_stays_in_the_calling_thread(cores):
    cores(4)
    kernel = Kernel(10)
    run_rows(kernel, 10, n_jobs=4)
    assert kernel.threads == {threading.get_ident()}


def test_no_more_threads_than_cores(cores, threads_end):
    cores(2)
    kernel = Kernel(300, seconds=1e-3)
    run_rows(kernel, 300, n_jobs=10**6)
    assert (kernel.done == 1).all()
    assert len(kernel.threads - {threading.get_ident()}) <= 2


# ---------------------------------------------------------------- exceptions and Ctrl-C


def stop_with(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize("at", [0, 1, 5000], ids=["first row", "second row", "a row of a worker"])
@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)], ids=lambda e: repr(e))
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_exception_reaches_the_caller_and_stops_the_others(n_jobs, error, at, cores, threads_end):
    cores(2)
    kernel = Kernel(1_000_000, seconds=1e-5, at=at, action=stop_with(error))
    with pytest.raises(type(error)) as caught:
        run_rows(kernel, len(kernel.done), n_jobs=n_jobs)
    assert caught.value is error
    assert kernel.done.sum() < len(kernel.done) / 10
    assert kernel.done[at] == 0


def test_an_exception_of_a_worker_comes_from_a_worker(cores):
    cores(2)
    threads = []

    def fail():
        threads.append(threading.get_ident())
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        run_rows(Kernel(10_000, seconds=1e-5, at=5000, action=fail), 10_000, n_jobs=2)
    assert threads[0] != threading.get_ident()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupt_of_the_main_thread_stops_the_work(n_jobs, cores, threads_end):
    cores(2)
    kernel = Kernel(1_000_000, seconds=1e-5, at=5000, action=_thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt):
        run_rows(kernel, len(kernel.done), n_jobs=n_jobs)
    assert kernel.done[:5000].all()
    assert kernel.done.sum() < len(kernel.done) / 10


def test_the_runner_works_after_an_exception(cores, threads_end):
    cores(2)
    with pytest.raises(ZeroDivisionError):
        run_rows(Kernel(1000, at=3, action=lambda: 1 / 0), 1000, n_jobs=2)
    kernel = Kernel(1000)
    run_rows(kernel, 1000, n_jobs=2)
    assert (kernel.done == 1).all()


# ---------------------------------------------------------------- n_jobs


def test_effective_n_jobs(cores):
    cores(6)
    assert effective_n_jobs(None) == 1
    assert effective_n_jobs(1) == 1
    assert effective_n_jobs(3) == 3
    assert effective_n_jobs(-1) == 6
    assert effective_n_jobs(-2) == 5
    assert effective_n_jobs(-6) == 1
    assert effective_n_jobs(-100) == 1
    assert effective_n_jobs(10**6) == 10**6


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_none_follows_the_joblib_context(backend):
    with joblib.parallel_config(backend=backend, n_jobs=2):
        assert effective_n_jobs(None) == 2
        assert effective_n_jobs(1) == 1
    assert effective_n_jobs(None) == 1


def test_none_is_one_without_joblib(monkeypatch):
    monkeypatch.delitem(sys.modules, "joblib")
    assert effective_n_jobs(None) == 1


def test_cores_are_those_that_the_process_may_use():
    assert 1 <= _jit.available_cores() <= joblib.cpu_count()


# ---------------------------------------------------------------- compiled code


def dispatchers():
    for module in pkgutil.walk_packages(kl.__path__, "kltools."):
        if ".cuda" in module.name or module.name.endswith("__main__"):
            continue
        try:
            loaded = importlib.import_module(module.name)
        except ImportError:  # an optional package is missing
            continue
        yield from ((f"{module.name}.{n}", f) for n, f in vars(loaded).items() if isinstance(f, Dispatcher))


@compiled_only
def test_every_kernel_is_compiled_with_the_same_options():
    found = dict(dispatchers())
    assert "kltools.neighbors.tree._nearest_kernel" in found
    for name, function in found.items():
        options = {option: value for option, value in function.targetoptions.items() if value}
        assert options == {"nopython": True, "nogil": True, "error_model": "numpy"}, name


@jit
def _quotient(a, b):
    return a / b


@jit
def _compensated_sum(values):
    total = 0.0
    lost = 0.0
    for value in values:
        term = value - lost
        following = total + term
        lost = (following - total) - term
        total = following
    return total


@jit
def _count_nan(values):
    count = 0
    for value in values:
        if math.isnan(value) or value != value:
            count += 1
    return count


@jit
def _spin(flag, counter, limit):
    while flag[0] == 0.0 and counter[0] < limit:
        counter[0] += 1.0
    return counter[0] < limit


@compiled_only
def test_division_by_zero_is_inf_or_nan():
    assert _quotient(1.0, 0.0) == math.inf
    assert _quotient(-1.0, 0.0) == -math.inf
    assert math.isnan(_quotient(0.0, 0.0))
    ufunc = elementwise(lambda a, b: a / b)
    out = np.empty(3)
    with np.errstate(all="ignore"):
        ufunc(np.array([1.0, -1.0, 0.0]), np.zeros(3), out=out)
    np.testing.assert_array_equal(out, [math.inf, -math.inf, math.nan])


def test_nan_inf_and_rounding_survive_the_compiler():
    assert _count_nan(np.array([1.0, math.nan, math.inf, -math.inf, math.nan])) == 2
    assert _compensated_sum(np.array([1.0, *[1e-16] * 10_000])) == 1.0 + 1e-12


@compiled_only
def test_kernels_release_the_gil():
    """A kernel that runs until another thread of Python tells it to stop, or gives up."""
    flag, counter = np.zeros(1), np.zeros(1)
    _spin(np.ones(1), np.zeros(1), 1.0)
    stopped = []
    thread = threading.Thread(target=lambda: stopped.append(_spin(flag, counter, 5e9)))
    thread.start()
    while counter[0] == 0.0 and thread.is_alive():
        time.sleep(1e-3)
    flag[0] = 1.0
    thread.join()
    assert stopped == [True]
