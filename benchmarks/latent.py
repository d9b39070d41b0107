"""Log-densities of an aggregate posterior against torch, each in a process of its own, and the cost of a report.

Both compute, at draws of z, the log-density of the mixture of all n posteriors and that of each of its d units: d + 1
sums of n exponentials for each draw. torch does it as its users do, in blocks of rows that its caches like. Times are
those of the processor for one thread, which other processes do not disturb, and of the clock for two. Needs torch.
"""

import functools
import json
import os
import statistics
import subprocess
import sys
import time

from environment import heading, publish

ROUNDS = int(os.environ.get("ROUNDS", "5"))
N_DRAWS = 500
CASES = [(1_000, 16), (10_000, 2), (10_000, 16), (10_000, 64)]  # components, units
THREADS = (1, 2)
BAR = 3.0
REPORTS = (1_000, 3_000, 10_000, 30_000, 100_000)
N_UNITS = 16


def encoder(n: int, d: int):
    import numpy as np

    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), rng.normal(-1.5, 0.5, size=(n, d)), rng


def ours(n: int, d: int, threads: int) -> float:
    import numpy as np

    from kltools.latents.aggregate import Aggregate, Groups

    mu, log_var, rng = encoder(n, d)
    z = mu[:N_DRAWS] + np.exp(0.5 * log_var[:N_DRAWS]) * rng.normal(size=(N_DRAWS, d))
    groups = Groups.of(Aggregate(mu, log_var, n), np.arange(n), 1)

    def run() -> None:
        groups.log_sums(z, threads)
        groups.log_sums_of_coordinates(z, threads)

    return timed(run, threads)


def of_torch(n: int, d: int, threads: int) -> float:
    import math

    import torch

    torch.set_num_threads(threads)
    mu, log_var, rng = encoder(n, d)
    mu, log_var = torch.from_numpy(mu), torch.from_numpy(log_var)
    z = mu[:N_DRAWS] + (0.5 * log_var[:N_DRAWS]).exp() * torch.from_numpy(rng.normal(size=(N_DRAWS, d)))
    precision = (-log_var).exp()

    def run(rows: int) -> None:
        for block in z.split(rows):
            total = torch.zeros(len(block), n, dtype=torch.float64)
            for j in range(d):
                terms = -0.5 * (
                    math.log(2 * math.pi) + log_var[:, j] + (block[:, j, None] - mu[:, j]) ** 2 * precision[:, j]
                )
                torch.logsumexp(terms, 1)
                total += terms
            torch.logsumexp(total, 1)

    with torch.no_grad():
        return min(timed(functools.partial(run, rows), threads) for rows in (10, 50, 250))


def report(n: int, d: int, threads: int) -> float:
    import kltools as kl

    mu, log_var, _ = encoder(n, d)
    kl.latent_report(mu[:200], log_var[:200], random_state=0)
    return timed(lambda: kl.latent_report(mu, log_var, n_jobs=threads, random_state=0), 2, repeats=1)


def timed(run, threads: int, repeats: int = 5) -> float:
    clock = time.process_time if threads == 1 else time.perf_counter
    if repeats > 1:
        run()
    times = []
    for _ in range(repeats):
        began = clock()
        run()
        times.append(clock() - began)
    return min(times)


CONTENDERS = {"kltools": ours, "torch": of_torch, "report": report}


def elsewhere(name: str, n: int, d: int, threads: int) -> float:
    """Seconds, of a process that has nothing else loaded."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | {variable: str(threads) for variable in names}
    command = [sys.executable, __file__, name, str(n), str(d), str(threads)]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def row(n: int, d: int, threads: int) -> str:
    times = {"kltools": [], "torch": []}
    for _ in range(ROUNDS):
        for name in times:
            times[name].append(elsewhere(name, n, d, threads))
    ours, theirs = (statistics.median(times[name]) for name in ("kltools", "torch"))
    verdict = "" if theirs / ours >= BAR else ": **short**"
    nanoseconds = 1e9 * ours / (N_DRAWS * n * (d + 1))
    line = (
        f"| {n} | {d} | {threads} | {1000 * ours:.3g} ms | {nanoseconds:.2f} ns | {1000 * theirs:.4g} ms "
        f"| {theirs / ours:.1f}x, bar {BAR:g}{verdict} |"
    )
    print(line, file=sys.stderr, flush=True)
    return line


def main() -> None:
    lines = [
        heading("Latent reports"),
        f"Log-densities of the mixture and of each unit at {N_DRAWS} draws, float64; torch in the best of three sizes",
        "of blocks. One thread: time of the processor; two: of the clock.\n",
        "| components | units | threads | kltools | each exponential | torch | ratio |",
        "|---|---|---|---|---|---|---|",
        *(row(n, d, threads) for n, d in CASES for threads in THREADS),
        f"\nA whole `latent_report` of n rows of {N_UNITS} units, with 10,000 draws (of all components once for",
        "n = 10,000) and bounds from up to 2^28 pairs, on two threads, by the clock.\n",
        "| rows | seconds |",
        "|---|---|",
        *(f"| {n} | {elsewhere('report', n, N_UNITS, 2):.2f} |" for n in REPORTS),
    ]
    publish("\n".join(lines))


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CONTENDERS:
        print(json.dumps(CONTENDERS[sys.argv[1]](*map(int, sys.argv[2:]))))
    else:
        main()
