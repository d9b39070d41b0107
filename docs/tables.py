"""Sphinx: the tables of `registries`, the tables and numbers of `measured`, and the reference of all families."""

from collections.abc import Sequence
from typing import Any

import measured
import registries
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

import kltools
from kltools import errors


def list_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", "   :class: registry", ""]
    for row in (header, *rows):
        lines += [f"   {'  ' if i else '* '}- {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines)


class Registry(SphinxDirective):
    """``.. registry:: families``"""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(list_table(*registries.TABLES[self.arguments[0]]()))


class Families(SphinxDirective):
    """``.. families::``, the reference of every family."""

    def run(self) -> list[nodes.Node]:
        entries = [
            f".. autoclass:: kltools.{name}\n   :members:\n   :inherited-members: Distribution\n"
            for name in kltools.families.__all__
        ]
        return self.parse_text_to_nodes("\n".join(entries))


class Exceptions(SphinxDirective):
    """``.. exceptions::``, the reference of every error and warning."""

    def run(self) -> list[nodes.Node]:
        entries = [f".. autoexception:: kltools.{name}\n" for name in errors.__all__]
        return self.parse_text_to_nodes("\n".join(entries))


class Measured(SphinxDirective):
    """``.. measured:: peers.md`` with ``:table:``, ``:columns:``, ``:rows:`` as of `measured.table`."""

    required_arguments = 1
    option_spec = dict.fromkeys(("table", "columns", "rows"), directives.unchanged_required)

    def run(self) -> list[nodes.Node]:
        file, options = self.arguments[0], self.options
        try:
            found = measured.table(file, options["table"], options.get("columns", ""), options.get("rows", ""))
        except (KeyError, ValueError, StopIteration) as error:
            raise self.error(f"{file}: {error!r}") from error
        self.env.note_dependency(str(measured.RESULTS / file))
        source = f"*Measured:* ``benchmarks/results/{file}``"
        header, *rows = [[measured.restructured(cell) for cell in row] for row in (found[0], *found[1])]
        return self.parse_text_to_nodes(f"{list_table(header, rows)}\n\n{source}\n")


class Number(SphinxRole):
    """``:measured:`file; table; rows; column```, one number of a table of results."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            found = measured.number(self.text)
        except (ValueError, StopIteration) as error:
            message = self.inliner.reporter.error(f"{self.text}: {error!r}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        return [nodes.inline(found, found, classes=["measured"])], []


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("registry", Registry)
    app.add_directive("families", Families)
    app.add_directive("exceptions", Exceptions)
    app.add_directive("measured", Measured)
    app.add_role("measured", Number())
    return {"parallel_read_safe": True}
