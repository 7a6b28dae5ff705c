"""What a customer may wish, beside paying: another mail, address or browser; an end."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from math import ceil

from twisted.logger import Logger

from lae_flapp.desk.view import NOT_YOURS
from lae_flapp.journal import contacts, events, outbox, signups, switches
from lae_flapp.journal.contacts import Contact
from lae_flapp.journal.errors import AddressConfirmed, StateChanged
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.secrets import same_hash
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.life import ending
from lae_flapp.life.links import Links, Purpose
from lae_flapp.mail import confirming
from lae_protocol.address import Address, AddressRefused, parse_address
from lae_protocol.ids import SIGNUP_ID, OwnerSecret, SignupId
from lae_protocol.messages import OWNED, Doors, MailedLink, Plan, Refused
from lae_protocol.plan_words import span_in_words
from lae_protocol.process.answer import Refusal

#: A mail is sent again at most so often: the address may be somebody else's.
BETWEEN_MAILS = timedelta(minutes=2)
#: An address is corrected at most so often in a day: each may be a stranger's.
CORRECTIONS_A_DAY = 5
#: A corrected address is asked at most so often in a day whether it is the customer's,
#: and anybody may have so many links mailed that log a browser in.
LETTERS_A_DAY = 5
_DAY = timedelta(days=1)


_BAD_LINK = Refused("unknown-signup", "This link is not (or no longer) good for that.")
_NOTHING_OWNED = Refused("not-now", "There is nothing to see of it for its owner.")
_CONFIRM_FIRST = Refused(
    "not-now",
    "The email address of this subscription was corrected. Please open the link that we"
    " mailed there first, and confirm it.",
)
_NOT_YET = Refused("not-now", "The mail is sent when your storage is ready.")


def _find_linked(
    tx: ReadTx, signup_id: SignupId
) -> tuple[Signup | None, Contact | None, datetime]:
    """The signup, and the email address that its links are bound to; and the time."""
    return signups.find(tx, signup_id), contacts.find(tx, signup_id), tx.now


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


def _raise_if_corrected_too_often(tx: ReadTx, signup_id: SignupId) -> None:
    """Refuse where strangers might get mail after mail: a pause after each one that the
    owner had us send, and a cap for each day.
    """
    asked = [m.queued_at for m in outbox.of(tx, signup_id) if m.kind == "confirm"]
    resent = events.last_at(tx, signup_id, "mail-resent")
    latest = max([*asked, *([] if resent is None else [resent])], default=None)
    if latest is not None and tx.now < latest + BETWEEN_MAILS:
        again = span_in_words(ceil((latest + BETWEEN_MAILS - tx.now).total_seconds()))
        said = f"A mail was sent a moment ago. You can correct the address in {again}."
        raise Refusal(Refused("not-now", said, "email"))
    made = events.count_since(tx, signup_id, "address-corrected", tx.now - _DAY)
    if made >= CORRECTIONS_A_DAY:
        said = (
            f"The address was corrected {CORRECTIONS_A_DAY} times within a day. Please"
            " try again tomorrow, or write to us."
        )
        raise Refusal(Refused("not-now", said, "email"))


def _raise_if_asked_too_often(tx: ReadTx, contact: Contact) -> None:
    """Refuse to ask an address again that may be a stranger's, who does not answer."""
    letters = confirming.asked(tx, contact)
    if sum(m.queued_at > tx.now - _DAY for m in letters) >= LETTERS_A_DAY:
        said = (
            f"We wrote {LETTERS_A_DAY} times to this address within a day. If nothing"
            " arrives, not in the spam folder either, correct the address."
        )
        raise Refusal(Refused("not-now", said))


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
        """Use another address, once whoever reads its mail has confirmed it."""
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
        signup, _ = await self._open_link(link, purpose)
        return signup

    async def confirm_address(self, link: MailedLink) -> None:
        """The reader of a corrected address says that it is theirs: send what waits."""
        # Of this address alone: it may be corrected once more just now.
        _, contact = await self._open_link(link, "confirm")
        await self._journal.write(confirming.confirm, contact)

    async def mail_log_in(self, signup_id: SignupId, request_id: str) -> None:
        """Queue a link for the owner that makes one browser theirs."""
        await self._journal.write(self._log_in_mailed, signup_id, request_id)

    async def log_in(self, link: MailedLink, secret: OwnerSecret) -> None:
        """Whoever has the link is the owner from now on, by this secret alone."""
        if not SIGNUP_ID.match(link.signup_id) or not secret.is_long_enough():
            raise Refusal(_BAD_LINK)
        await self._journal.write(self._logged_in, link, secret)

    async def _open_link(
        self, link: MailedLink, purpose: Purpose
    ) -> tuple[Signup, Contact]:
        if not SIGNUP_ID.match(link.signup_id):
            raise Refusal(_BAD_LINK)
        signup, contact, now = await self._journal.read(_find_linked, link.signup_id)
        if signup is None or contact is None:
            raise Refusal(_BAD_LINK)
        if not self._links.holds(signup, purpose, contact.number, link.token, now):
            raise Refusal(_BAD_LINK)
        return signup, contact

    def _resent(self, tx: WriteTx, signup_id: SignupId, request_id: str) -> None:
        contact = contacts.current(tx, signup_id)
        self._raise_if_just_mailed(tx, signup_id)
        if contact.awaits_confirmation:
            _raise_if_asked_too_often(tx, contact)
            confirming.ask(tx, signup_id, request_id)
        elif signups.get(tx, signup_id).state in {"active", "past-due"}:
            outbox.put(tx, signup_id, "active", request_id)
        else:
            raise Refusal(_NOT_YET)
        events.tell(tx, signup_id, "mail-resent", "owner")

    def _corrected(
        self, tx: WriteTx, signup_id: SignupId, address: Address, request_id: str
    ) -> None:
        known = contacts.current(tx, signup_id)
        if (known.typed, known.smtp) == (address.as_typed, address.for_smtp):
            return
        _raise_if_corrected_too_often(tx, signup_id)
        confirming.correct(tx, signup_id, address, request_id)

    def _log_in_mailed(self, tx: WriteTx, signup_id: SignupId, request_id: str) -> None:
        contact = contacts.find(tx, signup_id)
        if contact is None:
            raise Refusal(NOT_YOURS)
        if signups.get(tx, signup_id).state not in OWNED:
            raise Refusal(_NOTHING_OWNED)
        if contact.awaits_confirmation:
            raise Refusal(_CONFIRM_FIRST)
        self._raise_if_just_mailed(tx, signup_id)
        letters = [m for m in outbox.of(tx, signup_id) if m.kind == "log-in"]
        if sum(m.queued_at > tx.now - _DAY for m in letters) >= LETTERS_A_DAY:
            said = (
                f"We mailed {LETTERS_A_DAY} links within a day. Please use the newest,"
                " try again tomorrow, or write to us."
            )
            raise Refusal(Refused("not-now", said))
        outbox.put(tx, signup_id, "log-in", request_id)
        events.note(tx, signup_id, "log-in-asked", "visitor")

    def _logged_in(self, tx: WriteTx, link: MailedLink, secret: OwnerSecret) -> None:
        # In one transaction: of two browsers with one link, one is the owner's.
        signup, contact, now = _find_linked(tx, link.signup_id)
        if signup is None or contact is None or signup.state not in OWNED:
            raise Refusal(_BAD_LINK)
        if same_hash(signup.owner_hash, secret.hashed()):
            # The same form, sent twice: its link was used by the first one.
            return
        if not self._links.holds(signup, "log-in", contact.number, link.token, now):
            raise Refusal(_BAD_LINK)
        signups.log_in(tx, signup.signup_id, secret, "owner")

    @staticmethod
    def _raise_if_just_mailed(tx: ReadTx, signup_id: SignupId) -> None:
        latest = max((m.queued_at for m in outbox.of(tx, signup_id)), default=None)
        if latest is None:
            return
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
