"""``lae volume``: the daemon's own volume at EBS."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import click
from attrs import define

from lae_flapp.account import volume_words
from lae_flapp.account.calling import ask, run_with_cloud
from lae_flapp.account.volume_mount import mount
from lae_flapp.laptop.options import AGE, changes, gives_json, loses
from lae_flapp.settings import DaemonSettings
from lae_protocol.aws.administrator import NoKeys, administrators_keys
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.process.settings import SettingsError, load
from lae_provision.account.api import NotAllowed
from lae_provision.aws.cloud import AwsCloud
from lae_provision.errors import Refused
from lae_provision.volumes.convergence import Convergence, NotFinished, instances_of
from lae_provision.volumes.ebs import JournalVolume
from lae_provision.volumes.foresight import foresee
from lae_provision.volumes.volume_plan import (
    LARGEST,
    BeAttached,
    BeCopied,
    BeGrown,
    BeMoved,
    Goal,
    GoalReached,
    NeedsPerson,
    StopInstance,
)

T = TypeVar("T")


@define(frozen=True)
class Called:
    """What each command is told."""

    settings: DaemonSettings
    keys: Credentials | None
    within: float = 600.0

    def run(self, work: Callable[[Any, JournalVolume], Awaitable[T]]) -> T:
        """Do *work* with the volume; every failure is one line."""

        async def main(reactor: Any, cloud: AwsCloud) -> T:
            deployment = self.settings.deployment
            volume = JournalVolume(cloud.channel, deployment, _now)
            try:
                await cloud.caller.check_account(self.settings.aws.account)
                return await work(reactor, volume)
            except NotAllowed as e:
                raise click.ClickException(
                    f"these keys lack the permission {e.action} ({e.message})"
                ) from None
            except NotFinished as e:
                raise click.ClickException(
                    f"not yet: {e.message}; call it again, and it goes on from there"
                ) from None

        return run_with_cloud(self.settings.aws, self.keys, main)


def _now() -> datetime:
    return datetime.now(UTC)


def _on_volume(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command ``called``: settings, and an administrator's keys."""

    @wraps(command)
    def working(*, config: Path, profile: str | None, within: int, **rest: Any) -> Any:
        try:
            settings = load(config.resolve(), DaemonSettings)
            if rest.pop("own", False):
                keys: Credentials | None = _daemons_keys(settings)
            else:
                keys = administrators_keys(os.environ, Path.home(), profile)
        except (SettingsError, NoKeys) as e:
            raise click.ClickException(str(e)) from None
        return command(called=Called(settings, keys, float(within)), **rest)

    given: Callable[..., Any] = working
    for option in (
        click.option(
            "--within",
            type=AGE,
            default="10m",
            show_default=True,
            help="How long to work at it; another call goes on.",
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
        given = option(given)
    return given


def _daemons_keys(settings: DaemonSettings) -> Credentials | None:
    """The keys that the settings name; None for those of the machine's role."""
    aws = settings.aws
    if aws.access_key is None or aws.secret_key is None:
        return None
    return Credentials(aws.access_key.read().reveal(), aws.secret_key.read())


@click.group()
def volume() -> None:
    """Look after the daemon's own volume: its journal, certificates and furls.

    Takes an administrator's keys from the environment or ~/.aws/credentials.  Each
    command may be interrupted, and goes on when it is called again.
    """


volume.add_command(mount)


@volume.command()
@_on_volume
@gives_json
def status(called: Called, *, as_json: bool) -> None:
    """Show the volume, where it is attached, and its snapshots."""
    sight = called.run(lambda _, volume: volume.look())
    if as_json:
        click.echo(json.dumps(volume_words.as_json(sight)))
        return
    for line in volume_words.volume_lines(sight):
        click.echo(line)


@volume.command()
@_on_volume
@changes
@click.option("--gib", type=click.IntRange(1, LARGEST), default=20, show_default=True)
@click.option("--kms-key", metavar="ARN", help="[default: cells.volume_kms_key]")
@click.argument("instance")
def attach(
    called: Called, *, dry_run: bool, gib: int, kms_key: str | None, instance: str
) -> None:
    """Attach the volume to INSTANCE; make it, encrypted, if there is none.

    It is taken from no other instance: lae volume move.
    """
    key = kms_key or called.settings.cells[0].volume_kms_key
    _reach(called, BeAttached(instance, gib, key), dry_run=dry_run)


@volume.command()
@_on_volume
@changes
@click.option(
    "--every", type=AGE, default="1d", show_default=True, help="One for each time."
)
@click.option(
    "--keep", type=click.IntRange(1), help="Delete older ones.  [default: keep all]"
)
@click.option(
    "--own", is_flag=True, help="With the daemon's own keys, which may delete none."
)
def snapshot(called: Called, *, dry_run: bool, every: int, keep: int | None) -> None:
    """Take a snapshot, unless this day (or other time) has one."""
    goal = BeCopied(timedelta(seconds=every), keep)
    _reach(called, goal, dry_run=dry_run)


@volume.command()
@_on_volume
@changes
@click.argument("gib", type=click.IntRange(1, LARGEST))
def grow(called: Called, *, dry_run: bool, gib: int) -> None:
    """Make the volume GIB large; then lae volume mount on its machine.

    EC2 does so once in six hours, while the daemon runs.  No volume gets smaller.
    """
    _reach(called, BeGrown(gib), dry_run=dry_run)


@volume.command()
@_on_volume
@changes
@loses
@click.option("--stop", is_flag=True, help="Stop the instance that has it now.")
@click.option(
    "--unmounted", is_flag=True, help="It is unmounted there; the instance may run."
)
@click.argument("instance")
def move(
    called: Called,
    *,
    dry_run: bool,
    yes: bool,
    stop: bool,
    unmounted: bool,
    instance: str,
) -> None:
    """Move the volume to INSTANCE, in any zone of the region.

    It is taken from an instance only once that has stopped, or once you say
    --unmounted and EC2 has let it go.  Into another zone it goes by a snapshot; the
    volume of before stays, for you to delete.
    """
    goal = BeMoved(instance, stop=stop, unmounted=unmounted)
    _reach(called, goal, dry_run=dry_run, yes=yes)


def _reach(called: Called, goal: Goal, *, dry_run: bool, yes: bool = False) -> None:
    """Show what would be done, ask where something is stopped, and do it."""
    deployment = called.settings.deployment

    async def work(reactor: Any, volume: JournalVolume) -> GoalReached | None:
        sight = await volume.look(*instances_of(goal))
        foreseen = foresee(deployment, goal, sight)
        if dry_run:
            click.echo("Would do:")
            for answer in foreseen:
                click.echo(volume_words.told(answer))
            return None
        if isinstance(foreseen[0], NeedsPerson):
            raise Refused("a-person-must", foreseen[0].why)
        for step in foreseen:
            if isinstance(step, StopInstance) and not yes:
                ask(f"Stop {step.instance}?")
        converges = Convergence(
            reactor,
            Random(),  # noqa: S311  (jitter)
            volume,
            deployment,
            lambda answer: click.echo(volume_words.told(answer)),
            called.within,
        )
        return await converges.reach(goal)

    reached = called.run(work)
    if reached is not None:
        click.echo(reached.told)
