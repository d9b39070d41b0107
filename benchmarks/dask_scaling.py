"""`kltools.dask` on a LocalCluster: workers, sizes of blocks, what a task costs, and a worker that is lost halfway."""

import os
import signal
import statistics
import threading
import time
import warnings

import dask
import dask.array as da
import distributed
import numpy as np
from environment import heading, publish

import kltools as kl
import kltools.dask as kd
from kltools.dask.tasks import Tasks
from kltools.errors import KLToolsWarning

ROWS, FEATURES = 32_768, 8
BLOCKS = (4096, 8192, 16_384)
EMPTY_TASKS = 1000
KILL_AFTER = 0.5  # of the time that the run takes otherwise


def samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, FEATURES)), rng.normal(0.2, 1.1, (ROWS, FEATURES))


def timed(function, *arguments, **options):
    began = time.perf_counter()
    result = function(*arguments, **options)
    return result, time.perf_counter() - began


def lazily(X: np.ndarray, Y: np.ndarray) -> tuple[da.Array, da.Array]:
    """Arrays whose chunks, of the size they have by chance, are no blocks."""
    return da.from_array(X, chunks=(10_000, -1)), da.from_array(Y, chunks=(7000, -1))


def estimate(x: da.Array, y: da.Array, block_rows: int):
    return kd.estimate_kl(x, y, method="knn", random_state=0, block_rows=block_rows)


def cluster(n_workers: int) -> distributed.LocalCluster:
    options = {"threads_per_worker": 1, "dashboard_address": None, "memory_limit": "4GiB", "silence_logs": 50}
    return distributed.LocalCluster(n_workers=n_workers, **options)


def warm_up(client: distributed.Client) -> None:
    """Compile in every worker."""
    X, Y = samples()
    for worker in client.scheduler_info()["workers"]:
        client.submit(_small, X[:5000], Y[:5000], workers=[worker], pure=False).result()


def _small(X: np.ndarray, Y: np.ndarray) -> float:
    warnings.simplefilter("ignore", KLToolsWarning)
    with dask.config.set(scheduler="synchronous"):
        return estimate(*lazily(X, Y), 4096).value


def empty_task_cost() -> float:
    runner = Tasks()
    times = [timed(runner.get, [runner.call(abs, i) for i in range(EMPTY_TASKS)])[1] for _ in range(3)]
    return statistics.median(times) / EMPTY_TASKS


def n_tasks(block_rows: int) -> int:
    """Searches: every block of X in every block of X and of Y."""
    n_blocks = -(-ROWS // block_rows)
    return 2 * n_blocks * n_blocks


def lose_a_worker(x: da.Array, y: da.Array, usual: float) -> tuple[float, float]:
    """The value and the time of a run, one of whose two workers is killed halfway."""
    with cluster(2) as workers, distributed.Client(workers) as client:
        warm_up(client)
        before = client.run(os.getpid)
        victim = min(before.values())
        timer = threading.Timer(KILL_AFTER * usual, os.kill, (victim, signal.SIGKILL))
        timer.start()
        found, seconds = timed(estimate, x, y, 8192)
        timer.join()
        assert victim not in client.run(os.getpid).values(), "no worker was lost"
        return found.value, seconds


def row(who: str, n_threads: int, block_rows: int, took: float, found, plain) -> str:
    tasks, same = n_tasks(block_rows), "yes" if found.value == plain.value else "**no**"
    return f"| {who} | {block_rows} | {tasks} | {took:.1f} | {took * n_threads / tasks:.3f} | {same} |"


def main() -> None:
    warnings.simplefilter("ignore", KLToolsWarning)
    X, Y = samples()
    x, y = lazily(X, Y)
    load = os.getloadavg()[0]
    kl.estimate_kl(X[:3000], Y[:3000], method="knn")
    plain, alone = timed(kl.estimate_kl, X, Y, method="knn", random_state=0)
    lines = [
        heading("`kltools.dask.estimate_kl`, method knn, on a LocalCluster"),
        f"dask {dask.__version__}, distributed {distributed.__version__}; n = m = {ROWS}, {FEATURES} features,",
        "k = 5, 10, 20; workers are processes of one thread each. Chunks are of 10000 rows of X and 7000 of Y, which",
        f"are no blocks. In memory, by one thread: {plain.value!r} in {alone:.1f} s.",
        f"Load of the machine before: {load:.1f}.\n",
        "| workers | rows of a block | searches | seconds | seconds x workers / search | same bits |",
        "|---|---|---|---|---|---|",
    ]
    seconds = {}
    for n_workers in (1, 2):
        with cluster(n_workers) as workers, distributed.Client(workers) as client:
            warm_up(client)
            for block_rows in BLOCKS:
                found, took = timed(estimate, x, y, block_rows)
                seconds[n_workers, block_rows] = took
                lines.append(row(str(n_workers), n_workers, block_rows, took, found, plain))
            with_workers = empty_task_cost()
    with dask.config.set(scheduler="threads", num_workers=2):
        for block_rows in BLOCKS:
            found, took = timed(estimate, x, y, block_rows)
            lines.append(row("2 threads, no cluster", 2, block_rows, took, found, plain))
        with_threads = empty_task_cost()
    value, took = lose_a_worker(x, y, seconds[2, 8192])
    ratio = seconds[1, BLOCKS[-1]] / seconds[2, BLOCKS[-1]]
    same = "the same bits" if value == plain.value else "**another value**"
    lines += [
        f"\nTwo workers are {ratio:.2f} times as fast as one with blocks of {BLOCKS[-1]} rows. The smaller blocks are,",
        "the more trees are entered for each row, where a tree of all rows would be entered once.",
        f"A task that does nothing takes {1e3 * with_workers:.2f} ms on two workers, {1e3 * with_threads:.2f} ms on",
        f"two threads ({EMPTY_TASKS} at once).",
        "With one of two workers killed (SIGKILL) after half of the usual time, blocks of 8192 rows:",
        f"{took:.1f} s instead of {seconds[2, 8192]:.1f} s, and {same}.",
    ]
    publish("\n".join(lines))


if __name__ == "__main__":
    main()
