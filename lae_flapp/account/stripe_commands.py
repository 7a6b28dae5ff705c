"""``lae stripe apply|check``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from attrs import define

from lae_flapp.account.calling import NOBODY, ask
from lae_flapp.account.stripe_calling import key_to_set_up_with, run_with_stripe
from lae_flapp.laptop.options import changes, gives_json
from lae_flapp.money.stripe.calls import StripeCalls
from lae_flapp.money.stripe_account.key_rights import (
    DAEMONS,
    READ_ACCOUNT,
    SETTING_UP,
    Right,
    form_name,
    link_to_make_key,
)
from lae_flapp.money.stripe_account.seen import SeenAccount
from lae_flapp.money.stripe_account.setting_up import SettingUp
from lae_flapp.money.stripe_account.steps import Step, ToDo, decide, login_of
from lae_flapp.money.stripe_account.wanted import WantedAccount, wanted_account
from lae_flapp.settings import DaemonSettings
from lae_protocol.process.key_folder import KeyFolder
from lae_protocol.process.plans import load_plans
from lae_protocol.process.settings import SettingsError, load
from lae_protocol.secret import Secret, digest

#: How a command ends, for scripts; as ``lae account`` does.
DIFFERS = 2
SECRETS = Path("/etc/s4/webhook-secrets")
_SIGNS = {"Make": "+", "Change": "~", "Delete": "-"}


@define(frozen=True)
class Asked:
    """What each command is told."""

    settings: DaemonSettings
    wanted: WantedAccount
    secrets: Path
    as_json: bool

    def say(self, text: str) -> None:
        """For people; with ``--json`` nothing but the object goes to stdout."""
        if not self.as_json:
            click.echo(text)

    @property
    def daemons_rights(self) -> tuple[Right, ...]:
        """What the daemon's keys need."""
        named = self.wanted.account_id is not None
        return (*DAEMONS, READ_ACCOUNT) if named else DAEMONS


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command ``asked``."""
    for option in (
        click.option(
            "--secrets",
            type=click.Path(path_type=Path, file_okay=False),
            default=SECRETS,
            show_default=True,
            help="The folder of the site's webhook_secrets.",
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
    return gives_json(command)


@click.group()
def stripe() -> None:
    """See and make what a deployment needs of its account at Stripe."""


@stripe.command()
@_options
@changes
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File (mode 600) with a key that may write products, prices, webhook endpoints"
    " and the portal.  [default: STRIPE_API_KEY in the environment]",
)
def apply(
    *,
    config: Path,
    secrets: Path,
    as_json: bool,
    dry_run: bool,
    yes: bool,
    key_file: Path | None,
) -> None:
    """Make prices, webhook endpoint and portal as the settings want them.

    Shows what would be done and asks.  What an interrupted run made is found, never
    made twice.  The endpoint's secret goes to a file in the folder of the site's
    secrets and nowhere else.  Exit status: 0 where nothing is left to do, else 2.
    """
    asked = _asked(config, secrets, as_json=as_json)
    key = key_to_set_up_with(key_file, asked.wanted.mode)
    done: list[str] = []

    def said(step: Step, made: str) -> None:
        done.append(made)
        asked.say(f"{_sign(step)} {made}")

    async def work(calls_of: Callable[[Secret], StripeCalls]) -> tuple[ToDo, Any]:
        setup = SettingUp(calls_of(key), asked.wanted)
        seen = await _look_with_rights(setup)
        todo = decide(asked.wanted, seen)
        if dry_run or not todo.steps:
            return todo, seen
        _show(asked, todo)
        if not yes:
            if as_json:
                raise click.ClickException(NOBODY)
            ask("\nDo the steps marked +, ~ and -?")
        await setup.carry_out(todo.steps, secrets, said)
        seen = await setup.look()
        return decide(asked.wanted, seen), seen

    todo, seen = run_with_stripe(asked.settings.stripe.endpoint, work)
    if dry_run:
        asked.say("Would do:" if todo.steps else "Would do nothing.")
        _show(asked, todo)
        if as_json:
            _print_json(todo.told, done)
        return
    _show(asked, todo)
    if not todo.told:
        _say_what_is_left(asked, login_of(asked.wanted, seen))
    _end(asked, todo.told, done)


async def _look_with_rights(setup: SettingUp) -> SeenAccount:
    """See the account, once the key's rights have been tried, one by one."""
    if lacking := await setup.missing(SETTING_UP):
        named = ", ".join(f"{form_name(n, SETTING_UP)} ({n})" for n in lacking)
        raise click.ClickException(f"this key lacks rights: {named}")
    return await setup.look()


@stripe.command()
@_options
def check(*, config: Path, secrets: Path, as_json: bool) -> None:
    """Name what differs, one line each, and the rights that the daemon's keys lack.

    Asks with the daemon's own keys.  Where the folder of the site's secrets is here,
    the endpoint's secret must be in it.  Exit status: 0 nothing, 2 something.
    """
    asked = _asked(config, secrets, as_json=as_json)
    try:
        keys = asked.settings.stripe.api_keys.read()
        held = _held(secrets)
    except SettingsError as e:
        raise click.ClickException(str(e)) from None

    async def work(calls_of: Callable[[Secret], StripeCalls]) -> list[str]:
        said: list[str] = []
        rights = asked.daemons_rights
        reads = [right for right in rights if right.name.endswith("_read")]
        for number, key in enumerate(keys, start=1):
            setup = SettingUp(calls_of(key), asked.wanted)
            lacking = await setup.missing(rights)
            said += [
                f"stripe.api_keys, number {number}: lacks {form_name(name, rights)}"
                f" ({name})"
                for name in lacking
            ]
            if number == 1 and not {r.name for r in reads} & set(lacking):
                said += _drift(asked, await setup.look(), held)
        return said

    said = run_with_stripe(asked.settings.stripe.endpoint, work)
    for text in said:
        asked.say(text)
    if any("lacks" in text for text in said):
        asked.say(f"A key with all rights: {_link(asked)}")
    _end(asked, tuple(said), None)


def _drift(
    asked: Asked, seen: SeenAccount, held: frozenset[str] | None
) -> tuple[str, ...]:
    """Name what differs, and an endpoint whose secret the folder lacks."""
    said = decide(asked.wanted, seen).told
    return said + tuple(
        f"webhook endpoint {one.endpoint_id}: {asked.secrets} lacks its secret"
        for one in seen.endpoints
        if one.url == asked.wanted.hook
        and one.enabled
        and one.secret is not None
        and held is not None
        and one.secret not in held
    )


def _held(folder: Path) -> frozenset[str] | None:
    """Digests of the site's secrets; None where the folder is not on this machine."""
    if not folder.is_dir():
        return None
    return frozenset(
        digest(file.read().reveal()) for file in KeyFolder(folder).listed()
    )


def _asked(config: Path, secrets: Path, *, as_json: bool) -> Asked:
    try:
        settings = load(config.resolve(), DaemonSettings)
        plans = load_plans(settings.plans_file)
    except SettingsError as e:
        raise click.ClickException(str(e)) from None
    return Asked(settings, wanted_account(settings, plans), secrets, as_json)


def _show(asked: Asked, todo: ToDo) -> None:
    for step in todo.steps:
        asked.say(f"{_sign(step)} {step.told}")
    for text in todo.by_hand:
        asked.say(f"! {text}")


def _sign(step: Step) -> str:
    name = type(step).__name__
    return next(sign for verb, sign in _SIGNS.items() if name.startswith(verb))


def _say_what_is_left(asked: Asked, login_url: str | None) -> None:
    """What nobody can make through Stripe's API."""
    asked.say(f"The site's secrets: {asked.secrets}")
    if login_url is not None:
        asked.say(f"Where customers log in to the portal: {login_url}")
    asked.say(f"The daemon's restricted key is made by hand: {_link(asked)}")


def _link(asked: Asked) -> str:
    wanted = asked.wanted
    return link_to_make_key(wanted.deployment, wanted.mode, asked.daemons_rights)


def _end(asked: Asked, told: tuple[str, ...], done: list[str] | None) -> None:
    if asked.as_json:
        _print_json(told, done)
    elif told:
        asked.say(f"\nDifferences: {len(told)}.")
    else:
        asked.say("Everything is as it should be.")
    if told:
        raise click.exceptions.Exit(DIFFERS)


def _print_json(told: tuple[str, ...], done: list[str] | None) -> None:
    held = {"version": 1, "differences": list(told)}
    click.echo(json.dumps(held if done is None else {**held, "done": done}))
