"""The twin and the real client keep the same contract."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.money.bench import StripeBench
from tests.money.suite import PaymentsContract
from tests.twins.payments import Account, MemoryPayments

REASONS = {
    "second-session": "duplicate",
    "unserved": "order_change",
    "goodwill": "product_unsatisfactory",
}


@define(eq=False)
class MemoryBench:
    """The twin on an account of its own."""

    account: Account = field(factory=Account)
    payments: MemoryPayments = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.payments = MemoryPayments(self.account, Clock())

    def pay(self, session_id: str) -> Deferred[Any]:
        """See :class:`Bench`."""
        return succeed(self.account.pay(session_id))

    def kept(self) -> dict[str, int]:
        """See :class:`Bench`."""
        return self.account.kept()

    def live(self) -> set[str]:
        """See :class:`Bench`."""
        return self.account.subscriptions

    def name_of(self, customer: str) -> str | None:
        """See :class:`Bench`."""
        return self.account.names.get(customer)

    def charge_of(self, customer: str) -> str:
        """See :class:`Bench`."""
        return customer.replace("cus_", "ch_")

    def dispute(self, charge: str) -> None:
        """See :class:`Bench`."""
        self.account.disputed.add(charge)

    def fail(self, refund: str) -> None:
        """See :class:`Bench`."""
        self.account.fail(refund)

    def refund_elsewhere(self, charge: str, amount: int) -> None:
        """See :class:`Bench`."""
        name = charge.replace("ch_", "sub_")
        before = self.account.refunded.get(name, 0)
        self.account.refunded[name] = before + amount

    def credited(self) -> list[tuple[str, int, str]]:
        """See :class:`Bench`."""
        return [
            (name, made.credited, REASONS[made.purpose])
            for name, made in self.account.refunds.items()
            if made.credited is not None
        ]

    def refuse_notes(self) -> None:
        """See :class:`Bench`."""
        self.account.notes_refused = "not-authorised: no right"


class MemoryTests(PaymentsContract, TestCase):
    def setUp(self) -> None:
        self.bench = MemoryBench()


class StripeTests(PaymentsContract, TestCase):
    def setUp(self) -> None:
        self.bench = StripeBench()
        self.bench.start()

    def tearDown(self) -> Any:
        return self.bench.stop()
