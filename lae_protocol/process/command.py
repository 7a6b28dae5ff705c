"""The ``lae`` command: groups that the installed parts of S4 bring along."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from typing import Any

import click

GROUP = "s4.commands"


class _Parts(click.Group):
    """Loads a group only when it is asked for, so that ``lae --help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(e.name for e in entry_points(group=GROUP))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        for entry in entry_points(group=GROUP, name=cmd_name):
            try:
                command: click.Command = entry.load()
            except ModuleNotFoundError as e:
                return _unavailable(cmd_name, e)
            return command
        return None


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
