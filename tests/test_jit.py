"""Compiled kernels: what Numba was told, and how rows are handed to threads."""

import _thread
import importlib
import math
import pkgutil
import signal
import sys
import threading
import time
import warnings

import joblib
import numpy as np
import pytest
from numba.core import config
from numba.core.dispatcher import Dispatcher

import kltools as kl
from kltools import _jit
from kltools._jit import call_all, effective_n_jobs, elementwise, jit, run_rows

compiled_only = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="asks what compiled code does")


class Kernel:
    """A kernel in Python: it notes the rows it did and who did them, takes its time, and does something at one row."""

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
            if self._seconds:
                time.sleep(self._seconds)
            self.done[row] += 1


@pytest.fixture
def cores(monkeypatch):
    """Set the number of cores that the runner believes in."""
    return lambda n: monkeypatch.setattr(_jit, "available_cores", lambda: n)


@pytest.fixture
def pace(monkeypatch):
    """Set how long blocks should take, and what is worth a thread."""

    def set_pace(block=None, smallest=None, worth_help=None, first_operations=None):
        names = ("_BLOCK_SECONDS", "_SMALLEST_SECONDS", "_SECONDS_WORTH_HELP", "_FIRST_OPERATIONS")
        for name, value in zip(names, (block, smallest, worth_help, first_operations), strict=True):
            assert isinstance(getattr(_jit, name), float | int)
            if value is not None:
                monkeypatch.setattr(_jit, name, value)

    return set_pace


PACES = {
    "one row each, all threads": {"block": 1e-9, "smallest": 0.0, "worth_help": 1e-9, "first_operations": 1},
    "few rows, all threads": {"block": 1e-5, "smallest": 1e-6, "worth_help": 1e-9, "first_operations": 100},
    "as large as can be": {"block": 1e9, "smallest": 1e9, "worth_help": 1e-9, "first_operations": 1},
    "never worth a thread": {"worth_help": 1e9},
    "as it is": {},
}
each_pace = pytest.mark.parametrize("pacing", sorted(PACES))


def meet(n):
    """What waits until n threads have come to it."""
    barrier = threading.Barrier(n)
    return lambda: barrier.wait(timeout=30.0)


def not_here():
    """Raise in any thread but this one."""
    here = threading.get_ident()

    def action():
        if threading.get_ident() != here:
            raise ValueError("mine")

    return action


@pytest.fixture
def threads_end():
    """Whatever happens, no thread is left over."""
    before = threading.active_count()
    yield
    until = time.monotonic() + 1.0  # an interrupt may come while they are waited for
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(1e-3)
    assert threading.active_count() == before


# ---------------------------------------------------------------- rows


@each_pace
@pytest.mark.parametrize("row_cost", [0, 1, 10**4, 10**30])
@pytest.mark.parametrize("share_at_once", [False, True])
def test_every_row_is_done_once(share_at_once, row_cost, pacing, cores, pace, threads_end):
    cores(4)
    pace(**PACES[pacing])
    for n_rows in (0, 1, 2, 3, 7, 500):
        for n_jobs in (1, 2, 5, 10**6):
            kernel = Kernel(n_rows)
            run_rows(kernel, n_rows, n_jobs=n_jobs, row_cost=row_cost, share_at_once=share_at_once)
            assert (kernel.done == 1).all()
            assert all(start < stop for start, stop in kernel.blocks)


def results(n_jobs):
    """Everything that runs over rows, once: on a line, in trees, with all pairs."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(700, 3)), rng.normal(size=(600, 3))
    wide = rng.normal(size=(60, 12))
    lattice = rng.integers(0, 9, (300, 2)).astype(float)
    found = [
        kl.kth_neighbor_distances(wide, k=7, n_jobs=n_jobs),
        kl.KNNDivergence(n_jobs=n_jobs).fit(Y).score_samples(X),
        kl.GaussianDivergence().fit(Y).score(X),
        _quiet_estimate(lattice, lattice[::2] + 1.0, n_jobs).value,
    ]
    for n, d in ((3000, 1), (3000, 3), (1500, 20)):
        X, Y = rng.normal(size=(n, d)), rng.normal(size=(n - 300, d))
        estimate = _quiet_estimate(X, Y, n_jobs)
        found += [estimate.value, estimate.standard_error]
        found += [kl.kth_neighbor_distances(X, Y, k=7, n_jobs=n_jobs), kl.kth_neighbor_distances(X, k=7, n_jobs=n_jobs)]
        found.append(_quiet_estimate(X.round(1), Y.round(1), n_jobs).value)
    return found


def _quiet_estimate(X, Y, n_jobs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kl.KLToolsWarning)
        return kl.estimate_kl(X, Y, method="knn", n_jobs=n_jobs, random_state=0)


def assert_bitwise_equal(some, others):
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one, other)


@compiled_only
def test_results_are_bitwise_independent_of_threads_and_blocks(cores, pace):
    cores(8)
    expected = results(1)
    for n_jobs in (1, 2, 3, 8, None, -1):
        assert_bitwise_equal(results(n_jobs), expected)
    for pacing, n_jobs in (("one row each, all threads", 3), ("few rows, all threads", 8), ("as large as can be", 2)):
        pace(**PACES[pacing])
        assert_bitwise_equal(results(n_jobs), expected)


@compiled_only
@pytest.mark.parametrize(("n", "d"), [(60_000, 1), (25_000, 3), (6000, 20)], ids=["line", "tree", "brute"])
def test_large_samples_too(n, d, cores):
    """Trees of so many rows are also built by threads, and pairs of so many are compared in long stretches."""
    cores(8)
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(2, n, d))
    expected = kl.kth_neighbor_distances(X, k=6), kl.kth_neighbor_distances(X, Y, k=6), _quiet_estimate(X, Y, 1).value
    for n_jobs in (2, 3, 8):
        found = [kl.kth_neighbor_distances(X, other, k=6, n_jobs=n_jobs) for other in (None, Y)]
        assert_bitwise_equal([*found, _quiet_estimate(X, Y, n_jobs).value], expected)


def test_full_covariance_batches_are_bitwise_independent_of_blocks(pace):
    rng = np.random.default_rng(0)
    factor = np.tril(rng.normal(size=(2, 200, 4, 4)), -1) + 3.0 * np.eye(4)
    p, q = (kl.MultivariateNormal.from_cholesky(mean=rng.normal(size=4), cholesky=f) for f in factor)
    expected = kl.kl_divergence(p, q)
    for pacing in ("one row each, all threads", "as large as can be"):
        pace(**PACES[pacing])
        np.testing.assert_array_equal(kl.kl_divergence(p, q), expected)
    assert [kl.kl_divergence(p[i], q[i]) for i in range(0, 200, 40)] == list(expected[::40])


@jit
def _sums_of_sines(start, stop, values, out):
    for i in range(start, stop):
        out[i] = 0.0
        for value in values:
            out[i] += math.sin(i * value)


def test_compiled_kernels_run_in_several_threads(cores, threads_end):
    cores(3)
    values = np.random.default_rng(0).normal(size=1000)
    together, alone = np.empty((2, 3000))
    _sums_of_sines(0, 3000, values, alone)
    all_here = meet(3)
    threads = set()

    def kernel(start, stop, *arguments):
        if threading.get_ident() not in threads:
            threads.add(threading.get_ident())
            all_here()
        _sums_of_sines(start, stop, *arguments)

    run_rows(kernel, 3000, values, together, n_jobs=3, row_cost=10**6, share_at_once=True)
    assert len(threads) == 3
    np.testing.assert_array_equal(together, alone)


def test_the_calling_thread_works_too(cores, threads_end):
    """Four rows that wait for each other are done by four threads, one of which is this one."""
    cores(4)
    kernel = Kernel(4)
    all_here = meet(4)

    def waiting(start, stop):
        kernel(start, stop)
        all_here()

    run_rows(waiting, 4, n_jobs=4, share_at_once=True)
    assert (kernel.done == 1).all()
    assert len(kernel.threads) == 4
    assert threading.get_ident() in kernel.threads


def test_rows_longer_than_a_block_go_to_threads(cores, threads_end):
    cores(2)
    kernel = Kernel(12, seconds=20 * _jit._BLOCK_SECONDS)
    run_rows(kernel, 12, n_jobs=2)
    assert (kernel.done == 1).all()
    assert len(kernel.threads) == 2
    assert threading.get_ident() in kernel.threads


@pytest.mark.parametrize("n_rows", [2, 10, 100_000])
def test_what_is_not_worth_a_thread_stays_in_the_calling_one(n_rows, cores, pace):
    cores(4)
    pace(worth_help=1e9)
    kernel = Kernel(n_rows)
    run_rows(kernel, n_rows, n_jobs=4)
    assert kernel.threads == {threading.get_ident()}


def test_a_single_row_stays_in_the_calling_thread(cores):
    cores(4)
    for share_at_once in (False, True):
        kernel = Kernel(1, seconds=0.01)
        run_rows(kernel, 1, n_jobs=4, share_at_once=share_at_once)
        assert kernel.threads == {threading.get_ident()}


@pytest.mark.parametrize("share_at_once", [False, True])
def test_no_more_threads_than_cores(share_at_once, cores, threads_end):
    cores(2)
    kernel = Kernel(300, seconds=1e-3)
    run_rows(kernel, 300, n_jobs=10**6, share_at_once=share_at_once)
    assert (kernel.done == 1).all()
    assert len(kernel.threads) <= 2


def test_blocks_take_about_as_long_as_they_should(cores):
    """Rows of at least 0.1 ms: no block has more of them than fit, but for the first, which `row_cost` bounds."""
    kernel = Kernel(1500, seconds=1e-4)
    run_rows(kernel, 1500, row_cost=_jit._FIRST_OPERATIONS)
    sizes = [stop - start for start, stop in kernel.blocks]
    assert sizes[0] == 1
    assert 1 < max(sizes) <= _jit._BLOCK_SECONDS / 1e-4


def test_rows_that_may_be_costly_come_in_small_blocks():
    """Though all those before cost nothing."""
    kernel = Kernel(10_000)
    run_rows(kernel, 10_000, row_cost=_jit._BLOCK_OPERATIONS // 20)
    assert max(stop - start for start, stop in kernel.blocks) <= 20


def test_blocks_get_smaller_towards_the_end(cores, pace):
    """So that no thread waits long for another one."""
    cores(3)
    pace(block=1e9, smallest=0.0, worth_help=1e-9, first_operations=1)
    kernel = Kernel(10_000)
    run_rows(kernel, 10_000, n_jobs=3)
    assert max(stop - start for start, stop in kernel.blocks) > 100
    for start, stop in kernel.blocks:
        assert stop - start <= max(1, (10_000 - start) // 6)


# ---------------------------------------------------------------- progress


def heard(n_rows, **options):
    """What `progress` is told, and by which threads."""
    shares, threads = [], set()

    def progress(share):
        shares.append(share)
        threads.add(threading.get_ident())

    kernel = Kernel(n_rows)
    run_rows(kernel, n_rows, progress=progress, **options)
    assert (kernel.done == 1).all()
    return shares, threads


@each_pace
@pytest.mark.parametrize("share_at_once", [False, True])
@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_progress_rises_to_one(n_jobs, share_at_once, pacing, cores, pace):
    cores(3)
    pace(**PACES[pacing])
    for n_rows in (1, 2, 7, 1000):
        shares, threads = heard(n_rows, n_jobs=n_jobs, share_at_once=share_at_once, row_cost=10**4)
        assert threads == {threading.get_ident()}
        assert shares == sorted(shares)
        assert shares[0] > 0.0
        assert shares[-1] == 1.0


def test_progress_ends_with_one_though_others_do_the_last_rows(cores):
    """The calling thread is slow: after its first row it waits until nothing is left."""
    cores(2)
    shares, kernel = [], Kernel(50)

    def slow_here(start, stop):
        kernel(start, stop)
        if threading.current_thread() is threading.main_thread():
            while kernel.done.sum() < 49:
                time.sleep(1e-3)

    def progress(share):
        shares.append(share)
        while kernel.done.sum() < 50:
            time.sleep(1e-3)

    run_rows(slow_here, 50, n_jobs=2, row_cost=10**30, share_at_once=True, progress=progress)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("share_at_once", [False, True])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_exception_of_progress_stops_the_work(n_jobs, share_at_once, cores, threads_end):
    cores(2)
    kernel = Kernel(100_000, seconds=1e-5)

    def progress(share):
        if share > 0.01:
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        run_rows(kernel, 100_000, n_jobs=n_jobs, row_cost=10**5, share_at_once=share_at_once, progress=progress)
    assert kernel.done.sum() < 10_000


# ---------------------------------------------------------------- exceptions and Ctrl-C


def stop_with(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize("at", [0, 1, 5000])
@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)], ids=lambda e: repr(e))
@pytest.mark.parametrize(("n_jobs", "share_at_once"), [(1, False), (2, False), (2, True)])
def test_an_exception_reaches_the_caller_and_stops_the_others(n_jobs, share_at_once, error, at, cores, threads_end):
    cores(2)
    kernel = Kernel(100_000, seconds=1e-5, at=at, action=stop_with(error))
    with pytest.raises(type(error)) as caught:
        run_rows(kernel, len(kernel.done), n_jobs=n_jobs, row_cost=10**5, share_at_once=share_at_once)
    assert caught.value is error
    assert kernel.done.sum() < len(kernel.done) / 10
    assert kernel.done[at] == 0


def test_an_exception_of_another_thread_reaches_the_caller(cores, threads_end):
    cores(2)
    failing, kernel = not_here(), Kernel(100_000, seconds=1e-5)

    def fails_elsewhere(start, stop):
        failing()
        kernel(start, stop)

    with pytest.raises(ValueError, match="mine"):
        run_rows(fails_elsewhere, 100_000, n_jobs=2, row_cost=10**5)
    assert kernel.threads == {threading.get_ident()}
    assert kernel.done.sum() < 10_000


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt, though whoever started the tests may have had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupt_of_the_main_thread_stops_the_work(n_jobs, interruptible, cores, threads_end):
    cores(2)
    kernel = Kernel(100_000, seconds=1e-5, at=5000, action=_thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt):
        run_rows(kernel, len(kernel.done), n_jobs=n_jobs, row_cost=10**5)
    assert kernel.done[:4000].all()
    assert kernel.done.sum() < len(kernel.done) / 10


def test_calls_are_made_at_the_same_time(cores, threads_end):
    cores(2)
    meet = threading.Barrier(2, timeout=10)  # each waits for the other
    assert call_all([lambda: (meet.wait(), "first")[1], lambda: (meet.wait(), "second")[1]], 2) == ["first", "second"]


@pytest.mark.parametrize("n_jobs", [1, 2, 7])
def test_results_come_in_the_order_of_the_calls(n_jobs, cores, threads_end):
    cores(4)
    assert call_all([lambda i=i: i for i in range(100)], n_jobs) == list(range(100))


@pytest.mark.parametrize("failing", [0, 1])
def test_an_exception_of_a_call_reaches_the_caller(failing, cores, threads_end):
    cores(2)
    calls = [lambda: None, lambda: None]
    calls[failing] = stop_with(ValueError("mine"))
    with pytest.raises(ValueError, match="mine"):
        call_all(calls, 2)


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
