"""What the pages tell of benchmarks/results: tables and single numbers, taken from there when the pages are built."""

import re
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def number(text: str) -> str:
    """The one cell that "file; table; rows; column" names, in the words of `table`."""
    file, first, rows, column = (part.strip() for part in text.split(";"))
    _, found = table(file, first, column, rows)
    if len(found) != 1:
        raise ValueError(f"{len(found)} rows of {file}, {first!r}, begin like {rows!r}")
    return found[0][0]


def table(file: str, first: str, columns: str = "", rows: str = "") -> tuple[list[str], list[list[str]]]:
    """The first table whose header begins with a word; after a heading, or a line of text up to its comma, where
    ``first`` is "heading: word".

    ``columns`` are names between semicolons, ``rows`` a regular expression for their beginnings.
    """
    lines = (RESULTS / file).read_text(encoding="utf-8").splitlines()
    heading, _, word = first.rpartition(": ")
    start = _line_of(heading, lines) if heading else 0
    at = next(i for i in range(start, len(lines)) if lines[i].startswith(f"| {word} |"))
    header = _cells(lines[at])
    body = []
    for line in lines[at + 2 :]:
        if not line.startswith("|"):
            break
        if re.match(rows, line.strip("| ")):
            body.append(_cells(line))
    if not body:
        raise ValueError(f"no rows of {file}, {first!r}, begin like {rows!r}")
    kept = [header.index(name.strip()) for name in columns.split(";")] if columns else range(len(header))
    return [header[i] for i in kept], [[row[i] for i in kept] for row in body]


def _line_of(heading: str, lines: list[str]) -> int:
    return next(i for i, line in enumerate(lines) if f"{line.lstrip('# ')},".startswith(f"{heading},"))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def restructured(cell: str) -> str:
    """Markdown of a cell for a page: code has two backticks there, and a line may not begin with a dash."""
    return re.sub(r"^-$", r"\\-", re.sub(r"`([^`]*)`", r"``\1``", cell))
