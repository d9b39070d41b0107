"""From rows of `run.py` to bias, RMSE, coverage and flags, with standard errors."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from methods import METHODS, PEERS
from tasks import TASKS

FEWEST_SHARED = 5  # draws that a peer has in common with auto, to be compared with it


@dataclass(frozen=True)
class Measure:
    """A number and its standard error."""

    value: float
    error: float = 0.0

    def __str__(self) -> str:
        return f"{self.value:.3g} ± {self.error:.1g}"


@dataclass(frozen=True)
class Grade:
    """What a method gave on the draws of one task and size, in the order of their seeds."""

    task: str
    n: int
    method: str
    seeds: np.ndarray
    errors: np.ndarray  # value - truth
    covered: np.ndarray
    flagged: np.ndarray
    seconds: float  # median

    @property
    def finite(self) -> np.ndarray:
        return np.isfinite(self.errors)

    @property
    def failure_rate(self) -> float:
        return 1.0 - float(self.finite.mean())

    @property
    def bias(self) -> float:
        """Mean error of the finite values."""
        return float(self.errors[self.finite].mean()) if self.finite.any() else math.nan

    @property
    def rmse(self) -> Measure:
        """Of the finite values."""
        squares = self.errors[self.finite] ** 2
        return root(squares) if len(squares) else Measure(math.nan, math.nan)

    @property
    def coverage(self) -> float:
        """Share of intervals that hold the truth; nan for a method without intervals."""
        return float(self.covered.mean()) if self.method in METHODS else math.nan

    @property
    def bad(self) -> np.ndarray:
        """Off by more than a quarter of the truth, or of 0.2 where it is less than that."""
        return ~(np.abs(self.errors) <= 0.25 * max(TASKS[self.task].truth.value, 0.2))


def root(squares: np.ndarray) -> Measure:
    """Root of a mean of squares."""
    value = math.sqrt(squares.mean())
    if value == 0.0 or len(squares) < 2:
        return Measure(value, math.nan if len(squares) < 2 else 0.0)
    return Measure(value, float(squares.std(ddof=1)) / (2 * value * math.sqrt(len(squares))))


def share(found: np.ndarray) -> Measure:
    """Share of True, with the standard error of independent trials, which is never 0 (Agresti and Coull 1998)."""
    if not len(found):
        return Measure(math.nan, math.nan)
    centre = (np.count_nonzero(found) + 2) / (len(found) + 4)
    return Measure(float(np.mean(found)), math.sqrt(centre * (1 - centre) / (len(found) + 4)))


def grades(rows: dict[tuple, dict]) -> dict[tuple[str, int, str], Grade]:
    """Grades by task, n and method."""
    groups = defaultdict(list)
    for row in rows.values():
        groups[row["task"], row["n"], row["method"]].append(row)
    return {key: grade(*key, sorted(group, key=lambda row: row["seed"])) for key, group in groups.items()}


def grade(task: str, n: int, method: str, rows: list[dict]) -> Grade:
    truth = TASKS[task].truth.value
    return Grade(
        task,
        n,
        method,
        seeds=np.array([row["seed"] for row in rows]),
        errors=np.array([row["value"] for row in rows]) - truth,
        covered=np.array([row["low"] <= truth <= row["high"] for row in rows]),
        flagged=np.array([row["reliable"] is False for row in rows]),
        seconds=float(np.median([row["seconds"] for row in rows])),
    )


# ---------------------------------------------------------------- one method against another


def log_ratio(ours: Grade, theirs: Grade) -> Measure:
    """log of RMSE / RMSE on the draws that both have (delta method for paired draws)."""
    _, i, j = np.intersect1d(ours.seeds, theirs.seeds, return_indices=True)
    a, b = ours.errors[i] ** 2, theirs.errors[j] ** 2
    scatter = a / a.mean() - b / b.mean()
    return Measure(0.5 * math.log(a.mean() / b.mean()), float(scatter.std(ddof=1)) / (2 * math.sqrt(len(a))))


def comparable(ours: Grade, theirs: Grade) -> bool:
    shared = len(np.intersect1d(ours.seeds, theirs.seeds))
    return theirs.failure_rate == 0.0 and shared >= min(FEWEST_SHARED, len(ours.seeds)) and shared > 1


def best_peer(table: dict, task: str, n: int, names: Iterable[str] = PEERS) -> Grade | None:
    """The peer of least RMSE among those that never failed."""
    ours = table[task, n, "auto"]
    peers = [table[task, n, name] for name in names if (task, n, name) in table]
    return min((p for p in peers if comparable(ours, p)), key=lambda p: p.rmse.value, default=None)


def against_best_peer(table: dict, n: int, names: Iterable[str] = PEERS) -> dict[str, tuple[str, Measure]]:
    """By task: the best peer and log of RMSE(auto) / RMSE(best peer); inf where auto failed."""
    found = {}
    for task, size, method in table:
        if size != n or method != "auto":
            continue
        ours, peer = table[task, n, "auto"], best_peer(table, task, n, names)
        if peer is not None:
            failed = ours.failure_rate > 0
            found[task] = peer.method, Measure(math.inf, 0.0) if failed else log_ratio(ours, peer)
    return found


def geometric_mean(logs: list[Measure]) -> Measure:
    """exp of the mean of logarithms."""
    if not logs:
        return Measure(math.nan, math.nan)
    value = math.exp(np.mean([log.value for log in logs]))
    return Measure(value, value * math.sqrt(sum(log.error**2 for log in logs)) / len(logs))


# ---------------------------------------------------------------- many tasks together


def mean_coverage(selected: list[Grade]) -> Measure:
    """Mean over tasks of the coverage, each with the error of independent draws."""
    shares = [share(g.covered) for g in selected]
    if not shares:
        return Measure(math.nan, math.nan)
    return Measure(float(np.mean([s.value for s in shares])), math.hypot(*(s.error for s in shares)) / len(shares))


@dataclass(frozen=True)
class Flags:
    """How well `reliable=False` tells bad estimates from good ones."""

    bad: Measure  # share of estimates that are bad
    flagged: Measure
    caught: Measure  # of the bad ones
    false: Measure  # of the good ones
    bad_unflagged: Measure  # share of bad among the unflagged


def flags(selected: list[Grade]) -> Flags:
    bad, flagged = (np.concatenate([getattr(g, what) for g in selected]) for what in ("bad", "flagged"))
    return Flags(share(bad), share(flagged), share(flagged[bad]), share(flagged[~bad]), share(bad[~flagged]))
