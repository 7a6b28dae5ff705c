"""What a customer may wish, beside paying: another mail, another address, an end."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import timedelta
from math import ceil

from twisted.logger import Logger

from lae_flapp.journal import contacts, events, outbox, signups, switches
from lae_flapp.journal.errors import AddressConfirmed, StateChanged
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.life import ending
from lae_flapp.life.links import Links, Purpose
from lae_protocol.address import Address, AddressRefused, parse_address
from lae_protocol.ids import SIGNUP_ID, SignupId
from lae_protocol.messages import Doors, MailedLink, Plan, Refused
from lae_protocol.plan_words import span_in_words
from lae_protocol.process.answer import Refusal

#: A mail is sent again at most so often: the address may be somebody else's.
BETWEEN_MAILS = timedelta(minutes=2)
#: An address is corrected at most so often in a day: each may be a stranger's.
CORRECTIONS_A_DAY = 5
_DAY = timedelta(days=1)


_BAD_LINK = Refused("unknown-signup", "This link is not (or no longer) good for that.")


def _find_linked(tx: ReadTx, signup_id: SignupId) -> tuple[Signup | None, int]:
    """The signup, and the number of the email address that its links are bound to."""
    contact = contacts.find(tx, signup_id)
    return signups.find(tx, signup_id), 0 if contact is None else contact.number


def paused_in_words(pause: switches.Pause) -> str:
    """What a visitor reads of a pause of signups."""
    return f"We take no new signups at the moment: {pause.why.rstrip('.')}."


def slower(paused: AbstractSet[str]) -> str | None:
    """What a visitor should know before paying, while something else is paused."""
    if "launches" in paused:
        return (
            "Storage that is ordered now is built later than usual: we have paused"
            " launching servers for the moment."
        )
    if "mails" in paused:
        return "Our mails come later than usual at the moment."
    return None


def _raise_if_corrected_too_often(
    tx: ReadTx, signup_id: SignupId, *, mailed: bool
) -> None:
    """Refuse where strangers might get mail after mail: a pause after each one that the
    owner had us send, once there is something to mail, and a cap for each day.
    """
    given = [c.since for c in contacts.history(tx, signup_id)][1:]
    asked = (
        events.last_at(tx, signup_id, "address-corrected"),
        events.last_at(tx, signup_id, "mail-resent"),
    )
    latest = max((at for at in asked if at is not None), default=None)
    if mailed and latest is not None and tx.now < latest + BETWEEN_MAILS:
        again = span_in_words(ceil((latest + BETWEEN_MAILS - tx.now).total_seconds()))
        said = f"A mail was sent a moment ago. You can correct the address in {again}."
        raise Refusal(Refused("not-now", said, "email"))
    if sum(at > tx.now - _DAY for at in given) >= CORRECTIONS_A_DAY:
        said = (
            f"The address was corrected {CORRECTIONS_A_DAY} times within a day. Please"
            " try again tomorrow, or write to us."
        )
        raise Refusal(Refused("not-now", said, "email"))


class Wishes:
    """Journals wishes; the outbox and the worker carry them out.

    *ready_for_business* says why no registrations can be taken, or None.
    """

    _log = Logger()

    def __init__(
        self,
        journal: Journal,
        *,
        plans: tuple[Plan, ...],
        environment: str,
        ready_for_business: Callable[[], str | None],
        links: Links,
    ) -> None:
        self._journal, self._plans, self._environment = journal, plans, environment
        self._ready_for_business = ready_for_business
        self._links = links

    async def doors(self) -> Doors:
        """What the site asks before it shows a form."""
        paused = {p.name: p for p in await self._journal.read(switches.every)}
        closed = self._ready_for_business()
        if "signups" in paused:
            closed = paused_in_words(paused["signups"])
        said = closed or slower(frozenset(paused))
        return Doors(closed is None, said, self._plans, self._environment)

    async def resend(self, signup_id: SignupId, request_id: str) -> None:
        """Queue one more mail with the furl, if the last is some minutes old."""
        await self._journal.write(self._resent, signup_id, request_id)

    async def correct_address(
        self, signup_id: SignupId, text: str, request_id: str
    ) -> None:
        """Use another address, and send it what the old one was sent."""
        try:
            address = parse_address(text)
        except AddressRefused as e:
            raise Refusal(Refused("bad-address", str(e), "email")) from None
        try:
            await self._journal.write(self._corrected, signup_id, address, request_id)
        except AddressConfirmed:
            raise Refusal(
                Refused("confirmed", "This address is confirmed; please write to us.")
            ) from None

    async def cancel(self, signup_id: SignupId) -> None:
        """End it: at once where nothing is paid, else with the paid period."""
        await self._journal.write(self._cancelled, signup_id)

    async def stay(self, signup_id: SignupId) -> None:
        """Take a cancellation back."""
        await self._journal.write(self._stayed, signup_id)

    async def by_link(self, link: MailedLink, purpose: Purpose) -> Signup:
        """The signup that a mailed link is of; the same refusal for any other."""
        if not SIGNUP_ID.match(link.signup_id):
            raise Refusal(_BAD_LINK)
        signup, contact = await self._journal.read(_find_linked, link.signup_id)
        if signup is None or not self._links.holds(
            signup, purpose, contact, link.token
        ):
            raise Refusal(_BAD_LINK)
        return signup

    def _resent(self, tx: WriteTx, signup_id: SignupId, request_id: str) -> None:
        self._may_mail(tx, signup_id)
        outbox.put(tx, signup_id, "active", request_id)
        events.tell(tx, signup_id, "mail-resent", "owner")

    def _corrected(
        self, tx: WriteTx, signup_id: SignupId, address: Address, request_id: str
    ) -> None:
        known = contacts.current(tx, signup_id)
        mails = [m for m in outbox.of(tx, signup_id) if m.kind == "active"]
        if (known.typed, known.smtp) == (address.as_typed, address.for_smtp):
            return
        _raise_if_corrected_too_often(tx, signup_id, mailed=bool(mails))
        contacts.correct(tx, signup_id, address.as_typed, address.for_smtp)
        events.tell(tx, signup_id, "address-corrected", "owner")
        # A mail that waits goes to the address of the time when it is sent.
        if mails and all(m.state != "waiting" for m in mails):
            outbox.put(tx, signup_id, "active", request_id)

    @staticmethod
    def _may_mail(tx: ReadTx, signup_id: SignupId) -> None:
        if signups.get(tx, signup_id).state not in {"active", "past-due"}:
            raise Refusal(
                Refused("not-now", "The mail is sent when your storage is ready.")
            )
        latest = max(m.queued_at for m in outbox.of(tx, signup_id))
        wait = (latest + BETWEEN_MAILS - tx.now).total_seconds()
        if wait > 0:
            again = span_in_words(ceil(wait))
            raise Refusal(
                Refused(
                    "not-now",
                    "A mail was sent a moment ago. You can have it sent again in"
                    f" {again}.",
                )
            )

    def _cancelled(self, tx: WriteTx, signup_id: SignupId) -> None:
        try:
            ending.cancel(tx, signup_id, "owner", "the owner's wish")
        except StateChanged:
            raise Refusal(
                Refused(
                    "not-now",
                    "A payment page is open for this order. It ends by itself within"
                    " half an hour, and then nothing was charged.",
                )
            ) from None

    @staticmethod
    def _stayed(tx: WriteTx, signup_id: SignupId) -> None:
        try:
            ending.stay(tx, signup_id, "owner", "the owner's wish")
        except StateChanged:
            raise Refusal(
                Refused("not-now", "This subscription has ended; subscribe again.")
            ) from None
