"""``lae``: one command, of the parts that are installed."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
from click.testing import CliRunner

from lae_protocol.process import command
from lae_protocol.process.command import main


def test_help() -> None:
    """The parts are listed, each with what it does."""
    told = CliRunner().invoke(main, ["-h"])
    assert told.exit_code == 0
    for name in ("config", "events", "subscriptions"):
        assert f"\n  {name} " in told.output


def test_unknown() -> None:
    """A command that does not exist is said so."""
    told = CliRunner().invoke(main, ["subscribtions"])
    assert told.exit_code == 2
    assert "No such command 'subscribtions'" in told.output


def test_version() -> None:
    """The release is told."""
    assert CliRunner().invoke(main, ["--version"]).output.startswith("lae, version ")


@pytest.mark.parametrize("arguments", [[], ["list", "--json"]])
def test_part_that_is_not_installed(monkeypatch, arguments) -> None:
    """A part whose libraries are not installed says which, whatever it is asked."""
    entry = EntryPoint("subscriptions", "no_such_library.commands:it", command.GROUP)
    monkeypatch.setattr(command, "entry_points", lambda **_: [entry])
    told = CliRunner().invoke(main, ["subscriptions", *arguments])
    assert told.exit_code == 1
    assert told.output == "Error: not installed here: it needs no_such_library\n"
