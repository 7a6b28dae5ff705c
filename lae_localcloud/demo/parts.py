"""The demo's programs, one step each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from attrs import evolve

from lae_localcloud.demo.layout import HOST_PORTS
from lae_localcloud.demo.program import (
    Ends,
    FileAppears,
    Program,
    Step,
)

_LOCALCLOUD = (sys.executable, "-m", "lae_localcloud.command")


def aws_step(folder: Path, *options: str) -> Step:
    """AWS, S3 and instances; ``folder/aws.json`` has all ids once it is ready."""
    argv = (*_LOCALCLOUD, "aws", "--state-dir", str(folder), *options)
    return Step("aws", lambda: Program(argv))


def metal_step(folder: Path, port_for_hosts: int) -> Step:
    """The same with instances that are machines, which reach that port of ours.

    The first time their root file system is made, which takes some two minutes.
    """
    ports = ("--ports", *map(str, HOST_PORTS))
    options = ("--level", "metal", *ports, "--port-for-hosts", str(port_for_hosts))
    options = (*options, "--registry")
    return evolve(aws_step(folder, *options), patience=900.0)


def image_step(folder: Path, aws: Path) -> Step:
    """The hosts' image, built, pushed and signed; ``folder/program.json`` says which.

    The first time all of that takes minutes.
    """
    argv = (*_LOCALCLOUD, "image", "--state-dir", str(folder), "--cloud", str(aws))
    return Step("image", lambda: Program(argv, ready=Ends()), ("aws",), patience=1800)


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
