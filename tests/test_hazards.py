"""Beside what else runs in a process: threads, forks, pools of workers, the user's own parallel code.

Each test is a program in a process of its own, on each threading layer of Numba; kltools starts none of them.
"""

import importlib
import sys

import processes
import pytest

from kltools import _cache

pytestmark = pytest.mark.jit

# what every program does: estimates on a line, in trees and with all pairs; a parallel function of the user
WORK = """
import multiprocessing, os, sys, threading, time
import numba
import numpy as np
import kltools as kl
from kltools.families.gaussian import kl_normal_normal

rng = np.random.default_rng(0)
samples = [rng.normal(size=(2, n, d)) for n, d in ((20_000, 1), (2000, 3), (300, 20))]

def work(i):
    X, Y = samples[i % 3]
    estimate = kl.estimate_kl(X[i:], Y, method="knn", n_jobs=1 + i % 2, random_state=0)
    return estimate.value, estimate.standard_error if i == 4 else None

scalar = kl_normal_normal.scalar

@numba.njit(parallel=True)
def mine(means, out):
    for i in numba.prange(len(means)):
        out[i] = scalar(means[i], 1.0, 0.0, 2.0)

means = np.linspace(-3.0, 3.0, 10_001)
closed_forms = kl.kl_divergence(kl.Normal(mean=means, var=1.0), kl.Normal(mean=0.0, var=2.0))

def check_mine():
    out = np.full_like(means, np.nan)
    mine(means, out)
    np.testing.assert_allclose(out, closed_forms, rtol=1e-15)

def layer():
    try:
        return numba.threading_layer()
    except ValueError:
        return "none"

"""


def is_available(layer):
    try:
        importlib.import_module("numba.np.ufunc." + {"omp": "omppool"}.get(layer, layer))
    except ImportError:
        return False
    return True


each_layer = pytest.mark.parametrize(
    "layer",
    [
        pytest.param(name, marks=pytest.mark.skipif(not is_available(name), reason="not in this Numba"))
        for name in ("omp", "workqueue")
    ],
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The cache of this process, which other tests may have filled; an empty one, if there is none."""
    directory = _cache.directory()
    return tmp_path_factory.mktemp("cache") if directory is None else directory.parent


@pytest.fixture
def run(tmp_path, cache):
    """Run a program from a file; it must say nothing but its result."""

    def run_program(program, layer, *arguments, timeout=30):
        path = tmp_path / "program.py"
        path.write_text(WORK + program)
        env = processes.environment(cache=cache, NUMBA_THREADING_LAYER=layer, PYTHONWARNINGS="ignore")
        out, err = processes.run(path, layer, *arguments, env=env, timeout=timeout)
        assert err == ""
        return out

    return run_program


@pytest.fixture(scope="module", autouse=True)
def compiled(cache, tmp_path_factory):
    """What the programs need is on disk, so that their time limits are about what they do."""
    path = tmp_path_factory.mktemp("program") / "program.py"
    path.write_text(WORK + "for i in range(12):\n    work(i)\n")
    processes.run(path, env=processes.environment(cache=cache))


# ---------------------------------------------------------------- threads


FOUR_THREADS = """
expected = [work(i) for i in range(12)]
assert layer() == "none"
check_mine()
assert [work(i) for i in range(12)] == expected
results = {}

def many(thread):
    for call in range(60):
        results[thread, call] = work((call + thread) % 12)

sys.setswitchinterval(1e-4)
threads = [threading.Thread(target=many, args=(i,)) for i in range(4)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    check_mine()
    time.sleep(0.01)
assert len(results) == 240
assert all(result == expected[(call + thread) % 12] for (thread, call), result in results.items())
assert threading.active_count() == 1
check_mine()
assert layer() == sys.argv[1]
print("equal")
"""


@each_layer
def test_four_threads_beside_a_parallel_function(layer, run):
    assert run(FOUR_THREADS, layer, timeout=60) == "equal\n"


INSIDE = """
def value(i):
    return work(i)[0]

@numba.njit(parallel=True)
def values(out):
    for i in numba.prange(len(out)):
        with numba.objmode(result="float64"):
            result = value(i)
        out[i] = result

out = np.empty(24)
values(out)
assert out.tolist() == [value(i) for i in range(24)]
assert layer() == sys.argv[1]
print("equal")
"""


@each_layer
def test_inside_a_parallel_function_in_object_mode(layer, run):
    assert run(INSIDE, layer) == "equal\n"


# ---------------------------------------------------------------- processes


FORKED_POOL = """
expected = [work(i) for i in range(12)]
check_mine()
assert layer() == sys.argv[1]
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(work, range(12)).get(timeout=30) == expected
assert [work(i) for i in range(12)] == expected
check_mine()
print("equal")
"""


@each_layer
@pytest.mark.skipif(sys.platform != "linux", reason="fork is safe on Linux only")
def test_a_forked_pool_after_use(layer, run):
    assert run(FORKED_POOL, layer, timeout=60) == "equal\n"


LOKY = """
import joblib

def work_of_worker(i):
    return work(i), layer(), os.getpid()

if __name__ == "__main__":
    expected = [work(i) for i in range(12)]
    check_mine()
    assert layer() == sys.argv[1]
    results = joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(work_of_worker)(i) for i in range(12))
    assert [result for result, _, _ in results] == expected
    assert {layer for _, layer, _ in results} == {"none"}
    assert os.getpid() not in {pid for _, _, pid in results}
    with joblib.parallel_config(backend="loky", n_jobs=2):  # n_jobs=None means 2 there
        together = [kl.estimate_kl(X, Y, method="knn").value for X, Y in samples]
    assert together == [kl.estimate_kl(X, Y, method="knn", n_jobs=1).value for X, Y in samples]
    check_mine()
    print("equal")
"""


@each_layer
def test_loky_workers(layer, run):
    assert run(LOKY, layer, timeout=60) == "equal\n"


# ---------------------------------------------------------------- the end of a process


ENDS = {
    "a thread outlives the main thread": """
def much():
    print(all(work(1) == expected for _ in range(20)))
threading.Thread(target=much).start()
""",
    "a function runs at exit": """
import atexit
atexit.register(lambda: print(work(1) == expected))
""",
    "a daemon is at work": """
def forever():
    while True:
        work(1)
threading.Thread(target=forever, daemon=True).start()
time.sleep(0.2)
print(True)
""",
}


@pytest.mark.parametrize("case", sorted(ENDS))
def test_the_end_of_a_process(case, run):
    """`work(1)` has two threads."""
    assert run("expected = work(1)\n" + ENDS[case], "workqueue") == "True\n"
