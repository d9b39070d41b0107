"""What `import kltools` costs over `import numba`, and what a first call costs with and without the disk cache.

Every number comes from fresh processes, and kinds of processes take turns, so that a busy moment of the
machine hits them alike. Compiled Python files (.pyc) exist already.
"""

import os
import statistics
import subprocess
import sys
import tempfile

from environment import heading, publish

IMPORTS = 15
CALLS = 3
SETUP = """
import time
import numpy as np
import kltools as kl
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(2, 1000, 2))
"""
FIRST_CALLS = {
    "`estimate_kl`, `knn`, n = m = 1000, d = 2": "kl.estimate_kl(X, Y, method='knn')",
    "the same with `standard_error`": "kl.estimate_kl(X, Y, method='knn').standard_error",
    "`estimate_kl`, `auto`": "kl.estimate_kl(X, Y)",
    "`kl_divergence`, Normal": "kl.kl_divergence(kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=2))",
    "`kl_divergence`, MultivariateNormal": (
        "kl.kl_divergence(kl.MultivariateNormal(mean=[0, 0], cov=np.eye(2)), "
        "kl.MultivariateNormal(mean=[1, 0], cov=2 * np.eye(2)))"
    ),
}


def seconds(statement: str, setup: str = "import time", cache: str = "off") -> list[float]:
    """Times of the first and of the second run of a statement in a fresh process."""
    timed = f"began = time.perf_counter()\n{statement}\nprint(time.perf_counter() - began)\n"
    environment = {**os.environ, "KLTOOLS_CACHE": cache, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.run(
        [sys.executable, "-c", f"{setup}\n{timed}{timed}"], env=environment, capture_output=True, text=True, check=True
    )
    return [float(line) for line in process.stdout.split()]


def import_table() -> list[str]:
    rounds = []
    for _ in range(IMPORTS + 1):
        numba, ours = seconds("import numba")[0], seconds("import kltools")[0]
        rounds.append((numba, ours, ours - numba))
    columns = zip(*rounds[1:], strict=True)  # the first round warms the file system
    rows = zip(("`import numba`", "`import kltools`", "difference"), columns, strict=True)
    return [f"| import | median of {IMPORTS}, s | smallest | largest |", "|---|---|---|---|"] + [
        f"| {name} | {statistics.median(values):.3f} | {min(values):.3f} | {max(values):.3f} |" for name, values in rows
    ]


def call_table() -> list[str]:
    lines = [
        f"| first call, median of {CALLS}, s | cache off | new cache | warm cache | second call |",
        "|---|---|---|---|---|",
    ]
    for name, statement in FIRST_CALLS.items():
        off, new, warm, second = [], [], [], []
        for _ in range(CALLS):
            with tempfile.TemporaryDirectory() as cache:
                off.append(seconds(statement, SETUP)[0])
                new.append(seconds(statement, SETUP, cache)[0])
                first, following = seconds(statement, SETUP, cache)
                warm.append(first)
                second.append(following)
        medians = " | ".join(f"{statistics.median(times):.2f}" for times in (off, new, warm))
        lines.append(f"| {name} | {medians} | {statistics.median(second):.4f} |")
    return lines


def main() -> None:
    publish("\n".join([heading("Import and first calls"), *import_table(), "", *call_table()]))


if __name__ == "__main__":
    main()
