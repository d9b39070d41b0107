"""Log-densities of Gaussian mixtures against their peers: equal threads, each in a process of its own.

Rounds are interleaved. Every contender has to find the same sum. Needs torch, scikit-learn and threadpoolctl; peers
that are not installed are left out.
"""

import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

from environment import heading, publish

MOST_THREADS = min(2, os.cpu_count() or 1)
PEERS = ("scipy", "sklearn", "torch")
BAR = 25  # the least ratio of a peer's time to ours, for the first cases
SLOW_SECONDS = 10.0


def case(kind, n, components, d, peers=PEERS, bar=None, rounds=5, threads=MOST_THREADS):
    return {"kind": kind, "n": n, "components": components, "d": d}, threads, peers, bar, rounds


CASES = [
    case("full", 1_000_000, 64, 8, bar=BAR),
    case("full", 1_000_000, 64, 8, bar=BAR, threads=1),
    case("full", 100_000, 8, 2),
    case("full", 100_000, 16, 32),
    case("diagonal", 100_000, 64, 8),
    case("diagonal", 200, 100_000, 32, peers=("sklearn", "torch"), rounds=3),
    case("diagonal", 10_000, 100_000, 16, peers=("sklearn",), rounds=1),
]


class Contender:
    """A peer in its process."""

    def __init__(self, name: str, threads: int):
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = os.environ | {variable: str(threads) for variable in variables}
        command = [sys.executable, str(Path(__file__).with_name("mixture_peers.py")), name, str(threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, what: dict) -> tuple[float, float, float]:
        """Seconds, MiB that were taken beyond what was there before, and the sum of what was found."""
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        seconds, memory, total = json.loads(self._process.stdout.readline())
        return seconds, memory, total

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def medians(what: dict, threads: int, names: tuple[str, ...], rounds: int) -> dict[str, tuple[float, float]]:
    """Median time of each contender, in rounds of one run each, and its memory; what is slow runs once or twice."""
    contenders = {name: Contender(name, threads) for name in ("kltools", *names)}
    times = {name: [] for name in contenders}
    memories = dict.fromkeys(contenders, 0.0)
    expected = None
    for done in range(rounds):
        for name, contender in contenders.items():
            if done > 1 and times[name][-1] > SLOW_SECONDS:
                continue
            seconds, memory, total = contender.run(what)
            times[name].append(seconds)
            memories[name] = max(memories[name], memory)
            expected = total if expected is None else expected
            assert math.isclose(total, expected, rel_tol=1e-9), (name, total, expected)
    for contender in contenders.values():
        contender.close()
    return {name: (statistics.median(values), memories[name]) for name, values in times.items()}


def row(what: dict, threads: int, names: tuple[str, ...], bar: float | None, rounds: int) -> str:
    installed = tuple(name for name in names if importlib.util.find_spec(name))
    found = medians(what, threads, installed, rounds)
    ours, memory = found["kltools"]
    cells = []
    for name in installed:
        ratio = found[name][0] / ours
        verdict = "" if bar is None else f", bar {bar}{'' if ratio >= bar else ': **short**'}"
        cells.append(f"{name} {ratio:.1f}x{verdict}, {found[name][1]:.0f} MiB")
    rate = what["n"] * what["components"] / ours / 1e6
    size = f"{what['n']:g} | {what['components']:g} | {what['d']}"
    times = f"{1000 * ours:.3g} ms | {rate:.0f} | {memory:.0f} MiB"
    line = f"| {what['kind']} | {size} | {threads} | {times} | {'; '.join(cells)} |"
    print(line, file=sys.stderr, flush=True)
    return line


def main() -> None:
    lines = [
        heading("Log-densities of Gaussian mixtures"),
        "Ratios are of median times, the peer's to ours. Memory is the peak of what a call takes, result included.\n"
        "torch, and scikit-learn where components are many, get their rows in blocks: they need gigabytes without.\n",
        "| covariances | rows | components | d | threads | kltools | million pairs / s | memory | peers |",
        "|---|---|---|---|---|---|---|---|---|",
        *(row(*what) for what in CASES),
    ]
    publish("\n".join(lines))


if __name__ == "__main__":
    main()
