"""``lae account plan|apply|check``."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import define

from lae_flapp.account import words
from lae_flapp.account.calling import NOBODY, ask, run_with_cloud
from lae_flapp.account.wants import desired_of
from lae_flapp.settings import DaemonSettings
from lae_protocol.aws.administrator import NoKeys, administrators_keys
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.process.settings import SettingsError, load
from lae_provision.account.account import Account
from lae_provision.account.applying import Applied
from lae_provision.account.change_set import Judged
from lae_provision.account.checking import AccountDifferences, settings_to_write
from lae_provision.account.desired import Desired
from lae_provision.aws.cloud import AwsCloud
from lae_provision.aws.cloudformation import open_account

T = TypeVar("T")

#: How a command ends, for scripts; terraform's detailed exit codes.
DIFFERS = 2


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


def _naming(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--skip",
            multiple=True,
            metavar="NAME",
            help="If a failed change cannot be undone: give up on this thing.",
        ),
        click.option(
            "--replace",
            multiple=True,
            metavar="NAME",
            help="This thing may be replaced, or given up.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def account() -> None:
    """See and make what a deployment needs of its AWS account.

    Takes an administrator's keys from the environment or ~/.aws/credentials, never
    the daemon's.  It is one stack of CloudFormation's, of the template that ships.
    """


@account.command("plan")
@_options
@_naming
def plan_(
    config: Path,
    profile: str | None,
    as_json: bool,
    replace: tuple[str, ...],
    skip: tuple[str, ...],
) -> None:
    """Show what apply would do.  Exit status: 0 nothing, 2 something."""
    called = _called(config, profile, as_json)

    def stop(judged: Judged) -> None:
        raise _Looked(judged)

    async def look(looked: Account) -> tuple[str, Judged]:
        caller = await looked.identify()
        called.say(words.head(called.desired, caller.arn))
        try:
            named = frozenset(replace)
            await looked.apply(stop, called.say, replace=named, skip=skip, looks=True)
        except _Looked as e:
            return caller.arn, e.judged
        return caller.arn, Judged((), ())

    who, judged = _run(called, look)
    if as_json:
        nothing = AccountDifferences(())
        click.echo(words.as_json(called.desired, who, nothing, judged.changes))
    called.say(words.changes(judged) if judged.changes else "Nothing to change.")
    if judged.changes:
        raise click.exceptions.Exit(DIFFERS)


@account.command("check")
@_options
def check_(config: Path, profile: str | None, as_json: bool) -> None:
    """Name what differs, one line each.  Exit status: 0 nothing, 2 something."""
    called = _called(config, profile, as_json)

    async def look(looked: Account) -> tuple[str, AccountDifferences]:
        caller = await looked.identify()
        return caller.arn, await looked.check()

    who, checked = _run(called, look)
    if as_json:
        click.echo(words.as_json(called.desired, who, checked))
    for difference in checked.differences:
        called.say(words.line(difference))
    for difference in checked.differences:
        called.say("\n" + words.told(difference))
    if checked.unreported:
        called.say("\n" + words.unreported(checked), err=True)
    called.say("\n" + words.summary(checked))
    if checked.differences:
        raise click.exceptions.Exit(DIFFERS)


@account.command()
@_options
@_naming
@click.option("--yes", is_flag=True, help="Do not ask.")
def apply(
    config: Path,
    profile: str | None,
    as_json: bool,
    replace: tuple[str, ...],
    skip: tuple[str, ...],
    *,
    yes: bool,
) -> None:
    """Show what would be done, ask, and do it.  Exit status: 2 where a person must."""
    called = _called(config, profile, as_json)

    def show_and_ask(judged: Judged) -> None:
        called.say(words.changes(judged))
        if not judged.refused:
            _confirm(called, yes=yes)

    async def change(changed: Account) -> tuple[str, Applied]:
        caller = await changed.identify()
        called.say(words.head(called.desired, caller.arn))
        named = frozenset(replace)
        applied = await changed.apply(
            show_and_ask, called.say, replace=named, skip=skip
        )
        return caller.arn, applied

    who, applied = _run(called, change)
    left = AccountDifferences(settings_to_write(called.desired, applied.stack))
    if as_json:
        click.echo(
            words.as_json(
                called.desired, who, left, applied.changes, applied.stack.outputs
            )
        )
    called.say("\n" + words.done(applied))
    for difference in left.differences:
        called.say("\n" + words.told(difference))
    if left.differences:
        raise click.exceptions.Exit(DIFFERS)


class _Looked(Exception):
    """Enough was seen: nothing is to be done."""

    def __init__(self, judged: Judged) -> None:
        super().__init__()
        self.judged = judged


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
    if called.as_json:
        raise click.ClickException(NOBODY)
    ask("Do this?")


def _run(called: Call, work: Callable[[Account], Awaitable[T]]) -> T:
    """Do *work* with the account, and end the reactor."""

    async def main(_: Any, cloud: AwsCloud) -> T:
        return await work(open_account(cloud.channel, called.desired))

    return run_with_cloud(called.settings.aws, called.keys, main)
