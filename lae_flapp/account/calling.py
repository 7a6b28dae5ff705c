"""AWS, called by a command with an administrator's keys: its reactor, its errors."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any, TypeVar

import click
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from lae_flapp.settings import AwsSettings
from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import (
    CredentialsSource,
    InstanceProfileCredentials,
    StaticCredentials,
)
from lae_protocol.aws.metadata import MetadataService, metadata_endpoint
from lae_protocol.aws.sigv4 import Credentials
from lae_provision.account.account import NeedsPermissions
from lae_provision.account.api import KeysRefused
from lae_provision.aws.cloud import AwsCloud, open_cloud
from lae_provision.errors import ProvisionError, TryLater
from lae_provision.images.signature import NotRight

T = TypeVar("T")

INTERRUPTED = 130
NOBODY = "nobody to ask: --yes does it without asking"


def run_with_cloud(
    aws: AwsSettings,
    keys: Credentials | None,
    work: Callable[[Any, AwsCloud], Awaitable[T]],
) -> T:
    """Do *work* with a reactor and the account's doors, and end the reactor.

    Without *keys* those of the machine's own role are used.
    """
    outcome: list[T] = []
    problems: list[Exception] = []

    async def main(reactor: Any) -> None:
        cloud = open_cloud(
            reactor,
            Random(),  # noqa: S311  (jitter)
            source_of(reactor, keys),
            aws.region,
            endpoint=aws.endpoint,
            s3_endpoint=aws.s3_endpoint,
            agent=pooled_agent(reactor),
        )
        try:
            outcome.append(await work(reactor, cloud))
        except Exception as e:  # noqa: BLE001  (raised again, out of the reactor)
            problems.append(e)

    with suppress(SystemExit):
        react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
    if problems:
        raise _in_a_line(problems[0]) from None
    if not outcome:
        raise click.exceptions.Exit(INTERRUPTED)
    return outcome[0]


def source_of(reactor: Any, keys: Credentials | None) -> CredentialsSource:
    """These keys, or the machine's own role."""
    if keys is not None:
        return StaticCredentials(keys)
    endpoint = metadata_endpoint(None, os.environ)
    metadata = MetadataService(reactor, pooled_agent(reactor), endpoint)
    return InstanceProfileCredentials(reactor, metadata, time.time)


def ask(question: str) -> None:
    """Ask a person, from within the reactor; a no ends the command."""
    if not sys.stdin.isatty():
        raise click.ClickException(NOBODY)
    # The reactor, which waits meanwhile, would take Ctrl-C for itself.
    reactors = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        click.confirm(question, abort=True)
    finally:
        signal.signal(signal.SIGINT, reactors)


def _in_a_line(problem: Exception) -> Exception:
    """What a person reads of a failure; a bug keeps its traceback."""
    match problem:
        case NeedsPermissions():
            return click.ClickException(
                "these keys lack permissions: "
                + ", ".join(problem.actions)
                + f"\n({problem.message})"
            )
        case NotRight():
            return click.ClickException(f"no host would run it: {problem}")
        case KeysRefused():
            return click.ClickException(f"AWS does not take these keys: {problem}")
        case TryLater():
            return click.ClickException(
                f"AWS does not answer, or throttles ({problem}); what was made stays,"
                " and the next call goes on from there"
            )
        case ProvisionError():
            return click.ClickException(problem.message)
    return problem
