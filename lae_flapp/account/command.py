"""``lae account plan|apply|check``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import click
from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from lae_flapp.account import words
from lae_flapp.account.wants import desired_of
from lae_flapp.settings import DaemonSettings
from lae_protocol.aws.administrator import NoKeys, administrators_keys
from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.process.settings import SettingsError, load
from lae_provision.account.account import Account, NeedsPermissions
from lae_provision.account.api import KeysRefused
from lae_provision.account.desired import Desired
from lae_provision.account.difference import Difference
from lae_provision.account.plan import Plan, plan
from lae_provision.aws.cloud import open_cloud
from lae_provision.errors import ProvisionError, TryLater

T = TypeVar("T")

#: How a command ends, for scripts; terraform's detailed exit codes.
DIFFERS, INTERRUPTED = 2, 130


@define(frozen=True)
class Call:
    """What every command is told."""

    settings: DaemonSettings
    desired: Desired
    keys: Credentials
    as_json: bool

    def say(self, text: str, *, err: bool = False) -> None:
        """For people; with ``--json`` nothing but the object goes to stdout."""
        if err or not self.as_json:
            click.echo(text, err=err)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--json", "as_json", is_flag=True, help="For programs: one JSON object."
        ),
        click.option(
            "--profile",
            help="Of ~/.aws/credentials.  [default: the keys in the environment,"
            " then AWS_PROFILE]",
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            default=Path("/etc/s4/daemon.yaml"),
            show_default=True,
            help="The daemon's settings.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def account() -> None:
    """See and make what a deployment needs of its AWS account.

    Takes an administrator's keys from the environment or ~/.aws/credentials, never
    the daemon's.  Nothing is ever deleted.
    """


@account.command("plan")
@_options
def plan_(config: Path, profile: str | None, as_json: bool) -> None:
    """Show what apply would do.  Exit status: 0 nothing, 2 something."""
    called = _called(config, profile, as_json)
    who, decided = _run(called, _decide)
    _end(called, who, decided, [])


@account.command()
@_options
def check(config: Path, profile: str | None, as_json: bool) -> None:
    """Name what differs, one line each.  Exit status: 0 nothing, 2 something."""
    called = _called(config, profile, as_json)
    who, decided = _run(called, _decide)
    if not as_json:
        for difference in decided.differences:
            click.echo(words.line(difference))
    _end(called, who, decided, None)


@account.command()
@_options
@click.option("--yes", is_flag=True, help="Do not ask.")
def apply(config: Path, profile: str | None, as_json: bool, yes: bool) -> None:
    """Show what would be done, ask, and do it.  Exit status: 2 where a person must."""
    called = _called(config, profile, as_json)
    done: list[Difference] = []

    async def decide_and_do(mends: Account) -> tuple[str, Plan]:
        who, decided = await _decide(mends)
        if not decided.steps:
            return who, decided
        _show(called, who, decided)
        _confirm(called, yes=yes)
        called.say("")
        left, _ = await mends.apply(said)
        return who, left

    def said(step: Difference) -> None:
        called.say(words.step_line(step))
        done.append(step)

    who, left = _run(called, decide_and_do)
    _end(called, who, left, done)


async def _decide(looked: Account) -> tuple[str, Plan]:
    caller = await looked.identify()
    return caller.arn, plan(looked.desired, await looked.look())


def _called(config: Path, profile: str | None, as_json: bool) -> Call:
    try:
        settings = load(config, DaemonSettings)
        desired = desired_of(settings)
        keys = administrators_keys(os.environ, Path.home(), profile)
    except (SettingsError, NoKeys) as e:
        raise click.ClickException(str(e)) from None
    if problems := desired.problems():
        raise click.ClickException(f"{config}: " + "; ".join(problems))
    return Call(settings, desired, keys, as_json)


def _confirm(called: Call, *, yes: bool) -> None:
    if yes:
        return
    if called.as_json or not sys.stdin.isatty():
        raise click.ClickException("nobody to ask: --yes does it without asking")
    # The reactor, which waits meanwhile, would take Ctrl-C for itself.
    reactors = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        click.confirm("\nDo the steps marked + and ~?", abort=True)
    finally:
        signal.signal(signal.SIGINT, reactors)


def _show(called: Call, who: str, decided: Plan) -> None:
    called.say(words.head(called.desired, who))
    for difference in decided.differences:
        called.say("\n" + words.told(difference))


def _end(called: Call, who: str, decided: Plan, done: list[Difference] | None) -> None:
    """Print what is left (*done* is None where it is printed), and how it went."""
    if called.as_json:
        click.echo(words.as_json(called.desired, who, decided, done or []))
    elif done:
        for difference in decided.differences:
            called.say("\n" + words.told(difference))
    elif done is not None:
        _show(called, who, decided)
    if decided.unreported:
        called.say("\n" + words.unreported(decided), err=True)
    called.say("\n" + words.summary(decided))
    if decided.differences:
        raise click.exceptions.Exit(DIFFERS)


def _run(called: Call, work: Callable[[Account], Awaitable[T]]) -> T:
    """Do *work* with the account, and end the reactor."""
    outcome: list[T] = []
    problems: list[Exception] = []

    async def main(reactor: Any) -> None:
        aws = called.settings.aws
        cloud = open_cloud(
            reactor,
            Random(),  # noqa: S311  (jitter)
            StaticCredentials(called.keys),
            aws.region,
            endpoint=aws.endpoint,
            s3_endpoint=aws.s3_endpoint,
            agent=pooled_agent(reactor),
        )
        try:
            outcome.append(await work(Account(cloud.channel, called.desired)))
        except Exception as e:  # noqa: BLE001  (raised again, out of the reactor)
            problems.append(e)

    with suppress(SystemExit):
        react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
    if problems:
        raise _in_a_line(problems[0]) from None
    if not outcome:
        raise click.exceptions.Exit(INTERRUPTED)
    return outcome[0]


def _in_a_line(problem: Exception) -> Exception:
    """What a person reads of a failure; a bug keeps its traceback."""
    match problem:
        case NeedsPermissions():
            return click.ClickException(
                "these keys lack permissions: "
                + ", ".join(problem.actions)
                + f"\n({problem.message})"
            )
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
