"""``lae``: one command, of the parts that are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lae_protocol.process import command, manual
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
    monkeypatch.setattr(command, "_entries", lambda: {"subscriptions": entry})
    told = CliRunner().invoke(main, ["subscriptions", *arguments])
    assert told.exit_code == 1
    assert told.output == "Error: not installed here: it needs no_such_library\n"


def test_help_imports_nothing(tmp_path) -> None:
    """The list of commands is told without what the commands themselves need."""
    program = (
        "import sys; from lae_protocol.process.command import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'twisted', 'foolscap', 'sqlalchemy', 'rich', 'stripe', 'attrs'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Each line says something: a group without words would be an empty one.
    _, _, listed = done.stdout.partition("Commands:\n")
    names = {e.name for e in entry_points(group=command.GROUP)}
    lines = [line.split() for line in listed.splitlines() if line[2] != " "]
    told = {words[0] for words in lines if len(words) > 1}
    assert told == names
    assert "not installed" not in listed


OURS = [
    point
    for group in ("s4.settings", "s4.held", command.GROUP)
    for point in entry_points(group=group)
]


@pytest.mark.parametrize("point", OURS, ids=lambda point: f"{point.group}-{point.name}")
def test_what_the_installation_names_is_there(point: EntryPoint) -> None:
    """Each name in setup.py leads to something that can be called: no import and no
    type check looks at it.
    """
    assert callable(point.load())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell) -> None:
    """Each shell gets what it asks ``lae`` with, and is told names and options."""
    told = CliRunner().invoke(main, ["completion", shell])
    assert told.exit_code == 0
    assert f"_LAE_COMPLETE={shell}_complete" in told.output
    variables = {
        "_LAE_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "lae sub",
        "COMP_CWORD": "1" if shell != "fish" else "sub",
        "FISH_COMMANDLINE": "sub",
    }
    asked = CliRunner().invoke(main, [], env=variables, prog_name="lae")
    assert "subscriptions" in asked.output
    assert "events" not in asked.output
    deeper = variables | {
        "COMP_WORDS": "lae subscriptions li",
        "COMP_CWORD": "2" if shell != "fish" else "li",
    }
    asked = CliRunner().invoke(main, [], env=deeper, prog_name="lae")
    assert "list" in asked.output


def test_bash_completes(tmp_path) -> None:
    """A real bash, with the printed function, completes names and options."""
    told = CliRunner().invoke(main, ["completion", "bash"])
    (tmp_path / "lae.bash").write_text(told.output)
    script = (
        f"export PATH={Path(sys.executable).parent}:$PATH; source {tmp_path}/lae.bash;"
        "COMP_WORDS=(lae he); COMP_CWORD=1; _lae_completion lae; echo ${COMPREPLY[@]};"
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == "health\n", done.stderr


MAN = Path(__file__).parents[2] / "docs" / "lae.1"


def leaves(group: click.Command, path: str) -> Iterator[str]:
    if not isinstance(group, click.Group):
        yield path
        return
    for name in group.list_commands(click.Context(group)):
        found = group.get_command(click.Context(group), name)
        assert found is not None
        yield from leaves(found, f"{path} {name}")


def test_man_page() -> None:
    """The page is what the commands say today, and names every one of them."""
    text = MAN.read_text("utf-8")
    again = "python -m lae_protocol.process.manual > docs/lae.1"
    assert text == manual.page(), f"make it again: {again}"
    headings = text.replace("\\-", "-")
    for name in leaves(main, "lae"):
        assert f".SS {name} " in headings, name


def test_man_renders() -> None:
    """man shows it without a complaint, and nothing of roff's own is left in it."""
    env = os.environ | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANROFFOPT": "-ww"}
    if shutil.which("man") is None:
        pytest.skip("man is not installed")
    done = subprocess.run(
        ["man", "-l", "-P", "cat", str(MAN)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "lae subscriptions list" in done.stdout
    assert "\\f" not in done.stdout
