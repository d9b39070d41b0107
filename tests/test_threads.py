"""Threads, processes, signals and limits: each test is a program in a process of its own."""

import sys

import processes
import pytest

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
    """A cache for the tests that do not ask for another one."""
    return tmp_path_factory.mktemp("cache")


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


@pytest.mark.parametrize("state", ["off", "cold", "warm"])
def test_four_threads_from_the_very_first_call(state, tmp_path, cache):
    """Nothing is compiled when they start: they race for every kernel and every ufunc."""
    place = {"off": "off", "cold": tmp_path / "cold", "warm": cache}[state]
    assert run(WORK + MANY_THREADS, tmp_path=tmp_path, cache=place) == "equal\n"


PARALLEL_PROGRAM_OF_A_USER = """
import sys
import numba

scalar = kl_normal_normal.scalar

@numba.njit(parallel=True)
def mine(means, out):
    for i in numba.prange(len(means)):
        out[i] = scalar(means[i], 1.0, 0.0, 2.0)

means = np.linspace(-3.0, 3.0, 10_001)
out = np.empty_like(means)
expected = [work(i) for i in range(6)]
closed_forms = kl.kl_divergence(kl.Normal(mean=means, var=1.0), kl.Normal(mean=0.0, var=2.0))
wrong = []

def others():
    for call in range(60):
        if work(call % 6, n_jobs=2) != expected[call % 6]:
            wrong.append(call)

mine(means, out)
threads = [threading.Thread(target=others) for _ in range(2)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    out[:] = np.nan
    mine(means, out)
    np.testing.assert_allclose(out, closed_forms, rtol=1e-15)
assert not wrong
assert numba.threading_layer() == sys.argv[1]
print("equal")
"""


@pytest.mark.parametrize(
    "layer",
    ["workqueue", pytest.param("omp", marks=pytest.mark.skipif(sys.platform != "linux", reason="not in every wheel"))],
)
def test_beside_and_inside_a_parallel_program_of_the_user(layer, tmp_path, cache):
    program = WORK + PARALLEL_PROGRAM_OF_A_USER
    assert run(program, layer, tmp_path=tmp_path, cache=cache, NUMBA_THREADING_LAYER=layer) == "equal\n"


# ---------------------------------------------------------------- processes


POOL = """
import multiprocessing
import sys

if __name__ == "__main__":
    expected = [work(i, n_jobs=2) for i in range(6)]
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        print(pool.map_async(work, range(6)).get(timeout=60) == expected)
"""


@pytest.mark.parametrize("method", ["spawn", *(["fork", "forkserver"] if sys.platform == "linux" else [])])
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
for _ in range(5):
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
    assert run(WORK + FORK, state, tmp_path=tmp_path, cache=cache, NUMBA_THREADING_LAYER="omp") == "equal\n"


JOBLIB = """
import sys
import joblib

if __name__ == "__main__":
    expected = [work(i) for i in range(6)]
    jobs = joblib.Parallel(n_jobs=2, backend=sys.argv[1])
    assert jobs(joblib.delayed(work)(i, n_jobs=2) for i in range(6)) == expected
    with joblib.parallel_config(backend=sys.argv[1], n_jobs=2):
        assert [work(i) for i in range(6)] == expected
        assert joblib.Parallel()(joblib.delayed(work)(i) for i in range(6)) == expected
    print("equal")
"""


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib(backend, tmp_path, cache):
    assert run(WORK + JOBLIB, backend, tmp_path=tmp_path, cache=cache) == "equal\n"


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

if kind == "slow rows last":  # every point of the sphere is equally far from its centre: no search tree helps there
    Y = sphere(150_000)
    X = np.concatenate([sphere(100_000), 1e-3 * sphere(100_000)])
    def call(X, Y):
        return kl.kth_neighbor_distances(X, Y, k=5, n_jobs=n_jobs)
else:
    n, d = {"few features": (1_000_000, 6), "many features": (100_000, 30)}[kind]
    X, Y = rng.normal(size=(2, n, d))
    def call(X, Y):
        return kl.estimate_kl(X, Y, method="knn", n_neighbors=1, n_jobs=n_jobs).value

expected = call(X[:300], Y[:300])  # compiles
call(X[:100], Y[:100])
sent = []

def interrupt():
    time.sleep(1.2)
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
try:
    call(X, Y)
except KeyboardInterrupt:
    print(time.perf_counter() - sent[0])
assert threading.active_count() == 1
assert np.array_equal(call(X[:300], Y[:300]), expected)
"""


@posix_only
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("kind", ["few features", "many features", "slow rows last"])
def test_ctrl_c_ends_a_long_call(kind, n_jobs, tmp_path, cache):
    """Within 0.5 s on an idle machine; the bound leaves room for a busy one."""
    latency = float(run(INTERRUPT, kind, n_jobs, tmp_path=tmp_path, cache=cache))
    print(f"{kind}, n_jobs={n_jobs}: {1000 * latency:.0f} ms")
    assert latency < 2.0


# ---------------------------------------------------------------- memory


LITTLE_MEMORY = """
import resource, time
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
import numpy as np
import kltools as kl

rng = np.random.default_rng(0)
began = time.perf_counter()
X, Y = rng.normal(0.0, 1.0, (100_000, 3)), rng.normal(0.5, 1.0, (100_000, 3))
print(kl.estimate_kl(X, Y, method="knn", n_jobs=2).value, time.perf_counter() - began)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is obeyed on Linux only")
def test_large_samples_in_two_gibibytes(tmp_path, cache):
    """All distances would need 75 GiB."""
    value, seconds = map(float, run(LITTLE_MEMORY, tmp_path=tmp_path, cache=cache, timeout=300).split())
    print(f"{seconds:.1f} s")
    assert value == pytest.approx(3 * 0.5**2 / 2, abs=0.03)
