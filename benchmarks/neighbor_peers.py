"""One contender in a process of its own: reads cases from standard input, writes times.

Libraries disturb one another's thread pools, so that no two of them are measured in one process.
"""

import json
import math
import os
import sys
import time


def samples(case):
    import numpy as np

    rng = np.random.default_rng(0)
    n, m, d = case["n"], case.get("m", case["n"]), case["d"]
    return rng.standard_normal((n, d)), 1.2 * rng.standard_normal((m, d)) + 0.1


def kltools(threads):
    import numpy as np

    import kltools as kl
    from kltools import _simd
    from kltools.neighbors import Reference, references

    def both(X, Y, k):
        own, other = references(X, Y, threads)
        own.kth_distances(None, k)
        other.kth_distances(own.points, k)

    def public_calls(X, Y, k):
        kl.kth_neighbor_distances(X, k=k, n_jobs=threads)

    return {
        "both": both,
        "cross": lambda X, Y, k: Reference(Y, threads).kth_distances(X, k),
        "self": lambda X, Y, k: Reference(Y, threads).kth_distances(None, k),
        "call": public_calls,
        "exp": lambda X, Y, k: _elementwise(_simd.exp, X),
        "log": lambda X, Y, k: _elementwise(_simd.log, np.abs(X, out=Y)),
    }


_KERNELS = {}


def _elementwise(function, X):
    """A compiled loop over a contiguous array."""
    import numpy as np

    from kltools._jit import jit
    from kltools._simd import Const, load, store

    if function not in _KERNELS:

        @jit
        def kernel(x, out, lanes):
            for i in range(0, x.size, 8):
                store(out, i, function(load(x, i, lanes)))

        _KERNELS[function] = kernel, Const(8), np.empty_like(X)
    kernel, lanes, out = _KERNELS[function]
    kernel(X, out, lanes)


def numpy(threads):
    import numpy as np

    def tiles(X, Y, k):
        """A float32 product in tiles, thrown away: what any method must do that looks at all pairs."""
        a, b, out = (
            X.astype(np.float32),
            np.ascontiguousarray(Y.astype(np.float32).T),
            np.empty((512, 2048), np.float32),
        )
        for first in range(0, len(a), 512):
            rows = a[first : first + 512]
            for start in range(0, b.shape[1], 2048):
                columns = b[:, start : start + 2048]
                np.matmul(rows, columns, out=out[: rows.shape[0], : columns.shape[1]])

    return {
        "both": lambda X, Y, k: (np.sort(X[:, 0]), np.sort(Y[:, 0])),
        "cross": tiles,
        "self": lambda X, Y, k: tiles(Y, Y, k),
        "exp": lambda X, Y, k: np.exp(X, out=Y),
        "log": lambda X, Y, k: np.log(np.abs(X, out=Y), out=Y),
    }


def ckdtree(threads):
    from scipy.spatial import cKDTree

    def both(X, Y, k):
        own, other = cKDTree(X), cKDTree(Y)
        own.query(X, k=[k + 1], workers=threads)
        other.query(X, k=[k], workers=threads)

    return {"both": both}


def ckdtree_sorted(threads):
    return _with_sorted_queries(ckdtree(threads)["both"])


def pykdtree(threads):
    import numpy as np
    from pykdtree.kdtree import KDTree

    def both(X, Y, k):
        own, other = KDTree(X), KDTree(Y)
        np.asarray(own.query(X, k + 1)[0])
        np.asarray(other.query(X, k)[0])

    return {"both": both}


def pykdtree_sorted(threads):
    return _with_sorted_queries(pykdtree(threads)["both"])


def _with_sorted_queries(both):
    """The same with queries that come in the order of a tree, which is not timed."""
    orders = {}

    def run(X, Y, k):
        from scipy.spatial import cKDTree

        if X.shape not in orders:
            orders[X.shape] = X[cKDTree(X).indices]
        return both(orders[X.shape], Y, k)

    return {"both": run}


def sklearn_auto(threads):
    return _sklearn("auto", threads)


def sklearn_brute(threads):
    return _sklearn("brute", threads)


def _sklearn(algorithm, threads):
    from sklearn.neighbors import NearestNeighbors

    def search(points, queries, k):
        return NearestNeighbors(n_neighbors=k, algorithm=algorithm, n_jobs=threads).fit(points).kneighbors(queries)

    return {
        "both": lambda X, Y, k: (search(X, X, k + 1), search(Y, X, k)),
        "cross": lambda X, Y, k: search(Y, X, k),
        "self": lambda X, Y, k: search(Y, Y, k + 1),
    }


def faiss(threads):
    import faiss

    faiss.omp_set_num_threads(threads)

    def search(points, queries, k):
        index = faiss.IndexFlatL2(points.shape[1])
        index.add(points.astype("f4"))
        return index.search(queries.astype("f4"), k)

    return {"cross": lambda X, Y, k: search(Y, X, k), "self": lambda X, Y, k: search(Y, Y, k + 1)}


def torch(threads):
    import torch

    torch.set_num_threads(threads)

    def search(points, queries, k):
        points = torch.from_numpy(points)
        for part in torch.from_numpy(queries).split(1000):
            torch.cdist(part, points).topk(k, largest=False)

    return {"cross": lambda X, Y, k: search(Y, X, k), "self": lambda X, Y, k: search(Y, Y, k + 1)}


def check_threads(threads: int) -> None:
    """Every pool that is loaded has as many threads as the others."""
    from threadpoolctl import threadpool_info

    for pool in threadpool_info():
        assert pool["num_threads"] == threads, pool


def measure(function, X, Y, case) -> float:
    repeats = case.get("repeats", 1)
    began = time.perf_counter()
    for _ in range(repeats):
        function(X, Y, case["k"])
    return (time.perf_counter() - began) / repeats


def main() -> None:
    name, threads = sys.argv[1], int(sys.argv[2])
    functions = globals()[name](threads)
    known, data = None, None
    for line in sys.stdin:
        case = json.loads(line)
        if case["kind"] not in functions:
            seconds = math.nan
        else:
            if case != known:
                known, data = case, samples(case)
                if not case.get("slow"):
                    measure(functions[case["kind"]], *data, {**case, "repeats": 1})
            check_threads(threads)
            seconds = measure(functions[case["kind"]], *data, case)
        print(seconds, flush=True)


if __name__ == "__main__":
    assert all(os.environ.get(variable) for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"))
    main()
