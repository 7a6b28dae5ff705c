"""The demo's programs, one step each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from lae_localcloud.demo.program import (
    FileAppears,
    Program,
    Step,
)

_LOCALCLOUD = (sys.executable, "-m", "lae_localcloud.command")


def aws_step(folder: Path, *options: str) -> Step:
    """AWS, S3 and instances; ``folder/aws.json`` has all ids once it is ready."""
    argv = (*_LOCALCLOUD, "aws", "--state-dir", str(folder), *options)
    return Step("aws", lambda: Program(argv))


def smtp_step(folder: Path, maildir: Path) -> Step:
    """Mail; ``folder/smtp.json`` says where once it is ready."""
    argv = (*_LOCALCLOUD, "smtp", "--state-dir", str(folder))
    return Step("smtp", lambda: Program((*argv, "--maildir", str(maildir))))


def stripe_step(folder: Path, plans: Path, webhook: str) -> Step:
    """The local Stripe; ``folder/endpoint.json`` says where once it is ready."""
    argv = (*_LOCALCLOUD, "stripe", "--state-dir", str(folder), "--plans", str(plans))
    ready = FileAppears(folder / "endpoint.json")
    return Step("stripe", lambda: Program((*argv, "--webhook", webhook), ready=ready))


def twistd_argv(plugin: str) -> tuple[str, ...]:
    """One of our services in the foreground, as systemd would run it."""
    twistd = Path(sys.executable).with_name("twistd")
    return (str(twistd), "--nodaemon", "--pidfile=", plugin)


def service_step(
    name: str, plugin: str, configure: Callable[[], Path], after: tuple[str, ...]
) -> Step:
    """A service of ours; *configure* writes its settings and says where."""

    def make() -> Program:
        return Program((*twistd_argv(plugin), "--config", str(configure())))

    return Step(name, make, after=after, restart=True)
