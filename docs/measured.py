"""What the pages quote from benchmarks/results: tables, taken from there, and numbers, which must stand there."""

import re
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
QUOTE = re.compile(r"(?P<words>.+?)\s*\((?P<file>[\w.]+\.md)\)$", re.DOTALL)


def is_quoted(words: str, file: str) -> bool:
    """Whether a number, with what belongs to it, stands in a file of results, and not as a part of another one."""
    text = (RESULTS / file).read_text(encoding="utf-8")
    return re.search(rf"(?<![\w.]){re.escape(words)}(?![\w]|\.\d)", text) is not None


def quote(text: str) -> tuple[str, str]:
    """Words and file of "0.45 (accuracy.md)"."""
    found = QUOTE.match(text)
    if found is None:
        raise ValueError(f"a quotation is written `number (file.md)`, got {text!r}")
    words, file = found["words"], found["file"]
    if not is_quoted(words, file):
        raise ValueError(f"{words!r} does not stand in benchmarks/results/{file}")
    return words, file


def table(file: str, first: str, columns: str = "", rows: str = "") -> tuple[list[str], list[list[str]]]:
    """The first table whose header begins with a word, after a heading where ``first`` is "heading: word".

    ``columns`` are names between commas, ``rows`` a regular expression for their beginnings.
    """
    lines = (RESULTS / file).read_text(encoding="utf-8").splitlines()
    heading, _, word = first.rpartition(": ")
    start = lines.index(f"## {heading}") if heading else 0
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
    kept = [header.index(name.strip()) for name in columns.split(",")] if columns else range(len(header))
    return [header[i] for i in kept], [[row[i] for i in kept] for row in body]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]
