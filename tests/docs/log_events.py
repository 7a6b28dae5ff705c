"""All events that daemon and site log, read off the code; and the manual's tables.

python -m tests.docs.log_events        writes them into docs/logs.rst
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

from attrs import define

from lae_protocol.process.log_fields import FIELDS
from tests.docs.reading import ROOT

MANUAL = ROOT / "docs" / "logs.rst"
PACKAGES = ("lae_flapp", "lae_provision", "lae_site", "lae_protocol")
_LOGS = frozenset({"_log", "log"})
#: Worth a row each: what somebody may have to do something about.
_LEVELS = {
    "warn": "warning",
    "error": "error",
    "critical": "critical",
    "failure": "critical",
}
_MARK = ".. the tables below are written by tests/docs/log_events.py\n"


@define(frozen=True)
class Logged:
    """One place that logs: *fields* are given, *named* stand in the text."""

    module: str
    level: str
    text: str
    fields: frozenset[str]
    named: frozenset[str]


def events() -> Iterator[Logged]:
    """Every call of a logger's in the packages, in the order of the files."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield from _of_file(path)


def _of_file(path: Path) -> Iterator[Logged]:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        level, whose = node.func.attr, node.func.value
        name = getattr(whose, "id", None) or getattr(whose, "attr", None)
        if name not in _LOGS or level not in {*_LEVELS, "info", "debug"}:
            continue
        text = ast.literal_eval(node.args[0])
        given = frozenset(k.arg for k in node.keywords if k.arg) - {"failure"}
        named = {field for _, field, _, _ in string.Formatter().parse(text) if field}
        yield Logged(module, level, text, given, frozenset(named))


def tables() -> str:
    """What the manual has below its mark."""
    rows = sorted(
        {(e.module, _LEVELS[e.level], e.text) for e in events() if e.level in _LEVELS}
    )
    lines = [_MARK, *_heading("Fields"), *_table((20, 80), ("field", "meaning"))]
    lines += _rows((f"``{name}``", words) for name, words in sorted(FIELDS.items()))
    lines += ["", *_heading("Events")]
    lines += _table((34, 12, 54), ("where (``from``)", "level", "text"))
    lines += _rows((f"``{m}``", level, f"``{text}``") for m, level, text in rows)
    return "\n".join(lines) + "\n"


def _heading(words: str) -> list[str]:
    return [words, "-" * len(words), ""]


def _table(widths: tuple[int, ...], names: tuple[str, ...]) -> list[str]:
    shown = " ".join(map(str, widths))
    head = [".. list-table::", "   :header-rows: 1", f"   :widths: {shown}", ""]
    return [*head, *_rows([names])]


def _rows(rows) -> list[str]:
    return [
        f"   {'*' if first else ' '} - {cell}"
        for row in rows
        for first, cell in zip((True, *[False] * len(row)), row, strict=False)
    ]


def written() -> tuple[str, str]:
    """The manual, before its mark and from it on."""
    words, mark, below = MANUAL.read_text("utf-8").partition(_MARK)
    return words, mark + below


if __name__ == "__main__":
    MANUAL.write_text(re.sub(r"\n+$", "\n\n", written()[0]) + tables(), "utf-8")
