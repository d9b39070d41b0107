"""Threads, processes, signals and limits; progress. What needs a process of its own is a program for it."""

import sys
import threading
import time
import warnings

import numpy as np
import processes
import pytest

import kltools as kl
from kltools import _cache

pytestmark = pytest.mark.jit
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="fork, signals and limits of POSIX")

# what every program does: estimates of several kinds, whose bits must not depend on circumstances
WORK = """
import threading
import numpy as np
import kltools as kl
from kltools.families.gaussian import kl_normal_normal

rng = np.random.default_rng(0)
samples = [rng.normal(i / 4, 1.0, (150, 2)) for i in range(5)]

def work(i, n_jobs=None):
    X, Y = samples[i % 4], samples[i % 4 + 1]
    method = ("knn", "gaussian", "auto")[i % 3]
    estimate = kl.estimate_kl(X, Y, method=method, n_jobs=n_jobs, random_state=0)
    p, q = kl.Normal(mean=X.mean(), var=X.var()), kl.Normal(mean=Y.mean(), var=Y.var())
    return estimate.value, kl.kl_divergence(p, q), float(kl_normal_normal(0.0, 1.0, i, 2.0))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The cache of this process, which other tests may have filled; an empty one, if there is none."""
    directory = _cache.directory()
    return tmp_path_factory.mktemp("cache") if directory is None else directory.parent


def run(program, *arguments, tmp_path, cache, timeout=120, **variables):
    """Run a program from a file, as `spawn` needs it; it must say nothing but its result."""
    path = tmp_path / "program.py"
    path.write_text(program)
    out, err = processes.run(path, *arguments, env=processes.environment(cache=cache, **variables), timeout=timeout)
    assert err == ""
    return out


# ---------------------------------------------------------------- threads


MANY_THREADS = """
import sys
from kltools._formula import Formula

sys.setswitchinterval(1e-5)
barrier = threading.Barrier(4)
formulas = [Formula(eval(f"lambda x, y: x * y + {i}")) for i in range(5)]
results = {}

def many(thread):
    for i, formula in enumerate(formulas):
        barrier.wait()
        assert float(formula(3.0, thread)) == 3.0 * thread + i
    barrier.wait()
    for call in range(60):
        results[thread, call] = work(call + thread, n_jobs=1 + call % 2)

threads = [threading.Thread(target=many, args=(i,)) for i in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(results) == 240
assert all(result == work(call + thread) for (thread, call), result in results.items())
assert threading.active_count() == 1
print("equal")
"""


@pytest.mark.parametrize("state", [pytest.param("off", marks=pytest.mark.slow), "cold", "warm"])
def test_four_threads_from_the_very_first_call(state, tmp_path, cache):
    """Nothing is compiled when they start: they race for every kernel and every ufunc."""
    place = {"off": "off", "cold": tmp_path / "cold", "warm": cache}[state]
    assert run(WORK + MANY_THREADS, tmp_path=tmp_path, cache=place) == "equal\n"


# ---------------------------------------------------------------- processes


POOL = """
import multiprocessing
import sys

if __name__ == "__main__":
    expected = [work(i, n_jobs=2) for i in range(6)]
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        print(pool.map_async(work, range(6)).get(timeout=30) == expected)
"""


@pytest.mark.parametrize("method", ["spawn", *(["forkserver"] if sys.platform == "linux" else [])])
def test_a_pool_of_processes_after_use(method, tmp_path, cache):
    assert run(WORK + POOL, method, tmp_path=tmp_path, cache=cache) == "True\n"


FORK = """
import os
import sys
import numba
import warnings

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: fork in a process with threads
if sys.argv[1] == "beside threads":
    stopped = threading.Event()
    def busy():
        while not stopped.is_set():
            work(0, n_jobs=2)
    thread = threading.Thread(target=busy)
else:
    @numba.njit(parallel=True)
    def mine(values):
        total = 0.0
        for i in numba.prange(len(values)):
            total += values[i]
        return total
    mine(np.ones(1000))
expected = [work(i, n_jobs=2) for i in range(6)]
if sys.argv[1] == "beside threads":
    thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0 if [work(i, n_jobs=2) for i in range(6)] == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
if sys.argv[1] == "beside threads":
    stopped.set()
    thread.join()
print("equal")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="fork is safe on Linux only")
@pytest.mark.parametrize("state", ["beside threads", "after OpenMP"])
def test_forks(state, tmp_path, cache):
    """Some while another thread prepares a search, whose locks nobody in the child would ever release."""
    program = WORK + FORK
    assert run(program, state, tmp_path=tmp_path, cache=cache, timeout=60, NUMBA_THREADING_LAYER="omp") == "equal\n"


JOBLIB = """
import joblib

expected = [work(i) for i in range(6)]
jobs = joblib.Parallel(n_jobs=2, backend="threading")
assert jobs(joblib.delayed(work)(i, n_jobs=2) for i in range(6)) == expected
with joblib.parallel_config(backend="threading", n_jobs=2):
    assert [work(i) for i in range(6)] == expected
    assert joblib.Parallel()(joblib.delayed(work)(i) for i in range(6)) == expected
print("equal")
"""


def test_joblib_with_threads(tmp_path, cache):
    assert run(WORK + JOBLIB, tmp_path=tmp_path, cache=cache) == "equal\n"


# ---------------------------------------------------------------- Ctrl-C


INTERRUPT = """
import os, signal, sys, threading, time, warnings
import numpy as np
import kltools as kl

warnings.simplefilter("ignore", kl.KLToolsWarning)
kind, n_jobs = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(0)

def sphere(n):
    points = rng.normal(size=(n, 3))
    return points / np.linalg.norm(points, axis=1)[:, None]

def estimate(X, Y):
    return kl.estimate_kl(X, Y, method="knn", n_jobs=n_jobs).value

def neighbors(X, Y):
    return kl.kth_neighbor_distances(X, Y, k=5, n_jobs=n_jobs).sum()

if kind == "slow rows last":  # every point of the sphere is equally far from its centre: no search tree helps there
    Y = sphere(150_000)
    X = np.concatenate([sphere(100_000), 1e-3 * sphere(100_000)])
    call, delays = neighbors, (0.2, 0.3, 0.4)
else:
    n, d = {"few features": (200_000, 5), "many features": (30_000, 64)}[kind]
    X, Y = rng.standard_normal((2, n, d))
    call, delays = estimate, (0.05, 0.1, 0.2)

def seconds_until_interrupted(delay):
    sent = []

    def interrupt():
        time.sleep(delay)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    before = threading.active_count()  # other libraries may keep theirs
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        call(X, Y)
    except KeyboardInterrupt:
        seconds = time.perf_counter() - sent[0]
    thread.join()
    until = time.perf_counter() + 1.0
    while threading.active_count() > before and time.perf_counter() < until:
        time.sleep(1e-3)
    assert threading.active_count() == before
    return seconds

rows = 3000 if kind == "many features" else 20_000
small = X[-rows:], Y[:rows]  # so many that all kernels are compiled
call(*small)
expected = call(*small)
print(*map(seconds_until_interrupted, delays))
assert call(*small) == expected
"""


@posix_only
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("kind", ["few features", "many features", "slow rows last"])
def test_ctrl_c_ends_a_long_call(kind, n_jobs, tmp_path, cache):
    """Each within 0.5 s on an idle machine, on a busy one the best of three."""
    latencies = [float(x) for x in run(INTERRUPT, kind, n_jobs, tmp_path=tmp_path, cache=cache).split()]
    print(f"{kind}, n_jobs={n_jobs}:", *(f"{1000 * latency:.0f} ms" for latency in latencies))
    assert len(latencies) == 3
    assert min(latencies) < 0.5
    assert max(latencies) < 3.0


MANY_INTERRUPTS = """
import os, signal, threading, time
import numpy as np
import kltools as kl

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((2, 20_000, 3))

def call():
    return kl.estimate_kl(X, Y, method="knn", n_jobs=2).value

expected = call()
began = time.perf_counter()
call()
usual = time.perf_counter() - began
sent = []

def interrupt(delay):
    time.sleep(delay)
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

for _ in range(100):
    try:
        thread = threading.Thread(target=interrupt, args=(rng.uniform(0.0, usual),))
        thread.start()
        call()
        while True:  # it came too late
            time.sleep(1e-3)
    except KeyboardInterrupt:
        assert time.perf_counter() - sent[-1] < 2.0
    thread.join()
    until = time.perf_counter() + 2.0
    while threading.active_count() > 1:
        time.sleep(1e-3)
        assert time.perf_counter() < until
assert call() == expected
print("equal")
"""


@posix_only
def test_ctrl_c_at_any_moment(tmp_path, cache):
    """Also while threads start, wait for each other or end: nothing hangs, and nothing is broken afterwards."""
    assert run(MANY_INTERRUPTS, tmp_path=tmp_path, cache=cache, timeout=60) == "equal\n"


# ---------------------------------------------------------------- progress


SIZES = {"line": (40_000, 1), "tree": (15_000, 3), "brute": (4000, 20)}
each_structure = pytest.mark.parametrize(("n", "d"), list(SIZES.values()), ids=list(SIZES))
each_n_jobs = pytest.mark.parametrize("n_jobs", [1, 2])


def normal_pair(n, d):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), rng.normal(0.5, 1.2, (n - n // 10, d))


def quiet_estimate(X, Y, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kl.KLToolsWarning)
        return kl.estimate_kl(X, Y, method="knn", random_state=0, **options)


class Listener:
    """Notes what it is told and by which thread; it may take its time, and raise at some share."""

    def __init__(self, seconds=0.0, raise_at=2.0):
        self.calls, self.threads = [], set()
        self._seconds, self._raise_at = seconds, raise_at

    def __call__(self, done, total):
        self.calls.append((done, total))
        self.threads.add(threading.get_ident())
        time.sleep(self._seconds)
        if done > self._raise_at * total:
            raise ValueError("mine")

    def check(self):
        assert self.threads == {threading.get_ident()}
        done, total = zip(*self.calls, strict=True)
        assert all(type(number) is int for number in (*done, *total))
        assert len(set(total)) == 1
        assert list(done) == sorted(set(done))
        assert done[0] >= 0
        assert done[-1] == total[0]


@each_n_jobs
@each_structure
@pytest.mark.parametrize(
    ("seconds", "options"),
    [(0.0, {}), (0.003, {}), (0.0, {"memory_limit": 2**20}), (0.0, {"n_neighbors": 1})],
    ids=["fast", "slow", "parts", "k=1"],
)
def test_progress(seconds, options, n, d, n_jobs):
    """Where it is slow, other threads finish the work meanwhile."""
    X, Y = normal_pair(n, d)
    listener = Listener(seconds)
    value = quiet_estimate(X, Y, n_jobs=n_jobs, progress=listener, **options).value
    listener.check()
    assert len(listener.calls) > 1
    assert value == quiet_estimate(X, Y, n_jobs=n_jobs, **options).value


@each_n_jobs
@each_structure
def test_progress_where_rows_tie(n, d, n_jobs):
    X, Y = normal_pair(n // 8, d)
    listener = Listener()
    estimate = quiet_estimate(np.repeat(X, 2, axis=0), Y.round(1), n_jobs=n_jobs, progress=listener)
    assert estimate.n_ties > 0
    listener.check()
    n_calls = len(listener.calls)
    _ = estimate.standard_error
    assert len(listener.calls) == n_calls


@each_n_jobs
@pytest.mark.parametrize("n", [2, 30, 3000])
def test_progress_beside_a_distribution(n, n_jobs):
    listener = Listener()
    quiet_estimate(np.linspace(-1.0, 1.0, n), kl.Normal(mean=0.0, var=1.0), n_jobs=n_jobs, progress=listener)
    listener.check()
    assert listener.calls[-1] == (n, n)


@each_n_jobs
@each_structure
@pytest.mark.parametrize("share", [-1.0, 0.3])
def test_an_exception_of_progress_stops_the_estimate(share, n, d, n_jobs):
    X, Y = normal_pair(n, d)
    listener, before = Listener(raise_at=share), threading.active_count()
    with pytest.raises(ValueError, match="mine"):
        quiet_estimate(X, Y, n_jobs=n_jobs, progress=listener)
    assert all(done <= max(share, 0.0) * total for done, total in listener.calls[:-1])
    assert threading.active_count() == before


@pytest.mark.parametrize("bad", [0, 1.0, "tqdm", [print]], ids=repr)
def test_progress_must_be_a_function(bad):
    with pytest.raises(kl.InvalidTypeError, match="progress"):
        kl.estimate_kl([0.0, 1.0, 3.0], [0.0, 2.0, 5.0], progress=bad)


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize("d", [1, 3, 20])
def test_a_memory_limit_changes_no_bit(d):
    """The least limit has three parts of rows."""
    X, Y = normal_pair(7000, d)
    for some, others in ((X, Y), (X.round(1), Y.round(1)), (X, kl.MultivariateNormal(mean=np.zeros(d), cov=np.eye(d)))):
        expected = quiet_estimate(some, others)
        for n_jobs in (1, 2):
            estimate = quiet_estimate(some, others, memory_limit=2**20, n_jobs=n_jobs)
            assert estimate.value == expected.value
            assert estimate.n_ties == expected.n_ties
            assert estimate.diagnostics == expected.diagnostics
    assert estimate.standard_error == expected.standard_error


@pytest.mark.parametrize("bad", [1.5, 1e9, "1 GiB", True, [2**30], float("inf")], ids=repr)
def test_a_memory_limit_is_an_integer(bad):
    with pytest.raises(kl.InvalidTypeError, match="memory_limit"):
        kl.estimate_kl([0.0, 1.0, 3.0], [0.0, 2.0, 5.0], memory_limit=bad)


@pytest.mark.parametrize("bad", [0, -1, 2**20 - 1], ids=repr)
def test_a_memory_limit_is_not_too_small(bad):
    with pytest.raises(kl.InvalidParameterError, match="memory_limit"):
        kl.estimate_kl([0.0, 1.0, 3.0], [0.0, 2.0, 5.0], memory_limit=bad)


LITTLE_MEMORY = """
import resource, sys, time, warnings
import numpy as np
import kltools as kl

warnings.simplefilter("ignore", kl.KLToolsWarning)
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
d = int(sys.argv[1])
rng = np.random.default_rng(0)
began = time.perf_counter()
X, Y = rng.standard_normal((100_000, d)), rng.normal(0.5, 1.0, (100_000, d))
print(kl.estimate_kl(X, Y, method="knn", n_jobs=2).value, time.perf_counter() - began)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is obeyed on Linux only")
@pytest.mark.parametrize(("d", "tolerance"), [(3, 0.03), pytest.param(20, 1.0, marks=pytest.mark.slow)])
def test_large_samples_in_two_gibibytes(d, tolerance, tmp_path, cache):
    """All distances would need 75 GiB."""
    value, seconds = map(float, run(LITTLE_MEMORY, d, tmp_path=tmp_path, cache=cache, timeout=300).split())
    print(f"{seconds:.1f} s")
    assert value == pytest.approx(d * 0.5**2 / 2, abs=tolerance)
