"""A signup as its owner, or anybody with its id, sees it."""

from __future__ import annotations

from lae_flapp.journal import contacts, events, outbox, sessions, signups
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.furl import Furl
from lae_protocol.ids import SignupId
from lae_protocol.messages import OwnerView, Progress, Refused, SignupView
from lae_protocol.process.answer import Refusal

#: The same for an id that does not exist and one that is somebody else's.
NOT_YOURS = Refused("unknown-signup", "There is no such signup.")


def nickname(signup: Signup) -> str:
    """Name the grid as clients show it: unique for each."""
    return f"S4 {signup.grid_label}"


def see(tx: ReadTx, signup_id: SignupId, since: int) -> SignupView:
    """What anybody sees; raises :class:`Refusal` for an unknown id."""
    signup = signups.find(tx, signup_id)
    if signup is None:
        raise Refusal(NOT_YOURS)
    told = events.since(tx, signup_id, since, public=True)
    return SignupView(
        signup_id=signup_id,
        state=signup.state,
        plan=signup.agreement.plan,
        joinable=signup.state == "active",
        last_number=told[-1].number if told else since,
        progress=tuple(Progress(e.number, e.kind, e.at) for e in told),
        owner=None,
    )


def see_owned(tx: ReadTx, signup_id: SignupId, furl: Furl | None) -> OwnerView:
    """What only the owner sees; the caller has checked the secret."""
    signup = signups.get(tx, signup_id)
    contact = contacts.find(tx, signup_id)
    open_urls = [s.url for s in sessions.of(tx, signup_id) if s.state == "open"]
    mails = outbox.of(tx, signup_id)
    return OwnerView(
        email=contact.typed if contact is not None else "",
        email_state=contact.state if contact is not None else "unconfirmed",
        introducer_furl=furl.reveal() if furl is not None else None,
        nickname=nickname(signup),
        checkout_url=open_urls[-1] if open_urls else None,
        mail_accepted=any(m.kind == "active" and m.state == "accepted" for m in mails),
    )
