"""Nearest-neighbour searches against their peers: equal threads, each in a process of its own, rounds interleaved.

Times are those of building what is searched, and of searching. Needs pykdtree, faiss-cpu, torch and
threadpoolctl; peers that are not installed are left out.
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
SLOW_SECONDS = 4.0
PEERS = {
    "ckdtree": "scipy",
    "ckdtree_sorted": "scipy",
    "pykdtree": "pykdtree",
    "pykdtree_sorted": "pykdtree",
    "sklearn_auto": "sklearn",
    "sklearn_brute": "sklearn",
    "faiss": "faiss",
    "torch": "torch",
    "numpy": "numpy",
}
TREES = ("ckdtree", "pykdtree")
ALL_PAIRS = ("numpy", "sklearn_brute", "faiss", "torch")


def case(kind, n, d, peers, bars, k=5, rounds=7, **more):
    return {"kind": kind, "n": n, "d": d, "k": k, **more}, tuple(peers), bars, rounds


# a bar is the least ratio of the peer's time to ours; for numpy (products or sorts) the largest of ours to its
CASES = [
    case("both", 1000, 1, TREES, {"pykdtree": 4, "ckdtree": 10}, repeats=20),
    case("both", 1000, 2, TREES, {"pykdtree": 4, "ckdtree": 10}, repeats=20),
    case("both", 1000, 3, TREES, {"pykdtree": 4, "ckdtree": 10}, repeats=20),
    case("both", 10_000, 1, (*TREES, "numpy"), {"pykdtree": 10, "ckdtree": 10, "numpy": 1.3}, repeats=5),
    case("both", 100_000, 1, (*TREES, "numpy"), {"pykdtree": 10, "ckdtree": 10, "numpy": 1.3}),
    case("both", 1_000_000, 1, (*TREES, "numpy"), {"pykdtree": 10, "ckdtree": 10, "numpy": 1.3}, rounds=3),
    case("both", 100_000, 2, (*TREES, "sklearn_auto"), {}),
    case(
        "both",
        100_000,
        3,
        (*TREES, "ckdtree_sorted", "pykdtree_sorted", "sklearn_auto"),
        {"ckdtree": 8, "pykdtree": 5},
        rounds=11,
    ),
    case("both", 1_000_000, 2, TREES, {"ckdtree": 15, "pykdtree": 12}, rounds=3),
    case(
        "both",
        1_000_000,
        3,
        (*TREES, "ckdtree_sorted", "pykdtree_sorted"),
        {"ckdtree": 15, "pykdtree": 12},
        rounds=3,
    ),
    case("both", 100_000, 5, (*TREES, "sklearn_auto"), {"ckdtree": 6, "pykdtree": 4, "sklearn_auto": 15}, rounds=5),
    case("both", 100_000, 8, (*TREES, "sklearn_auto"), {"ckdtree": 6, "pykdtree": 4, "sklearn_auto": 15}, slow=True),
    case("cross", 10_000, 16, ALL_PAIRS, {"sklearn_brute": 3.5, "faiss": 2}, m=100_000, rounds=3),
    case("cross", 10_000, 32, ALL_PAIRS, {"sklearn_brute": 3.5, "faiss": 2}, m=100_000, rounds=3),
    case("cross", 10_000, 64, ALL_PAIRS, {"numpy": 1.15, "sklearn_brute": 3, "faiss": 1.6}, m=100_000, rounds=3),
    case("cross", 10_000, 128, ALL_PAIRS, {"numpy": 1.15, "sklearn_brute": 2.2, "faiss": 1.3}, m=100_000, rounds=3),
    case("cross", 10_000, 256, ALL_PAIRS, {"numpy": 1.15, "sklearn_brute": 2.2, "faiss": 1.3}, m=100_000, rounds=3),
    case("self", 30_000, 64, ALL_PAIRS, {"numpy": 0.65}, rounds=5),
    case("exp", 32_768, 1, ("numpy",), {"numpy": 1.0}, repeats=50),
    case("log", 32_768, 1, ("numpy",), {"numpy": 1.0}, repeats=50),
]
LABELS = {"both": "self and cross", "cross": "cross", "self": "self", "exp": "exp", "log": "log"}


class Contender:
    """A peer in its process."""

    def __init__(self, name: str):
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = os.environ | {variable: str(THREADS) for variable in variables}
        command = [sys.executable, str(Path(__file__).with_name("neighbor_peers.py")), name, str(THREADS)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, what: dict) -> float:
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline() or "nan")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def medians(what: dict, names: tuple[str, ...], rounds: int) -> dict[str, float]:
    """Median time of each contender, in rounds of one run each; what is slow runs once or twice."""
    contenders = {name: Contender(name) for name in ("kltools", *names)}
    times = {name: [] for name in contenders}
    for done in range(rounds):
        for name, contender in contenders.items():
            if (done > 1 and times[name][-1] > SLOW_SECONDS) or (done and times[name][-1] > 4 * SLOW_SECONDS):
                continue
            times[name].append(contender.run(what))
    for contender in contenders.values():
        contender.close()
    return {name: statistics.median(values) for name, values in times.items()}


def cell(name: str, seconds: float, ours: float, bars: dict) -> str:
    if math.isnan(seconds):
        return "-"
    if name != "numpy":
        ratio, bar = seconds / ours, bars.get(name)
        verdict = "" if bar is None else f", bar {bar}{'' if ratio >= bar else ': **short**'}"
        return f"{ratio:.1f}x{verdict}"
    ratio, bar = ours / seconds, bars.get(name)
    verdict = "" if bar is None else f", bar {bar}{'' if ratio <= bar else ': **short**'}"
    return f"ours / limit {ratio:.2f}{verdict}"


def row(what: dict, names: tuple[str, ...], bars: dict, rounds: int) -> str:
    installed = tuple(name for name in names if importlib.util.find_spec(PEERS[name]))
    times = medians(what, installed, rounds)
    ours = times["kltools"]
    size = f"n = {what['n']:g}" + (f", m = {what['m']:g}" if "m" in what else "")
    cells = ", ".join(f"{name}: {cell(name, times[name], ours, bars)}" for name in installed)
    line = f"| {LABELS[what['kind']]} | {size} | {what['d']} | {1000 * ours:.3g} ms | {cells} |"
    print(line, file=sys.stderr, flush=True)
    return line


def call_overhead() -> str:
    """Time of a public call on 8 rows, where there is hardly anything to compute."""
    contender = Contender("kltools")
    seconds = statistics.median(
        contender.run({"kind": "call", "n": 8, "d": 2, "k": 3, "repeats": 300}) for _ in range(7)
    )
    contender.close()
    return f"A call of `kth_neighbor_distances` on 8 rows takes {1e6 * seconds:.0f} us (bar 50)."


def main() -> None:
    lines = [
        heading(f"Nearest-neighbour searches, k = 5, {THREADS} thread(s)"),
        "Ratios are times of the peer to ours (building and searching, float64 answers; faiss answers in float32).",
        "`numpy` is a limit: two `np.sort` calls for d = 1, else one float32 product in tiles of 512 x 2048, thrown",
        "away; there the ratio is ours to it. `_sorted` peers get their queries in the order of a tree.\n",
        "| search | rows | d | kltools | peers |",
        "|---|---|---|---|---|",
        *(row(*what) for what in CASES),
        "",
        call_overhead(),
    ]
    publish("\n".join(lines))


if __name__ == "__main__":
    main()
