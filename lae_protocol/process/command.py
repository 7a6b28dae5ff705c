"""The ``lae`` command: groups that the installed parts of S4 bring along."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

GROUP = "s4.commands"


class _Parts(click.Group):
    """Loads a group only when it is asked for, so that ``lae --help`` is quick: what
    each does is read from its source.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_entries())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        entry = _entries().get(cmd_name)
        if entry is None:
            return None
        try:
            command: click.Command = entry.load()
        except ModuleNotFoundError as e:
            return _unavailable(cmd_name, e)
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write the list, whole sentences."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(self._told()))

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[CompletionItem]:
        """Complete a name; then options, as click does."""
        found = [
            CompletionItem(name, help=says)
            for name, says in self._told()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    @staticmethod
    def _told() -> Iterator[tuple[str, str]]:
        for name, entry in sorted(_entries().items()):
            yield name, _says(entry)


@cache
def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _says(entry: EntryPoint) -> str:
    """The first sentence of what it says of itself, without importing what it needs."""
    try:
        spec = find_spec(entry.module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        return "(not installed here)"
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            first = (ast.get_docstring(node) or "").split("\n\n")[0]
            return " ".join(first.split())
    return ""


def _unavailable(name: str, missing: ModuleNotFoundError) -> click.Command:
    line = f"not installed here: it needs {missing.name}"

    @click.command(name, help=line, context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1)
    def unavailable(arguments: Any) -> None:
        del arguments
        raise click.ClickException(line)

    return unavailable


@click.command(cls=_Parts, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="s4", prog_name="lae")
def main() -> None:
    """Run and look after S4: simple secure storage as a service."""


if __name__ == "__main__":
    sys.exit(main())
