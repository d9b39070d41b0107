"""What the CUDA kernels take on a GPU, each row told by itself, in under eight minutes.

Run ``python benchmarks/gpu.py --out benchmarks/results/gpu.md`` where there is a GPU; without one it says so. A row
that fails tells why, and the others go on.
"""

import functools
import math
import time
import warnings

import numpy as np
from environment import heading, publish

import kltools as kl
from kltools import cuda

SECONDS = 6 * 60.0  # after which no further row begins
MOST_REPEATS, ROW_SECONDS = 20, 10.0
PEAK_BYTES, PEAK_FP64 = 4.3e12, 16.7e12  # a second, of an H200: measured copies; lane-instructions

ROWS = []


def row(name, note=""):
    """A function that prepares data on the device, and returns a call, its floor in seconds and its peers."""

    def register(prepare):
        ROWS.append((name, note, prepare))
        return prepare

    return register


def device_arrays(*arrays):
    from kltools.cuda._compat import cuda as numba_cuda

    return [numba_cuda.to_device(array) for array in arrays]


def tensors(*arrays):
    try:
        import torch
    except ImportError:
        return None
    return [torch.tensor(a, device="cuda") for a in arrays] if torch.cuda.is_available() else None


def spd(rng, n, d):
    root = rng.normal(size=(n, d, d))
    return root @ root.swapaxes(1, 2) / d + np.eye(d)


def diagonal(dtype):
    from kltools.families.gaussian import kl_normal_normal

    rng, shape = np.random.default_rng(0), (1 << 19, 64)
    host = [f(size=shape).astype(dtype) for f in (rng.normal, lambda size: rng.uniform(0.5, 2.0, size)) * 2]
    arrays = device_arrays(*host)
    peers = {}
    there = tensors(*host)
    if there is not None:

        def eager():
            import torch

            mean_p, var_p, mean_q, var_q = there
            ratio = var_p / var_q
            result = 0.5 * (ratio - 1.0 - torch.log(ratio) + (mean_p - mean_q) ** 2 / var_q).sum(1)
            torch.cuda.synchronize()
            return result

        peers["torch eager"] = eager
    return (
        lambda: cuda.evaluate_sum(kl_normal_normal, *arrays, n_axes=1),
        4 * math.prod(shape) * np.dtype(dtype).itemsize / PEAK_BYTES,
        peers,
    )


@row("diagonal Gaussians, 2^25 coordinates, float32")
def _():
    return diagonal(np.float32)


@row("diagonal Gaussians, 2^25 coordinates, float64")
def _():
    return diagonal(np.float64)


@row("vae_kl, 2^25 latents, float32")
def _():
    rng, shape = np.random.default_rng(1), (1 << 19, 64)
    mu, log_var = device_arrays(*rng.normal(size=(2, *shape)).astype(np.float32))
    return lambda: kl.vae_kl(mu, log_var), 2 * math.prod(shape) * 4 / PEAK_BYTES, {}


@row("full covariances, d = 32, 1e5 pairs", "from factors on the device")
def _():
    from kltools.cuda import gaussian
    from kltools.cuda.interop import Place

    rng, n, d = np.random.default_rng(2), 100_000, 32
    cov = spd(rng, n, d)
    mean, factor = rng.normal(size=(n, d)), np.linalg.cholesky(cov)
    place, rows = Place(), np.arange(n)
    place.__enter__()
    law = [place.send(a) for a in (mean, rows, factor, rows)]
    other = [place.send(a) for a in (mean + 1.0, rows, np.ascontiguousarray(factor[::-1]), rows)]
    excess, shift = place.scratch(n), place.scratch(n)
    kernel = gaussian._by_factors(gaussian._size(d), gaussian._threads(d))
    peers = {}
    there = tensors(mean, factor, mean + 1.0, np.ascontiguousarray(factor[::-1]))
    if there is not None:

        def multivariate():
            import torch
            from torch.distributions import MultivariateNormal, kl_divergence

            p = MultivariateNormal(there[0], scale_tril=there[1], validate_args=False)
            q = MultivariateNormal(there[2], scale_tril=there[3], validate_args=False)
            result = kl_divergence(p, q)
            torch.cuda.synchronize()
            return result

        peers["torch MultivariateNormal"] = multivariate
    call = lambda: gaussian._launch(kernel, n, d, place, (*law, *other, excess, shift))
    return call, 2 * n * d * d * 8 / PEAK_BYTES, peers


@row("full covariances, d = 32, 1e5 pairs, end to end", "from NumPy and back")
def _():
    rng, n, d = np.random.default_rng(3), 100_000, 32
    p = kl.MultivariateNormal(mean=rng.normal(size=(n, d)), cov=spd(rng, n, d))
    q = kl.MultivariateNormal(mean=np.zeros(d), cov=np.eye(d))
    return lambda: kl.kl_divergence(p, q, device="cuda"), math.nan, {"CPU": lambda: kl.kl_divergence(p, q)}


@row("mean of k1, 1e7 draws")
def _():
    rng, n = np.random.default_rng(4), 10_000_000
    log_p = rng.normal(size=n)
    there = device_arrays(log_p, log_p - 0.1)
    return lambda: kl.estimate_kl_from_log_prob(*there).value, 2 * 8 * n / PEAK_BYTES, {}


@row("Monte Carlo, mixtures of 16 components, d = 8, 1e7 draws", "drawn, weighed by both, and counted")
def _():
    rng, n, k, d = np.random.default_rng(5), 10_000_000, 16, 8
    laws = [
        kl.GaussianMixture(weights=np.full(k, 1 / k), means=rng.normal(size=(k, d)), covs=rng.uniform(0.5, 2.0, (k, d)))
        for _ in range(2)
    ]
    call = lambda: kl.estimate_kl_monte_carlo(*laws, n_samples=n, random_state=0, device="cuda").value
    return call, 2 * (2 * d + 40) * k * n / PEAK_FP64, {}


@row("aggregate posterior, 1e5 points and encoders, d = 16")
def _():
    rng, n, d = np.random.default_rng(6), 100_000, 16
    there = device_arrays(*rng.normal(size=(3, n, d)))
    return lambda: cuda.aggregate_log_prob(*there), n * n * (3 * d + 40) / PEAK_FP64, {}


def nearest(n, d, k):
    """A search with queries and points on the device, its floor if all pairs are compared, and torch's."""
    from kltools.cuda import neighbors
    from kltools.cuda.brute import Brute

    rng = np.random.default_rng(7)
    X, Y = rng.normal(size=(n, d)), 1.2 * rng.normal(size=(n, d))
    points = neighbors.structure(Y)
    queries = X[points.order_of(X)]
    peers = {}
    if type(points) is not Brute and n <= 100_000:
        everything = Brute(Y)
        peers["all pairs"] = lambda: everything.nearest(queries, k, None, False)
    there = tensors(X, Y)
    if there is not None and n <= 100_000:

        def topk():
            import torch

            found = [
                torch.cdist(part, there[1], compute_mode="donot_use_mm_for_euclid_dist").topk(k, largest=False)[0]
                for part in there[0].split(4096)
            ]
            torch.cuda.synchronize()
            return found

        peers["torch cdist and topk, float64"] = topk
    # a difference and a product with a sum for each feature, and as much again as one to compare
    floor = n * n * (2 * d + 1) / PEAK_FP64 if type(points) is Brute else math.nan
    return lambda: points.nearest(queries, k, None, False), floor, peers


for n, d in ((100_000, 2), (1_000_000, 2), (1_000_000, 3), (1_000_000, 5), (100_000, 8), (100_000, 32), (50_000, 128)):
    row(f"5 nearest of {n:.0e} points for as many queries, d = {d}", "queries from NumPy, distances back")(
        functools.partial(nearest, n, d, 5)
    )


@row("tree of 1e6 points, d = 3", "sorted, and boxes made; points from NumPy, order back")
def _():
    from kltools.cuda.tree import Tree

    points = np.random.default_rng(8).normal(size=(1_000_000, 3))
    return lambda: Tree(points), math.nan, {}


@row("sort of 1e6 keys of 60 bits", "floor: 15 turns that read and write keys and rows")
def _():
    from kltools.cuda.interop import Place
    from kltools.cuda.sort import sorted_rows

    n = 1_000_000
    keys, place = np.random.default_rng(9).integers(0, 1 << 60, n), Place()
    place.__enter__()
    (there,) = device_arrays(keys)
    return lambda: sorted_rows(there, n, 60, place), 15 * 2 * 12 * n / PEAK_BYTES, {"NumPy": lambda: np.argsort(keys)}


for n, d in ((1_000_000, 3), (100_000, 16)):

    @row(f"estimate_kl, knn, {n:.0e} rows, d = {d}, end to end", "rows checked and scaled on the host")
    def _(n=n, d=d):
        rng = np.random.default_rng(10)
        samples = rng.normal(size=(n, d)), 1.2 * rng.normal(size=(n, d))
        options = {"method": "knn", "n_neighbors": 5}
        peers = {"CPU, all cores": lambda: kl.estimate_kl(*samples, **options, n_jobs=-1)}
        return lambda: kl.estimate_kl(*samples, **options, device="cuda"), math.nan, peers


def normal_rows(n, d):
    """Moments and distances of rows that the device holds, with each of them read thrice."""
    from kltools.cuda.moments import Rows

    X = np.random.default_rng(11).normal(size=(n, d))
    rows, factor = Rows(X), np.tril(np.ones((d, d))) / d

    def call():
        offset, _ = rows.moments()
        return rows.squares(rows.origin, offset, factor)

    floor = max(3 * 8 * n * d / PEAK_BYTES, 1.5 * n * d * d / PEAK_FP64)
    peers = {}
    there = tensors(X)
    if there is not None:

        def in_torch():
            import torch

            deviations = there[0] - there[0].mean(0)
            deviations.T @ deviations
            weights = torch.tensor(factor.T, device="cuda")
            return ((deviations @ weights) ** 2).sum(1).cpu()

        peers["torch"] = in_torch
    return call, floor, peers


for n, d in ((1_000_000, 3), (1_000_000, 64), (100_000, 512)):
    row(f"moments and distances of {n:.0e} rows, d = {d}", "rows on the device, distances back")(
        functools.partial(normal_rows, n, d)
    )

    @row(f"estimate_kl, gaussian, {n:.0e} rows, d = {d}, end to end", "rows checked and scaled on the host")
    def _(n=n, d=d):
        rng = np.random.default_rng(12)
        samples = rng.normal(size=(n, d)), 1.2 * rng.normal(size=(n, d))
        peers = {"CPU": lambda: kl.estimate_kl(*samples, method="gaussian")}
        return lambda: kl.estimate_kl(*samples, method="gaussian", device="cuda"), math.nan, peers


# ---------------------------------------------------------------- measuring


def seconds(call):
    """The first call, and the median of the others."""
    from kltools.cuda._compat import cuda as numba_cuda

    def once():
        start = time.perf_counter()
        call()
        numba_cuda.synchronize()
        return time.perf_counter() - start

    began, first, times = time.perf_counter(), once(), []
    while not times or (len(times) < MOST_REPEATS and time.perf_counter() - began < ROW_SECONDS):
        times.append(once())
    return first, float(np.median(times))


def measured(prepare):
    call, floor, peers = prepare()
    first, median = seconds(call)
    cells = [f"{1e3 * median:.3g}", "" if math.isnan(floor) else f"{1e3 * floor:.3g}", f"{first:.2f}"]
    told = []
    for name, peer in peers.items():
        try:
            told.append(f"{name} {1e3 * seconds(peer)[1]:.3g} ms")
        except Exception as error:
            told.append(f"{name}: {type(error).__name__}: {error}")
    return [*cells, "; ".join(told)]


def table():
    lines = ["| what | ms | floor, ms | first call, s | peers | |", "|---|---|---|---|---|---|"]
    began = time.perf_counter()
    for name, note, prepare in ROWS:
        if time.perf_counter() - began > SECONDS:
            lines.append(f"| {name} | left out: the time is over | | | | {note} |")
            continue
        try:
            cells = measured(prepare)
        except Exception as error:
            cells = ["failed", "", "", f"{type(error).__name__}: {error}".replace("|", "/").replace("\n", " ")[:300]]
        lines.append(f"| {name} | {' | '.join(cells)} | {note} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main():
    warnings.simplefilter("ignore")
    title = heading("CUDA kernels")
    try:
        status = cuda.usable_devices()
    except kl.DeviceUnavailableError as error:
        publish(f"{title}\nThere is no GPU here, nothing was measured: {error}")
        return
    if "simulator" in status:
        publish(f"{title}\nThis is the simulator, which measures nothing.")
        return
    about = (
        "Median of up to 20 calls, data on the device unless said otherwise, times of the host around a "
        "synchronisation. Floors are for an H200: 4.3 TB/s of memory, 16.7e12 instructions of float64 a second."
    )
    publish(f"{title}\n{status}.\n\n{about}\n\n{table()}")


if __name__ == "__main__":
    main()
