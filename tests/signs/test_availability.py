"""Whether customers can be taken: asked of AWS, the canary and Stripe, one by one."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.money.stripe.check import FoundAccount, Wanted
from lae_flapp.signs.availability import Availability, WrongAccount
from lae_provision.errors import Refused, TryLater

WANTED = Wanted("test", (), "https://s4.example/webhook/stripe", "acct_1")


class Asked:
    """Three services, each of which answers or raises what *wrong* has for it."""

    def __init__(self) -> None:
        self.clock, self.asked = Clock(), []
        self.wrong: dict[str, Exception] = {}
        self.availability = Availability(
            self.clock,
            Random(1),
            self.service("account", None),
            self.service("canary", None),
            self.service("stripe", FoundAccount("acct_other", {}, ())),
            WANTED,
        )

    def service(self, name: str, answer: Any) -> Any:
        async def ask() -> Any:
            self.asked.append(name)
            if name in self.wrong:
                raise self.wrong[name]
            return answer

        return ask


def test_each_is_asked_when_the_one_before_is_well() -> None:
    """The first that is not well is named to operators and keeps registrations closed,
    the first look is told of, and the next follows by itself.
    """
    asked = Asked()
    asked.wrong = {name: TryLater("away", name) for name in ("account", "canary")}
    looking = Deferred.fromCoroutine(asked.availability.until_open())
    assert asked.availability.looked.called
    assert asked.asked == ["account"]
    assert asked.availability.problem == "AWS does not answer: away: account"
    assert asked.availability.closed_because() is not None
    del asked.wrong["account"]
    asked.clock.advance(1)
    assert asked.asked == ["account", "account", "canary"]
    assert asked.availability.problem == "the canary is silent: away: canary"
    del asked.wrong["canary"]
    asked.clock.advance(2)
    assert asked.asked[3:] == ["account", "canary", "stripe"]
    assert "acct_other" in str(asked.availability.problem)
    assert not asked.availability.opened
    looking.cancel()


def test_keys_of_another_account() -> None:
    """Keys of another account end the looks for good."""
    asked = Asked()
    asked.wrong["account"] = Refused("WrongAccount", "these are keys of 1, not of 2")
    looking = Deferred.fromCoroutine(asked.availability.until_open())
    failures: list[Any] = []
    looking.addErrback(failures.append)
    assert failures[0].check(WrongAccount)
    assert asked.availability.looked.called


@pytest.mark.parametrize("name", ["account", "canary"])
def test_a_probe_asks_all(name: str) -> None:
    """A probe asks each service once, whatever another one raises."""
    asked = Asked()
    asked.wrong[name] = TryLater("away", name)
    Deferred.fromCoroutine(asked.availability.probe())
    assert asked.asked == ["account", "canary", "stripe"]
    assert not asked.availability.opened
