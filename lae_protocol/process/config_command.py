"""``lae config``: look at a process's settings before the process does."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import click
import yaml

from lae_protocol.process.key_folder import KeyFolder
from lae_protocol.process.resources import config_folder
from lae_protocol.process.settings import SecretSource, SettingsError, load
from lae_protocol.secret import Secret


@click.group()
def config() -> None:
    """Look at settings before a process does."""


def _name(path: Path) -> str | None:
    """What the file's key ``process:`` says."""
    try:
        top = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise SettingsError(f"{path}: {e.strerror}") from None
    except (ValueError, yaml.YAMLError) as e:
        mark = getattr(e, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise SettingsError(f"{path}{line}: not YAML") from None
    name = top.get("process") if isinstance(top, dict) else None
    return name if isinstance(name, str) else None


def _kind(path: Path) -> type:
    """The settings class for the file."""
    known = {e.name: e for e in entry_points(group="s4.settings")}
    name = _name(path)
    if name not in known:
        raise SettingsError(
            f"{path}: the key process: must be one of {', '.join(sorted(known))}"
        )
    kind: type = known[name].load()
    return kind


def _read_secrets(value: object) -> list[Secret]:
    """Read every secret that the settings name, wherever it stands."""
    if isinstance(value, SecretSource):
        return [value.read()]
    if isinstance(value, KeyFolder):
        return list(value.read())
    if isinstance(value, tuple):
        return [s for v in value for s in _read_secrets(v)]
    names = getattr(type(value), "__attrs_attrs__", ())
    return [s for a in names for s in _read_secrets(getattr(value, a.name))]


#: Where the examples differ from the process' name.
_EXAMPLES = {"operator": "lae"}


@config.command()
@click.argument(
    "process", type=click.Choice(["daemon", "site", "operator", "plans", "prices"])
)
def example(process: str) -> None:
    """Print an example with every key explained, of the settings of a process, or of
    the plans that are sold and of the prices that they cost.
    """
    name = _EXAMPLES.get(process, process)
    ending = ".yaml" if process in {"plans", "prices"} else ".example.yaml"
    text = (config_folder() / f"{name}{ending}").read_text("utf-8")
    click.echo(text, nl=False)


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Check FILE: every key and type, and every file and secret that it names.

    A plan that is sold below what it costs at full quota fails.  What is well, and open
    to more people than it must be, is said too.
    """
    said: list[str] = []
    try:
        settings: object = load(file, _kind(file))
        found, name = _read_secrets(settings), str(_name(file))
        for entry in entry_points(group="s4.held", name=name):
            entry.load()(settings)
        for entry in entry_points(group="s4.judged", name=name):
            said += entry.load()(settings)
    except SettingsError as e:
        raise click.ClickException(str(e)) from None
    click.echo(f"{file}: good ({len(found)} secrets, all readable)")
    for line in (*getattr(settings, "what_is_open", tuple)(), *said):
        click.echo(line)
