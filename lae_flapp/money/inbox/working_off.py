"""What follows from an event: fetch what it is about, and settle or journal that.

What the event itself says is never believed: it may be old, repeated or out of order.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import assert_never

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lae_flapp.journal import inbox
from lae_flapp.journal.errors import JournalError
from lae_flapp.journal.inbox import InboxEvent
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.life.looking import Outcome as Looked
from lae_flapp.life.looking import Subscriptions
from lae_flapp.money.checkout.settlement import Outcome, Settlement
from lae_flapp.money.inbox.joined import JoinedWork
from lae_flapp.queue import Queue
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.process.retry import pause
from lae_protocol.stripe_hints import SUBJECTS, Subject
from lae_provision.errors import ProvisionError, TryLater

RETRY_AFTER = 1.0  # s at most after the first failure; it doubles
RETRY_AT_MOST = 300.0  # s
#: Who learnt what an event told, in the journal's events.
WHO = "webhook"
#: Seconds after each try of an event whose signup the journal does not know, the last
#: for ever.  Another event may be about to have the signup adopted; then a person must.
UNKNOWN_AGAIN = (10, 60, 600, 3600)
EVENTS_AT_ONCE = 8
#: What is fetched for events at the same time.  Stripe is asked by eight threads: the
#: others are for customers, who wait.
FETCHES_AT_ONCE = 3


class InboxWork:
    """Works off one event."""

    _log = Logger()

    def __init__(
        self,
        journal: Journal,
        settlement: Settlement,
        subscriptions: Subscriptions,
        rng: Random,
    ) -> None:
        self._journal, self._rng = journal, rng
        self._settlement, self._subscriptions = settlement, subscriptions
        self._fetches: JoinedWork[Outcome | Looked] = JoinedWork(FETCHES_AT_ONCE)

    def queue(self, clock: IReactorTime) -> Queue[InboxEvent]:
        """Make what takes the rows that are due."""
        return Queue(
            "inbox",
            clock,
            self._journal,
            due=inbox.due,
            next_due_at=inbox.next_due_at,
            number_of=lambda event: event.event_id,
            work=self,
            at_once=EVENTS_AT_ONCE,
        )

    async def __call__(self, event: InboxEvent) -> None:
        """Settle what the event is about; put the event off where that fails now."""
        try:
            outcome = await self._follow(event.kind, event.object_id)
        except (ProvisionError, DeadlinePassed) as e:
            if not isinstance(e, (TryLater, DeadlinePassed)):
                self._log.error("{event}: {why}", event=event.event_id, why=str(e))
            await self._journal.write(self._put_off, event, str(e))
            return
        except JournalError:
            raise
        except Exception as e:  # noqa: BLE001  (a fault of ours, met by this one event)
            self._log.failure("{event} cannot be settled", event=event.event_id)
            why = f"cannot be settled: {type(e).__name__}"
            await self._journal.write(self._put_off, event, why)
            return
        await self._record(event, outcome)

    async def _record(
        self, event: InboxEvent, outcome: Outcome | Looked | None
    ) -> None:
        match outcome:
            case None:
                await self._ignore(event, f"nothing follows from {event.kind}")
            case "foreign":
                await self._ignore(event, "of another deployment")
            case "untrue":
                what = event.object_id
                await self._ignore(event, f"Stripe shows nothing of the kind of {what}")
            case "unknown":
                await self._journal.write(self._wait_for_adoption, event)
            case "kept" | "surplus" | "unpaid" | "expired":
                await self._journal.write(inbox.done, event.event_id)
            case "history" | "missing" | "learnt":
                await self._journal.write(inbox.done, event.event_id)
            case _:
                assert_never(outcome)

    async def _ignore(self, event: InboxEvent, why: str) -> None:
        await self._journal.write(inbox.ignore, event.event_id, why)

    async def _follow(
        self, kind: str, object_id: str | None
    ) -> Outcome | Looked | None:
        """Fetch the object once for all events of it that wait."""
        subject = SUBJECTS.get(kind)
        if subject is None or object_id is None:
            return None

        async def fetch() -> Outcome | Looked:
            return await self._settle(subject, object_id)

        return await self._fetches.run((subject, object_id), fetch)

    async def _settle(self, subject: Subject, object_id: str) -> Outcome | Looked:
        match subject:
            case "session":
                return await self._settlement.settle(object_id, WHO)
            case "subscription":
                return await self._look(object_id)
            case "charge":
                return await self._subscriptions.report_chargeback(object_id)
            case "refund":
                return await self._subscriptions.report_failed_refund(object_id)
            case _:
                assert_never(subject)

    async def _look(self, subscription: str) -> Looked:
        """Look at the subscription.  The event of its end may overtake that of its
        payment: then the payment is settled first.
        """
        looked = await self._subscriptions.look(subscription, WHO)
        if looked != "unpaid":
            return looked
        signup_id = await self._subscriptions.owner_of(subscription)
        if signup_id is not None:
            await self._settlement.settle_open_ones(signup_id, WHO)
        return await self._subscriptions.look(subscription, WHO)

    def _put_off(self, tx: WriteTx, event: InboxEvent, why: str) -> None:
        seconds = pause(event.attempts, self._rng, RETRY_AFTER, RETRY_AT_MOST)
        inbox.put_off(tx, event.event_id, why, tx.now + timedelta(seconds=seconds))

    @staticmethod
    def _wait_for_adoption(tx: WriteTx, event: InboxEvent) -> None:
        seconds = UNKNOWN_AGAIN[min(event.attempts, len(UNKNOWN_AGAIN) - 1)]
        until = tx.now + timedelta(seconds=seconds)
        inbox.put_off(tx, event.event_id, inbox.UNKNOWN, until)
