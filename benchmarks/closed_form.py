"""Closed forms over large batches against their peers: each in a process of its own, rounds interleaved.

Times are those of the divergences of distributions that exist, and beside them of building these, where
parameters are copied and checked and covariances factored. Needs torch and threadpoolctl.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from environment import heading, publish

THREADS = int(os.environ.get("THREADS", min(2, os.cpu_count() or 1)))
ROUNDS = int(os.environ.get("ROUNDS", "7"))


def case(kind, n, d, bars, rounds=ROUNDS, **more):
    return {"kind": kind, "n": n, "d": d, **more}, bars, rounds


# a bar is the least ratio of the peer's time to ours; for the bandwidth the least share of it
WIDE = {"bandwidth": 0.85, "numpy": 10, "torch": 25}
CASES = [
    case("diagonal", 1_000_000, 32, WIDE),
    case("diagonal", 1_000_000, 32, WIDE, dtype="float32"),
    case("vae", 1_000_000, 32, WIDE),
    case("vae", 1_000_000, 32, WIDE, dtype="float32"),
    case("full", 100_000, 4, {"numpy": 15, "torch": 12}),
    case("full", 10_000, 16, {"numpy": 15, "torch": 12}),
    case("full", 5_000, 32, {"numpy": 12, "torch": 10}),
    case("full", 2_000, 64, {"numpy": 12, "torch": 10}),
    case("pairwise", 2_000, 32, {"torch": 10}, rounds=3),
    case("gamma", 1_000_000, 1, {"numpy": 3}),
    case("beta", 1_000_000, 1, {"numpy": 3}),
    case("dirichlet", 1_000_000, 8, {"numpy": 3}, rounds=3),
]


class Contender:
    """A peer in its process."""

    def __init__(self, name: str):
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = os.environ | {variable: str(THREADS) for variable in variables}
        command = [sys.executable, str(Path(__file__).with_name("closed_form_peers.py")), name, str(THREADS)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, what: dict) -> list[float]:
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def medians(what: dict, names: tuple[str, ...], rounds: int) -> dict[str, tuple[float, float]]:
    """Median times of each contender, of the divergences and of building, in rounds of one run each."""
    contenders = {name: Contender(name) for name in names}
    times = {name: [] for name in names}
    for _ in range(rounds):
        for name, contender in contenders.items():
            times[name].append(contender.run(what))
    for contender in contenders.values():
        contender.close()
    return {name: tuple(map(statistics.median, zip(*runs, strict=True))) for name, runs in times.items()}


def cell(name: str, ratio: float, bar: float) -> str:
    verdict = f"bar {bar:g}{'' if ratio >= bar else ': **short**'}"
    return f"{name} {ratio:.2f}, {verdict}" if name == "bandwidth" else f"{name} {ratio:.1f}x, {verdict}"


def row(what: dict, bars: dict, rounds: int) -> str:
    times = medians(what, ("kltools", *bars), rounds)
    ours, building = times.pop("kltools")
    ratios = "; ".join(cell(name, seconds / ours, bars[name]) for name, (seconds, _) in times.items())
    whole = ", ".join(f"{name} {sum(t) / (ours + building):.1f}x" for name, t in times.items() if name != "bandwidth")
    read = what["n"] * what["d"] * (2 if what["kind"] == "vae" else 4) * (4 if "dtype" in what else 8)
    limit = f"{read / times['bandwidth'][0] / 1e9:.0f} GB/s" if "bandwidth" in times else "-"
    kind = f"{what['kind']} {what.get('dtype', 'float64')}"
    line = (
        f"| {kind} | {what['n']:g} | {what['d']} | {1000 * ours:.3g} ms | {limit} | {ratios} "
        f"| {1000 * building:.3g} ms | {whole} |"
    )
    print(line, file=sys.stderr, flush=True)
    return line


def main() -> None:
    lines = [
        heading(f"Closed forms over batches, {THREADS} thread(s)"),
        "Ratios are times of the peer to ours, of the divergences of distributions that exist; `bandwidth` is the time",
        "of reading the given numbers once, to ours. NumPy (with scipy.special) runs on the one core that it uses.",
        "The last columns tell what building costs (parameters are copied and checked, covariances factored) and",
        "the ratios of building and divergence together.\n",
        "| closed form | batch | d | kltools | read at | ratios and bars | building | with building |",
        "|---|---|---|---|---|---|---|---|",
        *(row(*what) for what in CASES),
    ]
    publish("\n".join(lines))


if __name__ == "__main__":
    main()
