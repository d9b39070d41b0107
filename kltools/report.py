"""A report as one HTML file that needs nothing else: words, pictures and all numbers, light or dark, wide or narrow."""

import html
import importlib
import io
import math
import re
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from string import Template
from typing import Any

from .comparison import Diagnosis
from .drift.report import DriftReport
from .estimate import Report
from .latents import LatentReport
from .plotting import diagnosis, drift, latents
from .plotting._style import need_matplotlib

_TOLD = ("warning", "finding", "unreliable")  # labels of what is shown first
_INK, _LINE = "#010203", "#030201"  # colours that stand for those of the page
_SIZE = (4.8, 3.8)
_LOOK = {
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor"), _INK),
    **dict.fromkeys(("xtick.color", "ytick.color", "legend.labelcolor"), _INK),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
    "grid.color": _LINE,
    "axes.titlesize": 11.0,
    "svg.fonttype": "none",
    "savefig.dpi": 150.0,
}
# what is drawn of a report: functions of it and of Axes, each with what a person who cannot see the picture is told
_PICTURES: dict[type, tuple[tuple[str, Callable[[Any, Any], None]], ...]] = {
    LatentReport: tuple(
        zip(
            (
                "Bars: KL of each unit, sorted, with the line of collapse",
                "Bars: the parts that the mean KL is the sum of",
                "Densities of units in the aggregate posterior",
                "Points: codes in the two units of the largest KL",
            ),
            latents.PARTS,
            strict=True,
        )
    ),
    DriftReport: tuple(
        zip(
            (
                "Points: p-values of the joint test and of its parts, with the line of alpha",
                "Bars: what each feature contributes",
                "Bars: shares of reference and window in the cells of the first feature",
                "Bars: shares of reference and window in the cells of the second feature",
            ),
            drift.PARTS,
            strict=True,
        )
    ),
    Diagnosis: tuple(
        zip(
            (
                "Points with intervals: estimates by several methods",
                "Line: the estimate against the number of neighbours",
                "Bars: share of the rows outside of the other sample",
                "Bars: dimensions that the samples fill",
            ),
            diagnosis.PARTS,
            strict=True,
        )
    ),
}
_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1c1e21; --page: #ffffff; --line: #c9ccd1; --soft: #f3f4f6; --told: #b34700; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e7e9; --page: #15171a; --line: #4a4e55; --soft: #212429; --told: #f0a060; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
body { overflow-wrap: anywhere; }
main { max-width: 72rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: 0.5rem 0 1rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
ul.told { margin: 0; padding: 0; list-style: none; }
ul.told li { margin: 0.5rem 0; padding: 0.5rem 0.8rem; background: var(--soft); border-left: 4px solid var(--told); }
ul.told li.calm { border-left-color: var(--line); }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.5rem; }
figure { margin: 0; min-width: 0; }
svg { display: block; width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.75rem 0.25rem 0; border-bottom: 1px solid var(--line); }
th, td { text-align: left; vertical-align: top; }
th { font-weight: 600; max-width: min(16rem, 40vw); overflow-wrap: break-word; }
th:first-child { position: sticky; left: 0; background: var(--page); min-width: 6rem; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; }
td.number { white-space: nowrap; }
td { min-width: 6rem; }
td.number { overflow-wrap: normal; min-width: 0; }
summary { cursor: pointer; font-weight: 600; margin: 2rem 0 0.5rem; }
</style>
</head>
<body>
<main>
<h1>$title</h1>
$content
</main>
</body>
</html>
""")


def page(report: Report) -> str:
    """The whole file."""
    return _PAGE.substitute(title=_title(report), content="\n".join(_content(report)))


def _title(report: Report) -> str:
    """The name of the class in words: "Latent report"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(report).__name__).capitalize()


def _content(report: Report) -> Iterator[str]:
    rows = report._summary_rows()
    calm = ("finding",) if isinstance(report, DriftReport) and not report.drift else ()
    told = [(text, ' class="calm"' if name in calm else "") for name, text in rows if name in _TOLD]
    if told:
        items = "".join(f"<li{kind}>{html.escape(text)}</li>" for text, kind in told)
        yield f'<ul class="told">{items}</ul>'
    rows_of, words, table = _TABLES.get(type(report), (lambda report: (), "", None))
    in_a_table = set(rows_of(report))
    shown = [row for row in rows if row[0] not in _TOLD and row not in in_a_table]
    yield "<h2>Summary</h2>"
    yield _table([[_head(name.strip()), _cell(text)] for name, text in shown])
    yield from _pictures(report)
    if table is not None:
        yield f"<h2>{words}</h2>"
        yield table(report)
    yield "<details><summary>All numbers</summary>"
    yield _value(report.to_dict())
    yield "</details>"


def _pictures(report: Report) -> Iterator[str]:
    drawn = _PICTURES.get(type(report), ())
    if drawn:
        yield '<h2>Pictures</h2>\n<div class="pictures">'
        for number, (words, draw) in enumerate(drawn):
            svg = _svg(partial(draw, report), f"picture{number}")
            yield f'<figure role="img" aria-label="{html.escape(words)}">{svg}</figure>'
        yield "</div>"


def _svg(draw: Callable[[Any], None], prefix: str) -> str:
    """A picture in the colours of the page; names within it begin with the prefix, so that they do not collide."""
    need_matplotlib()
    matplotlib, figures = map(importlib.import_module, ("matplotlib", "matplotlib.figure"))
    buffer = io.StringIO()
    with matplotlib.rc_context({**_LOOK, "svg.hashsalt": prefix}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)  # the browser has more fonts
        figure = figures.Figure(figsize=_SIZE, layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = svg.replace(_INK, "var(--ink)").replace(_LINE, "var(--line)")
    return re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)


def _units(report: LatentReport) -> str:
    columns: list[tuple[str, Any]] = [
        ("mean KL", report.kl_per_unit),
        ("variance of mu", report.mu_variance),
        ("mean variance", report.mean_variance),
        ("marginal KL", report.marginal_kl),
        ("its standard error", report.marginal_kl_standard_error),
    ]
    columns = [(name, values) for name, values in columns if values is not None]
    size = columns[0][1]
    states = [(set(report.over_spread), "over-spread"), (set(report.collapsed), "collapsed")]
    rows = [[_head("unit"), *(_head(name, "number") for name, _ in columns), _head("")]]
    for j in sorted(range(report.d), key=lambda j: -size[j]):
        state = ", ".join(word for units, word in states if j in units)
        numbers = [f'<td class="number">{values[j]:.4g}</td>' for _, values in columns]
        rows.append([_head(report.names[j]), *numbers, _head(state)])
    return _table(rows)


def _features(report: DriftReport) -> str:
    names = ("KL", "JS", "PSI", "p", "adjusted p", "contribution")
    heads = [_head("feature"), _head("kind"), *(_head(name, "number") for name in names)]
    rows = [[*heads, _head("missing before, now"), _head("")]]
    for each in report.features:
        values = (each.kl, each.js, each.psi, each.p_value, each.adjusted_p_value, each.contribution)
        numbers = [f'<td class="number">{value:.4g}</td>' for value in values]
        missing = _cell(f"{each.missing_reference:.2%}, {each.missing_window:.2%}")
        rows.append([_head(each.name), _cell(each.kind), *numbers, missing, _head("changed" if each.drift else "")])
    return _table(rows)


# of a report the rows of its summary that a table of the page shows, the title of the table, and the table
_TABLES: dict[type, tuple[Callable[[Any], Any], str, Callable[[Any], str]]] = {
    LatentReport: (LatentReport._each_unit, "Units", _units),
    DriftReport: (DriftReport._each_feature, "Features", _features),
}


def _value(value: Any) -> str:
    """Anything that `to_dict` holds, every digit of it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return _table([[_head(name), f"<td>{_value(item)}</td>"] for name, item in value.items()]) if value else ""
    if isinstance(value, list | tuple):
        if value and isinstance(value[0], list | tuple | dict):
            return _table([[f"<td>{_value(item)}</td>"] for item in value])
        return ", ".join(map(_value, value))
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "inf", -math.inf: "-inf"}.get(value, "not known")
    if value is None:
        return "none"
    return html.escape(repr(value) if isinstance(value, float) else str(value))


def _table(rows: list[list[str]]) -> str:
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<div class="wide"><table>{body}</table></div>'


def _head(text: Any, kind: str = "text") -> str:
    return f'<th class="{kind}">{html.escape(str(text))}</th>'


def _cell(text: str) -> str:
    return f"<td>{html.escape(text)}</td>"
