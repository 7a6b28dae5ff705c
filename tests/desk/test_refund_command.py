"""``lae subscriptions refund``, run as operators run it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
try:
    from operator_daemon import id_of
    from test_commands import Daemon, own, shared  # noqa: F401  (fixtures)
finally:
    sys.path.pop(0)

ACTIVE, STUCK = id_of(0), id_of(1)
REFUND = ("subscriptions", "refund", "--reason", "the outage")
WHOLE = "USD 9.00 of USD 9.00, charged 2026-11-01 12:00:00 UTC, back to"


def test_dry_run(shared) -> None:
    """It says what would go back of what was charged, to whom, and changes nothing."""
    before = shared.json("subscriptions", "show", ACTIVE)
    told = shared.lae(*REFUND, "--dry-run", ACTIVE)
    assert (told.code, told.err) == (0, "")
    assert told.out == f"Would give {WHOLE} {ACTIVE} (active, ann@example.org).\n"
    told = shared.lae(*REFUND, "--dry-run", "--amount", "4.50", ACTIVE, STUCK)
    first, second = told.out.splitlines()
    assert first == (
        f"Would give USD 4.50 of{WHOLE[11:]} {ACTIVE} (active, ann@example.org)."
    )
    assert second == (
        f"Would give nothing back to {STUCK} (paid, o'neil+x&co@exämple.org): It was"
        " never charged."
    )
    assert shared.json("subscriptions", "show", ACTIVE) == before


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("9.01", "USD 9.01 cannot be given back: USD 9.00, charged 2026-11-01"),
        ("0", "USD 0.00 cannot be given back"),
        ("-4", "is no amount such as 4.50"),
        ("much", "is no amount such as 4.50"),
    ],
)
def test_wrong_amounts(shared, amount, said) -> None:
    """An amount that cannot be given back, and what is none, are said so in one line."""
    told = shared.lae(*REFUND, "--yes", f"--amount={amount}", ACTIVE)
    assert told.code in {1, 2}
    assert said in told.err
    assert told.out == ""


def test_refund(own: Daemon) -> None:
    """What was agreed to is journaled, is seen in all lists, and is not asked twice;
    those that cannot be refunded keep no other.
    """
    told = own.lae(*REFUND, "--yes", "--amount", "4.50", STUCK, ACTIVE)
    assert told.code == 1
    assert told.out == f"USD 4.50 goes back to {ACTIVE}.\n"
    assert told.err == f"{STUCK}: It was never charged.\n"
    shown = own.json("subscriptions", "show", ACTIVE)["signup"]
    (effect,) = shown["effects"]
    assert (effect["purpose"], effect["state"]) == ("goodwill", "begun")
    event = own.json("events", ACTIVE)["events"][-1]
    assert (event["kind"], event["who"]) == ("refund-wished", "operator ann")
    assert event["why"] == "USD 4.50: the outage"
    (listed,) = own.json("effects", "list", "--signup", ACTIVE)["effects"]
    request = own.json("effects", "show", str(listed["number"]))["effect"]["request"]
    assert '"amount":450' in request.replace(" ", "")
    again = own.lae(*REFUND, "--yes", ACTIVE)
    assert again.code == 1
    assert "another refund is on its way" in again.err


def test_refund_as_json(own: Daemon) -> None:
    """Programs are told the amount in the smallest unit."""
    told = own.json(*REFUND, "--yes", ACTIVE)
    assert told == {
        "signup_id": ACTIVE,
        "state": "active",
        "amount": 900,
        "currency": "usd",
        "done": True,
    }
