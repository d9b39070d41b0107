"""Rows of `run.py` as Markdown: `python tables.py rows.jsonl --out results.md`."""

import argparse
import math
import sys
from pathlib import Path

import numpy as np
from goals import from_rows, lines
from grades import Grade, against_best_peer, flags, geometric_mean, grades, mean_coverage
from methods import METHODS, NAMES, NEIGHBOR_PEERS
from run import read
from tasks import TASKS

WORST = 10


def number(x: float, form: str) -> str:
    return "-" if math.isnan(x) else format(x, form)


def of_method(table: dict, n: int, method: str) -> list[Grade]:
    return [g for g in table.values() if g.n == n and g.method == method]


def by_method(table: dict, n: int) -> list[str]:
    """Each method over all its tasks."""
    out = [
        f"\n## All methods, n = {n}\n",
        "| method | tasks | draws | failures | coverage | bad | flagged | bad that are flagged "
        "| good that are flagged | bad among unflagged | median s | largest s |",
        "|---" * 12 + "|",
    ]
    for method in NAMES:
        selected = of_method(table, n, method)
        if not selected:
            continue
        draws = sum(len(g.seeds) for g in selected)
        failures = np.concatenate([~g.finite for g in selected]).mean()
        found = flags(selected)
        told = (found.flagged, found.caught, found.false, found.bad_unflagged)
        cells = [number(measure.value, ".3f") if method in METHODS else "-" for measure in told]
        covered = str(mean_coverage(selected)) if method in METHODS else "-"
        times = [g.seconds for g in selected]
        out.append(
            f"| {method} | {len(selected)} | {draws} | {failures:.3f} | {covered} | {found.bad.value:.3f} "
            f"| {' | '.join(cells)} | {np.median(times):.3g} | {max(times):.3g} |"
        )
    return out


def against_peers(table: dict, n: int) -> list[str]:
    """RMSE of auto in relation to that of the best peer."""
    found = against_best_peer(table, n)
    if not found:
        return []
    among_neighbors = against_best_peer(table, n, NEIGHBOR_PEERS)
    mean, mean_among_neighbors = (geometric_mean([log for _, log in f.values()]) for f in (found, among_neighbors))
    worst = sorted(found, key=lambda task: -found[task][1].value)[:WORST]
    return [
        f"\n## auto and the best peer, n = {n}\n",
        f"Geometric mean over {len(found)} tasks of RMSE(auto) / RMSE(best peer): {mean}; with the best of",
        f"the nearest-neighbour tools, over {len(among_neighbors)} tasks: {mean_among_neighbors}. The largest:\n",
        "| task | best peer | ratio | its standard error |",
        "|---|---|---|---|",
        *(
            f"| {task} | {peer} | {math.exp(log.value):.3g} | {math.exp(log.value) * log.error:.1g} |"
            for task, (peer, log) in ((task, found[task]) for task in worst)
        ),
    ]


def coverage_by_group(table: dict, n: int) -> list[str]:
    """Coverage of the intervals of our methods, by group of tasks."""
    present = [method for method in METHODS if of_method(table, n, method)]
    if not present:
        return []
    out = [
        f"\n## Coverage by group, n = {n}\n",
        f"| group | tasks | {' | '.join(present)} |",
        "|---" * (len(present) + 2) + "|",
    ]
    for group in dict.fromkeys(task.group for task in TASKS.values()):
        cells = [
            str(mean_coverage([g for g in of_method(table, n, method) if TASKS[g.task].group == group]))
            for method in present
        ]
        tasks = {g.task for g in table.values() if g.n == n and TASKS[g.task].group == group}
        if tasks:
            out.append(f"| {group} | {len(tasks)} | {' | '.join(cells)} |")
    return out


def by_task(table: dict, n: int) -> list[str]:
    """Every method on every task."""
    out = [
        f"\n## Every task, n = {n}\n",
        "| task | d | truth | method | draws | bias | RMSE | coverage | failures | flagged | median s |",
        "|---" * 11 + "|",
    ]
    for name, task in TASKS.items():
        for method in NAMES:
            if (name, n, method) not in table:
                continue
            g = table[name, n, method]
            flagged = number(float(g.flagged.mean()), ".2f") if method in METHODS else "-"
            out.append(
                f"| {name} | {task.d} | {task.truth.value:.4f} | {method} | {len(g.seeds)} | {number(g.bias, '+.4f')} "
                f"| {number(g.rmse.value, '.4f')} | {number(g.coverage, '.2f')} | {g.failure_rate:.2f} | {flagged} "
                f"| {g.seconds:.3g} |"
            )
    return out


def report(rows: dict[tuple, dict]) -> str:
    table = grades(rows)
    sizes = sorted({g.n for g in table.values()})
    sections = (against_peers, by_method, coverage_by_group, by_task)
    parts = [part for section in sections for n in sizes for part in section(table, n)]
    return "\n".join(
        [
            "Bias and RMSE are those of finite values; bad is an estimate that is off by more than a quarter of",
            "max(truth, 0.2), or not finite. Coverage is that of the nominal 95% interval. A peer counts as the best",
            "where it never failed; the goals are about the peers that are nearest-neighbour tools. Ratios are from",
            "the draws that both methods have, ± is one standard error, and a bar is missed where it lies outside 2.\n",
            "## Goals\n",
            *lines(from_rows(table)),
            *parts,
        ]
    )


def main() -> None:
    sys.path.append(str(Path(__file__).parents[1]))  # environment.py is shared with the other benchmarks
    from environment import heading

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    text = heading("KL from two samples, on tasks with known truth") + "\n" + report(read(options.rows))
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
