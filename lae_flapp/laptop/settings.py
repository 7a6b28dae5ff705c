"""How ``lae`` finds the daemon: options, then the environment, then a user's files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import click
from attrs import define, evolve

from lae_protocol.furl import Furl, NotAFurl, WrongFurl, parse_facet_furl
from lae_protocol.process.settings import SecretSource, SettingsError, load

FURL_FILE, ADDRESS = "S4_OPERATOR_FURL_FILE", "S4_OPERATOR_ADDRESS"
CONFIG, DAEMON = "S4_LAE_CONFIG", "S4_DAEMON_CONFIG"
#: Where the commands on the daemon's own machine look for its settings.
DAEMON_FILE = Path("/etc/s4/daemon.yaml")
_ADDRESS = re.compile(r"[a-zA-Z0-9.\-]+:\d{1,5}")


@define(frozen=True)
class OperatorSettings:
    """What ``process: operator`` may say.

    *address* (HOST:PORT) is where the daemon is reached from here, in the place of what
    the furl says: behind a tunnel, for example.  *daemon* is the daemon's settings, for
    commands on its own machine.
    """

    process: Literal["operator"]
    furl: SecretSource | None = None
    address: str | None = None
    daemon: Path | None = None

    def __attrs_post_init__(self) -> None:
        if self.address is not None and not _ADDRESS.fullmatch(self.address):
            raise ValueError("address: HOST:PORT is expected")


@define(frozen=True)
class Where:
    """What the command line says of the daemon's place; None where it says nothing."""

    config: Path | None = None
    furl_file: Path | None = None
    address: str | None = None

    def furl(self, environment: Mapping[str, str] = os.environ) -> Furl:
        """The operator's furl; raises a ClickException in one line."""
        settings = self._settings(environment)
        source = settings.furl
        if source is None:
            source = SecretSource(file=user_folder(environment) / "operator.furl")
        try:
            furl = parse_facet_furl(source.read().reveal(), "o")
        except (SettingsError, NotAFurl, WrongFurl) as e:
            raise click.ClickException(
                f"no operator furl: {e}\nName its file with --furl-file or {FURL_FILE}."
            ) from None
        if settings.address is None:
            return furl
        return evolve(furl, hints=(settings.address,))

    def daemon_file(self, environment: Mapping[str, str] = os.environ) -> Path:
        """The daemon's settings on this machine."""
        if environment.get(DAEMON):
            return Path(environment[DAEMON])
        return self._settings(environment).daemon or DAEMON_FILE

    def _settings(self, environment: Mapping[str, str]) -> OperatorSettings:
        """The file's, then the environment's in its place, then the options'."""
        try:
            settings = self._file(environment)
            if self.furl_file is not None:
                settings = evolve(settings, furl=SecretSource(file=self.furl_file))
            elif self.config is None and environment.get(FURL_FILE):
                file = Path(environment[FURL_FILE])
                settings = evolve(settings, furl=SecretSource(file=file))
            address = self.address or environment.get(ADDRESS)
            return evolve(settings, address=address) if address else settings
        except (SettingsError, ValueError) as e:
            raise click.ClickException(str(e)) from None

    def _file(self, environment: Mapping[str, str]) -> OperatorSettings:
        named = self.config
        if named is None and environment.get(CONFIG):
            named = Path(environment[CONFIG])
        usual = user_folder(environment) / "lae.yaml"
        if named is None and not usual.exists():
            return OperatorSettings("operator")
        return load(named or usual, OperatorSettings)


def user_folder(environment: Mapping[str, str]) -> Path:
    """The user's folder for S4."""
    folder = environment.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    return Path(folder) / "s4"
