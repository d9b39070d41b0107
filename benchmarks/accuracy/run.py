"""Estimates of every task by every method, one JSON line each: `python run.py rows.jsonl`.

Rows that the file already has are not computed again, so a run that was stopped, or killed, goes on where it was.
Peers are left out where they are not installed. All methods but auto have a budget of seconds at each task and size,
after which further seeds are left out, and peers are not called again where every call was slow.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import methods
from tasks import TASKS

from kltools._jit import available_cores

# read when the processes that are started import numpy and numba
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
SEEDS = {200: 100, 1000: 100, 5000: 10, 20_000: 4}
BUDGET, SLOW_CALL = 20.0, 5.0  # seconds


def read(path: Path) -> dict[tuple, dict]:
    """Rows by task, n, seed and method; a line that was cut off is as if it had never been."""
    rows = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows[row["task"], row["n"], row["seed"], row["method"]] = row
    return rows


def mend(path: Path) -> None:
    """End a line that was cut off, so that the next row gets a line of its own."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


def append(path: Path, row: dict) -> None:
    """One write of a whole line: processes do not mix their rows."""
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(row).encode() + b"\n")


def goes_on(method: str, n: int, seconds: list[float]) -> bool:
    """Whether a method is called again at a task and size after calls that took so long."""
    if method == "auto":
        return True
    if sum(seconds) >= BUDGET:
        return False
    peer = methods.PEERS.get(method)
    return peer is None or (n <= peer.largest and min(seconds, default=0.0) < SLOW_CALL)


def run_task(path: Path, name: str, n: int, seeds: int, chosen: tuple[str, ...], rows: dict[tuple, dict]) -> int:
    """Add the rows of a task and size that are missing; their number."""
    spent = defaultdict(list)
    added = 0
    for seed in range(seeds):
        sample = None
        for method in chosen:
            row = rows.get((name, n, seed, method))
            if row is None and goes_on(method, n, spent[method]):
                sample = sample or TASKS[name].sample(n, seed)
                row = {"task": name, "n": n, "seed": seed, "method": method}
                row |= methods.measure(method, *sample, seed)
                append(path, row)
                added += 1
            if row is not None:
                spent[method].append(row["seconds"] + row.get("interval_seconds", 0.0))
    return added


def run(path: Path, names: list[str], sizes: dict[int, int], chosen: tuple[str, ...], n_processes: int) -> None:
    """Every task at every size, in processes of one thread each; progress goes to stderr."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    mend(path)
    by_task = defaultdict(dict)
    for key, row in read(path).items():
        by_task[key[:2]][key] = row
    began = time.perf_counter()
    with ProcessPoolExecutor(n_processes, multiprocessing.get_context("spawn")) as pool:
        jobs = {
            pool.submit(run_task, path, name, n, seeds, chosen, by_task[name, n]): (name, n)
            for n, seeds in sizes.items()
            for name in names
        }
        for done, job in enumerate(as_completed(jobs), 1):
            name, n = jobs[job]
            minutes = (time.perf_counter() - began) / 60
            print(f"[{done}/{len(jobs)}, {minutes:.1f} min] {name}, n {n}: {job.result()} rows", file=sys.stderr)


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=Path, help="JSON lines, made or added to")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK")
    parser.add_argument("--methods", nargs="+", choices=methods.NAMES, default=methods.NAMES, metavar="METHOD")
    parser.add_argument("--n", nargs="+", type=int, default=list(SEEDS), help="rows of X")
    parser.add_argument("--seeds", type=int, help="by default 100 up to n = 1000, 10 up to 5000, 4 above")
    parser.add_argument("--processes", type=int, default=available_cores())
    return parser.parse_args(words)


def default_seeds(n: int) -> int:
    return next((seeds for size, seeds in SEEDS.items() if n <= size), SEEDS[20_000])


def main() -> None:
    options = arguments()
    absent = methods.missing()
    for name in absent:
        print(f"{name} is not installed: left out", file=sys.stderr)
    chosen = tuple(name for name in options.methods if name not in absent)
    sizes = {n: options.seeds or default_seeds(n) for n in options.n}
    run(options.rows, options.tasks, sizes, chosen, options.processes)


if __name__ == "__main__":
    main()
