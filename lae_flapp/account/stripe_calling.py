"""Stripe, called by a command: its reactor, its threads, its errors in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from typing import Any, TypeVar

import click
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from lae_flapp.account.calling import INTERRUPTED
from lae_flapp.money.stripe.calls import StripeCalls, connect
from lae_flapp.money.stripe.check import Mode
from lae_flapp.money.stripe.threads import make_stripe_lane
from lae_protocol.process.settings import SettingsError, read_private
from lae_protocol.secret import Secret
from lae_provision.errors import ProvisionError, TryLater

T = TypeVar("T")

#: As Stripe's own command has it.
KEY_VARIABLE = "STRIPE_API_KEY"


def key_to_set_up_with(
    key_file: Path | None, mode: Mode, environment: Mapping[str, str] = os.environ
) -> Secret:
    """Find the key of whoever sets the account up: a file, the environment, or asked.

    No command line ever has it.
    """
    if key_file is not None:
        try:
            key = read_private(key_file)
        except SettingsError as e:
            raise click.ClickException(str(e)) from None
    elif environment.get(KEY_VARIABLE):
        key = Secret(environment[KEY_VARIABLE].strip())
    elif sys.stdin.isatty():
        key = Secret(click.prompt("A key of Stripe's", hide_input=True).strip())
    else:
        raise click.ClickException(f"no key: neither --key-file nor {KEY_VARIABLE}")
    kind, _, rest = key.reveal().partition("_")
    if kind not in ("sk", "rk") or not rest.startswith(f"{mode}_"):
        raise click.ClickException(
            f"this is no key of {mode} mode (sk_{mode}_..., rk_{mode}_...), which"
            " stripe.mode names"
        )
    return key


def run_with_stripe(
    endpoint: str | None,
    work: Callable[[Callable[[Secret], StripeCalls]], Awaitable[T]],
) -> T:
    """Do *work* with what makes the calls of a key, and end the reactor."""
    outcome: list[T] = []
    problems: list[Exception] = []

    async def main(reactor: Any) -> None:
        lane = make_stripe_lane(reactor)
        lane.start()

        def calls_of(key: Secret) -> StripeCalls:
            return StripeCalls(reactor, lane, [connect(key, endpoint)], SystemRandom())

        try:
            outcome.append(await work(calls_of))
        except Exception as e:  # noqa: BLE001  (raised again, out of the reactor)
            problems.append(e)
        finally:
            lane.abandon()

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
        case TryLater():
            return click.ClickException(
                f"Stripe does not answer, or throttles ({problem}); what was made"
                " stays, and the next call goes on from there"
            )
        case ProvisionError(code="not-authorised"):
            return click.ClickException(f"Stripe does not take this key: {problem}")
        case ProvisionError():
            return click.ClickException(f"Stripe refuses: {problem}")
    return problem
