"""What an operator can do for one customer: each change is an event with their name."""

from __future__ import annotations

from lae_flapp.desk.operators import free
from lae_flapp.desk.operators.asked import Asker, known, reason
from lae_flapp.desk.view import see
from lae_flapp.grid import moves
from lae_flapp.journal import contacts, events, hosts, outbox, signups
from lae_flapp.journal.outbox import MailKind
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.life import asked_for
from lae_flapp.life.asked_for import AskedFor
from lae_flapp.mail import confirming
from lae_protocol.address import Address, AddressRefused, parse_address
from lae_protocol.ids import MalformedId, SignupId, parse_signup_id
from lae_protocol.messages import OWNED, Done, Refused, SignupState
from lae_protocol.operator_messages import (
    AskPlans,
    Cancel,
    DeleteData,
    GiveFree,
    LogOut,
    Plans,
    Reactivate,
    ReplaceHost,
    Resend,
    RetrySignup,
)
from lae_protocol.process.answer import Refusal


async def retry_signup(by: Asker, asked: RetrySignup) -> Done:
    """Try what is stuck now, not when its turn comes."""

    def noted(tx: WriteTx, who: str) -> Done:
        known(tx, asked.signup_id)
        signups.try_again(tx, asked.signup_id, who)
        return Done(see(tx, asked.signup_id, 0))

    return await by.write(noted)


async def resend_mail(by: Asker, asked: Resend) -> Done:
    """Mail the furl once more.  To another address, if one is given: from now on, and
    once its reader has confirmed it.
    """
    to = None if asked.email is None else _address(asked.email)

    def queued(tx: WriteTx, who: str) -> Done:
        known(tx, asked.signup_id)
        _resend(tx, by, asked, to, who)
        return Done(see(tx, asked.signup_id, 0))

    return await by.write(queued)


async def cancel_signup(by: Asker, asked: Cancel) -> Done:
    """End it: what that means depends on how far it is."""
    why, who = reason(asked.why), await by.who()

    await by.read(lambda tx: _raise_unless_seen(tx, asked.signup_id, asked.seen))
    await by.desk.cancel(asked.signup_id, who, why, asked.at_once)
    return Done(await by.read(lambda tx: see(tx, asked.signup_id, 0)))


async def reactivate_signup(by: Asker, asked: Reactivate) -> Done:
    """Take a cancellation back, or mail the owner of an ended one the way back."""
    return await _turn(by, asked, asked_for.reactivate)


async def delete_data(by: Asker, asked: DeleteData) -> Done:
    """Delete now what is kept of an ended one."""
    return await _turn(by, asked, asked_for.delete)


async def log_out(by: Asker, asked: LogOut) -> Done:
    """Let every browser forget whose it is; mailed links and the grid go on.  The owner
    gets a link for one browser, if the operator wants that.
    """
    why = reason(asked.why)

    def out(tx: WriteTx, who: str) -> Done:
        known(tx, asked.signup_id)
        signups.log_out(tx, asked.signup_id, who, why)
        if asked.mail_link:
            _queue_log_in(tx, asked.signup_id, by.request_id, who)
        return Done(see(tx, asked.signup_id, 0))

    return await by.write(out)


def _queue_log_in(tx: WriteTx, signup_id: SignupId, occasion: str, who: str) -> None:
    """To an address that is to be confirmed, it goes after that."""
    if signups.get(tx, signup_id).state not in OWNED:
        said = "There is nothing to log in to: leave out --mail-link."
        raise Refusal(Refused("not-now", said))
    outbox.put(tx, signup_id, "log-in", occasion)
    events.note(tx, signup_id, "log-in-asked", who)


async def replace_host(by: Asker, asked: ReplaceHost) -> Done:
    """Replace a host that is there: the next one has the same identity and furl."""
    why = reason(asked.why)

    def replaced(tx: WriteTx, who: str) -> Done:
        signup_id = asked.signup_id
        known(tx, signup_id)
        host = hosts.live(tx, signup_id)
        if host is None or host.instance_id != asked.seen:
            said = "Nothing changed: its host is another one by now. Look again."
            raise Refusal(Refused("changed", said))
        moves.replace_host(tx, signup_id, host.generation, who, why)
        return Done(see(tx, signup_id, 0))

    return await by.write(replaced)


async def plans(by: Asker, _: AskPlans) -> Plans:
    """What can be given."""
    await by.who()
    return Plans(by.desk.selling.plans)


async def give_free(by: Asker, asked: GiveFree) -> Done | Refused:
    """A subscription free of charge; the same again finds it."""
    why, to = reason(asked.why), _address(asked.email)
    try:
        parse_signup_id(asked.signup_id)
    except MalformedId:
        return Refused("malformed", "the signup id")
    selling = by.desk.selling

    def given(tx: WriteTx, who: str) -> Done:
        free.give(tx, selling, asked, to, who=who, why=why)
        return Done(see(tx, asked.signup_id, 0))

    return await by.write(given)


async def _turn(by: Asker, asked: Reactivate | DeleteData, work: AskedFor) -> Done:
    """Do it, if the operator saw what it is."""
    why = reason(asked.why)

    def turned(tx: WriteTx, who: str) -> Done:
        _raise_unless_seen(tx, asked.signup_id, asked.seen)
        work(tx, asked.signup_id, who, why)
        return Done(see(tx, asked.signup_id, 0))

    return await by.write(turned)


def _raise_unless_seen(tx: ReadTx, signup_id: SignupId, seen: SignupState) -> None:
    known(tx, signup_id)
    state = signups.get(tx, signup_id).state
    if state != seen:
        said = f"Nothing changed: it is {state} now, not {seen}."
        raise Refusal(Refused("changed", said))


def _resend(
    tx: WriteTx, by: Asker, asked: Resend, to: Address | None, who: str
) -> None:
    signup_id: SignupId = asked.signup_id
    known = contacts.current(tx, signup_id)
    if known.typed != asked.seen:
        said = "Nothing changed: the address is another one by now. Look again."
        raise Refusal(Refused("changed", said))
    if to is not None:
        confirming.correct(tx, signup_id, to, by.request_id, who=who)
    elif known.state == "bouncing":
        said = "Mail to this address is refused: give another with --to."
        raise Refusal(Refused("not-now", said))
    if _queue(tx, signup_id, by.request_id):
        events.tell(tx, signup_id, "mail-resent", who)
    elif to is None:
        said = "There is no mail to send yet: the storage is not ready."
        raise Refusal(Refused("not-now", said))


def _queue(tx: WriteTx, signup_id: SignupId, occasion: str) -> bool:
    """Queue the mail with the furl, or first the one that asks whether a corrected
    address is the customer's; False where it is too early for either.
    """
    asks = contacts.current(tx, signup_id).awaits_confirmation
    kind: MailKind = "confirm" if asks else "active"
    letters = [m for m in outbox.of(tx, signup_id) if m.kind == kind]
    if any(m.state == "waiting" for m in letters):
        # It goes to the address of the time when it is sent: now.
        return True
    if asks:
        confirming.ask(tx, signup_id, occasion)
        return True
    if signups.get(tx, signup_id).state not in {"active", "past-due"}:
        return False
    outbox.put(tx, signup_id, "active", occasion)
    return True


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressRefused as e:
        raise Refusal(Refused("bad-address", str(e), "email")) from None
