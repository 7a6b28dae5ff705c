"""What an image is made of, as ``config/containers/*.yaml`` says."""

from __future__ import annotations

from pathlib import Path

from attrs import define

from lae_protocol.process.settings import load

#: Everything in an image has this time; only contents tell two files apart.
EPOCH = 1_577_836_800  # s; 2020-01-01

#: Of the user and of the group.  Ignition gives it what the image reads and writes.
USER = 10001
STATE_FOLDER = "/var/lib/s4"
#: Where our packages are, as on a host that runs a release.
PREFIX = "/opt/s4"
ARCHITECTURE = "amd64"
#: What machines of this architecture call themselves.
MACHINE = "x86_64"
NAMES = ("node", "service")


class NotBuildable(Exception):
    """No image can be made here of this; the text says why, and what to do."""


class NotFetched(NotBuildable):
    """The mirror is away, or has newer packages.  Look again, then try again."""


@define(frozen=True)
class Base:
    """The first layer: packages of one Debian suite, and what of them is left out."""

    suite: str
    python: str
    packages: tuple[str, ...]
    leave_out: tuple[str, ...]


@define(frozen=True)
class HealthCheck:
    """What podman runs in the container, when, and how often it may fail.

    All but *failures* are seconds.
    """

    command: tuple[str, ...]
    every: int
    patience: int
    after: int
    failures: int


@define(frozen=True)
class Recipe:
    """One image on the base: which packages of PyPI, and what it runs.

    *name* is its repository's, after the deployment's; *requirements* names
    ``requirements/NAME.txt``; *leave_out* are paths of what these bring and no service
    needs; *warm* are modules that are imported once when the image is made.
    """

    name: str
    requirements: str
    leave_out: tuple[str, ...]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    warm: tuple[str, ...]
    healthcheck: HealthCheck


def read_base(folder: Path) -> Base:
    """Read ``base.yaml``; raises :class:`SettingsError`."""
    return load(folder / "base.yaml", Base)


def read_recipe(folder: Path, name: str) -> Recipe:
    """Read ``NAME.yaml``; raises :class:`SettingsError`."""
    return load(folder / f"{name}.yaml", Recipe)
