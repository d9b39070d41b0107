"""Compiling ahead of time."""

import json

import numpy as np
import processes
import pytest

import kltools as kl
from kltools import errors
from kltools.neighbors import brute, tree


def compiled(*kernels):
    return sum(len(kernel.signatures) for kernel in kernels)


@pytest.mark.jit
def test_what_is_compiled_serves_later_calls():
    kl.warmup(d=5, k=3)
    before = compiled(tree._nearest_kernel, tree._count_kernel)
    kl.warmup(d=[5, 5], k=[3, 4])
    assert compiled(tree._nearest_kernel, tree._count_kernel) == before > 0


@pytest.mark.jit
def test_huge_numbers_ask_for_nothing_new():
    kl.warmup(d=16)
    before = compiled(brute._cross_kernel, brute._self_kernel)
    kl.warmup(d=10**9)
    assert compiled(brute._cross_kernel, brute._self_kernel) == before
    kl.warmup(d=1, k=10**9)


@pytest.mark.parametrize("name", ["d", "k"])
@pytest.mark.parametrize("bad", [0, -1, 2.5, "3", [2, None], True])
def test_bad_arguments(name, bad):
    with pytest.raises((errors.InvalidTypeError, errors.InvalidParameterError), match=name):
        kl.warmup(**{name: bad})


def test_bad_arguments_that_are_arrays():
    for name in ("d", "k"):
        for bad in (np.array(0), np.array(2.5), np.array([2, 0]), np.array([[2]])):
            with pytest.raises((errors.InvalidTypeError, errors.InvalidParameterError), match=name):
                kl.warmup(**{name: bad})


# ---------------------------------------------------------------- on disk, for other processes


WARMUP = """
import sys, threading
import numpy as np
import kltools as kl

state = np.random.get_state()[1].tolist()
assert kl.warmup(**eval(sys.argv[1])) is None
assert np.random.get_state()[1].tolist() == state
assert threading.active_count() == 1
"""

# searches and estimates of many kinds; what was compiled for them is printed
USE = """
import json, sys, warnings
import numpy as np
import kltools as kl
from numba.core.dispatcher import Dispatcher

warnings.simplefilter("ignore", kl.KLToolsWarning)
rng = np.random.default_rng(0)
features, ks, sizes = json.loads(sys.argv[1])
for d in features:
    for n in sizes:
        X, Y = rng.normal(size=(n, d)), rng.normal(size=(n - n // 10, d))
        for n_jobs in (1, 2):
            for k in ks:
                estimate = kl.estimate_kl(X, Y, method="knn", n_neighbors=k, n_jobs=n_jobs, memory_limit=2**20)
                kl.kth_neighbor_distances(X, Y, k=k or 5, n_jobs=n_jobs)
                kl.kth_neighbor_distances(X, k=k or 5, n_jobs=n_jobs)
        if n < 5000:
            estimate.standard_error
            kl.estimate_kl(X, Y, random_state=0).standard_error
            kl.estimate_kl(X, Y, method="knn", scale="std").standard_error
            kl.estimate_kl(X.round(1), Y.round(1), method="knn")
            kl.estimate_kl(X, Y, method="gaussian").standard_error
            kl.estimate_kl(X.astype(np.float32), np.asfortranarray(Y), method="knn", scale="none")
modules = [module for name, module in sys.modules.items() if name.startswith("kltools.")]
ours = {f"{f.__module__}.{f.__name__}": f.stats for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)}
print(json.dumps([sorted(n for n, s in ours.items() if s.cache_misses), sum(len(s.cache_hits) for s in ours.values())]))
"""


def kernels(cache):
    """The files of a cache, of which there are no others, with their times."""
    files = [path for path in cache.rglob("*") if not path.is_dir()]
    assert all(path.suffix == ".kernel" for path in files)
    return {path: path.stat().st_mtime_ns for path in files}


def check_second_process(cache, warmup, *, features, ks=(None,), sizes):
    """One process warms up, and says nothing; another one compiles nothing and adds no file."""
    env = processes.environment(cache=cache)
    assert processes.run("-W", "error", "-c", WARMUP, repr(warmup), env=env) == ("", "")
    before = kernels(cache)
    assert before
    out, err = processes.run("-c", USE, json.dumps([features, ks, sizes]), env=env)
    missed, hits = json.loads(out)
    assert missed == []
    assert err == ""
    assert hits > 0
    assert kernels(cache) == before


@pytest.mark.jit
def test_another_process_compiles_nothing(tmp_path):
    check_second_process(tmp_path, {"d": [1, 4]}, features=[1, 4], sizes=[10, 300, 25_000])


@pytest.mark.jit
@pytest.mark.slow
def test_by_default_one_two_three_and_many_features(tmp_path):
    check_second_process(tmp_path, {}, features=[1, 2, 3, 20, 50], sizes=[100, 300, 4500])


@pytest.mark.jit
@pytest.mark.slow
@pytest.mark.parametrize("d", [3, 9, 12, 17])
def test_other_numbers_of_features(d, tmp_path):
    check_second_process(tmp_path, {"d": d}, features=[d], sizes=[100, 4500, 25_000 if d < 9 else 9000])


@pytest.mark.jit
@pytest.mark.slow
@pytest.mark.parametrize("k", [64, 100])
def test_many_neighbors(k, tmp_path):
    """An estimate asks for one neighbour more, and its standard error for some more."""
    check_second_process(tmp_path, {"d": [2, 20], "k": k}, features=[2, 20], ks=[None, k], sizes=[300, 2500])
