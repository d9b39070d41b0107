"""Time and memory of `estimate_kl(X, Y)` by size, each size in a process of its own, with threads for all cores."""

import json
import resource
import subprocess
import sys
import time
import warnings

import numpy as np
from environment import heading, publish

import kltools as kl

SIZES = ((1_000, 2), (1_000, 10), (5_000, 20), (100_000, 8), (1_000_000, 3), (1_000_000, 8))
REPEATS = 3


def peak() -> float:
    """GiB of memory that the process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(n: int, d: int) -> dict:
    """Median time of some runs, of one run where it is long; compilation is not counted."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((n, d)), 1.1 * rng.standard_normal((n, d)) + 0.05
    p, q = (kl.MultivariateNormalDiag(mean=np.full(d, m), var=np.full(d, v)) for m, v in ((0.0, 1.0), (0.05, 1.21)))
    few = min(n, 25_000)
    kl.estimate_kl(X[:few], Y[:few], random_state=0, n_jobs=-1)
    before, times = peak(), []
    for _ in range(REPEATS if n <= 10_000 else 1):
        start = time.perf_counter()
        estimate = kl.estimate_kl(X, Y, random_state=0, n_jobs=-1)
        times.append(time.perf_counter() - start)
    found = {"value": estimate.value, "error": estimate.standard_error, "truth": kl.kl_divergence(p, q)}
    return {**found, "seconds": float(np.median(times)), "before": before, "peak": peak()}


def row(n: int, d: int) -> str:
    command = [sys.executable, __file__, str(n), str(d)]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return (
        f"| {n} | {d} | {found['truth']:.4f} | {found['value']:.4f} ± {found['error']:.4f} | {found['seconds']:.3g} "
        f"| {found['before']:.2f} | {found['peak']:.2f} |"
    )


def main() -> None:
    warnings.simplefilter("ignore", kl.KLToolsWarning)
    if len(sys.argv) == 3 and sys.argv[1].isdigit():
        print(json.dumps(measure(*map(int, sys.argv[1:]))))
        return
    lines = [
        heading("estimate_kl with method auto, normal samples"),
        "| n = m | features | truth | estimate | seconds | GiB before | GiB at most |",
        "|---" * 7 + "|",
        *(row(n, d) for n, d in SIZES),
    ]
    publish("\n".join(lines))


if __name__ == "__main__":
    main()
