"""Reads the systemd unit of a service: the few settings that the booter acts on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, cast, get_args

from attrs import define

Restart = Literal["no", "on-failure", "always"]

#: A service that says one of these needs a real systemd.
_UNSUPPORTED = frozenset(
    {
        "BusName",
        "DynamicUser",
        "EnvironmentFile",
        "ExecReload",
        "ExecStartPost",
        "ExecStartPre",
        "ExecStop",
        "Group",
        "PIDFile",
        "RootDirectory",
        "User",
    }
)
_WORD = re.compile(r"""(?:[^\s"']+|"(?:\\.|[^"\\])*"|'[^']*')+""")
_SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "ms": 0.001, "min": 60.0, "m": 60.0}


class UnsupportedUnit(ValueError):
    """A unit that this booter cannot run as systemd would."""


@define(frozen=True)
class Unit:
    """One service.  *working_directory* is absolute in the instance."""

    name: str
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    working_directory: str
    notifies: bool
    restart: Restart
    restart_seconds: float
    stop_seconds: float

    def directory_under(self, root: Path) -> Path:
        """Where it runs."""
        return root / self.working_directory.lstrip("/")


def parse(name: str, contents: str) -> Unit:
    """Read it; raises :class:`UnsupportedUnit`."""
    service = _service_section(contents)
    unsupported = _UNSUPPORTED & set(service)
    if unsupported:
        raise UnsupportedUnit(f"{name}: {', '.join(sorted(unsupported))}")
    commands = service.get("ExecStart", [])
    if len(commands) != 1:
        raise UnsupportedUnit(f"{name}: one ExecStart is needed")
    kind = _last(service, "Type", "simple")
    if kind not in ("simple", "exec", "notify"):
        raise UnsupportedUnit(f"{name}: Type={kind}")
    restart = _last(service, "Restart", "no")
    if restart not in get_args(Restart):
        raise UnsupportedUnit(f"{name}: Restart={restart}")
    argv = tuple(_words(commands[0]))
    if not argv or argv[0][0] in "@-:+!":
        raise UnsupportedUnit(f"{name}: ExecStart with a prefix")
    return Unit(
        name=name,
        argv=argv,
        environment=tuple(_environment(service)),
        working_directory=_last(service, "WorkingDirectory", "/"),
        notifies=kind == "notify",
        restart=cast("Restart", restart),
        restart_seconds=_seconds(_last(service, "RestartSec", "100ms")),
        stop_seconds=_seconds(_last(service, "TimeoutStopSec", "90")),
    )


def _service_section(contents: str) -> dict[str, list[str]]:
    section, found = "", dict[str, list[str]]()
    joined = re.sub(r"\\\n\s*", " ", contents)
    for line in map(str.strip, joined.splitlines()):
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and line[0] not in "#;":
            key, _, value = line.partition("=")
            found.setdefault(key.strip(), []).append(value.strip())
    return found


def _last(service: dict[str, list[str]], key: str, default: str) -> str:
    return service.get(key, [default])[-1]


def _words(text: str) -> list[str]:
    return [_plain(found[0]) for found in _WORD.finditer(text)]


def _plain(word: str) -> str:
    """Without quotes and escapes: ``%%`` is a percent sign, ``$$`` a dollar."""
    bare = re.sub(
        r'"((?:\\.|[^"\\])*)"|\'([^\']*)\'', lambda m: m[1] or m[2] or "", word
    )
    bare = re.sub(r"\\(.)", r"\1", bare)
    specifiers = re.search(r"(?<!%)(?:%%)*%(?!%)", bare)
    if specifiers or re.search(r"(?<!\$)(?:\$\$)*\$(?!\$)", bare):
        raise UnsupportedUnit("a specifier or a variable in a command")
    return bare.replace("%%", "%").replace("$$", "$")


def _environment(service: dict[str, list[str]]) -> list[tuple[str, str]]:
    pairs = []
    for line in service.get("Environment", []):
        for word in _words(line):
            key, _, value = word.partition("=")
            pairs.append((key, value))
    return pairs


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text)
    if found is None or found[2] not in _SECONDS:
        raise UnsupportedUnit(f"a time: {text}")
    return float(found[1]) * _SECONDS[found[2]]
