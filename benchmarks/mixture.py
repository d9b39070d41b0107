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

THREADS = int(os.environ.get("THREADS", min(2, os.cpu_count() or 1)))
PEERS = ("scipy", "sklearn", "torch")
BAR = 25  # the least ratio of a peer's time to ours, for the first case
SLOW_SECONDS = 10.0


def case(kind, n, components, d, peers=PEERS, bar=None, rounds=5):
    return {"kind": kind, "n": n, "components": components, "d": d}, peers, bar, rounds


CASES = [
    case("full", 1_000_000, 64, 8, bar=BAR),
    case("full", 100_000, 8, 2),
    case("full", 100_000, 16, 32),
    case("diagonal", 100_000, 64, 8),
    case("diagonal", 200, 100_000, 32, rounds=3, peers=("sklearn", "torch")),
]


class Contender:
    """A peer in its process."""

    def __init__(self, name: str):
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = os.environ | {variable: str(THREADS) for variable in variables}
        command = [sys.executable, str(Path(__file__).with_name("mixture_peers.py")), name, str(THREADS)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, what: dict) -> tuple[float, float]:
        """Seconds, and the sum of what was found."""
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        seconds, total = json.loads(self._process.stdout.readline())
        return seconds, total

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def medians(what: dict, names: tuple[str, ...], rounds: int) -> dict[str, float]:
    """Median time of each contender, in rounds of one run each; what is slow runs once or twice."""
    contenders = {name: Contender(name) for name in ("kltools", *names)}
    times = {name: [] for name in contenders}
    expected = None
    for done in range(rounds):
        for name, contender in contenders.items():
            if done > 1 and times[name][-1] > SLOW_SECONDS:
                continue
            seconds, total = contender.run(what)
            times[name].append(seconds)
            expected = total if expected is None else expected
            assert math.isclose(total, expected, rel_tol=1e-9), (name, total, expected)
    for contender in contenders.values():
        contender.close()
    return {name: statistics.median(values) for name, values in times.items()}


def row(what: dict, names: tuple[str, ...], bar: float | None, rounds: int) -> str:
    installed = tuple(name for name in names if importlib.util.find_spec(name))
    times = medians(what, installed, rounds)
    ours = times["kltools"]
    cells = []
    for name in installed:
        ratio = times[name] / ours
        verdict = "" if bar is None else f" (bar {bar}{'' if ratio >= bar else ': **short**'})"
        cells.append(f"{name} {ratio:.1f}x{verdict}")
    rate = what["n"] * what["components"] / ours / 1e6
    size = f"{what['n']:g} | {what['components']:g} | {what['d']}"
    line = f"| {what['kind']} | {size} | {1000 * ours:.3g} ms | {rate:.0f} | {', '.join(cells)} |"
    print(line, file=sys.stderr, flush=True)
    return line


def main() -> None:
    lines = [
        heading(f"Log-densities of Gaussian mixtures, {THREADS} thread(s)"),
        "Ratios are times of the peer to ours. torch gets its rows in blocks, without which it needs gigabytes.\n",
        "| covariances | rows | components | d | kltools | million pairs / s | peers |",
        "|---|---|---|---|---|---|---|",
        *(row(*what) for what in CASES),
    ]
    publish("\n".join(lines))


if __name__ == "__main__":
    main()
