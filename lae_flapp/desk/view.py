"""A signup as its owner, or anybody with its id, sees it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from attrs import evolve

from lae_flapp.desk.usage_view import usage_of
from lae_flapp.grid.requests import nickname
from lae_flapp.journal import (
    contacts,
    events,
    hosts,
    identities,
    lifecycles,
    outbox,
    sessions,
    signups,
)
from lae_flapp.journal.identities import Identity
from lae_flapp.journal.lifecycles import Lifecycle
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.ids import OwnerSecret, SignupId
from lae_protocol.messages import OwnerView, Progress, Refused, SignupView
from lae_protocol.process.answer import Refusal

#: The same for an id that does not exist and one that is somebody else's.
NOT_YOURS = Refused("unknown-signup", "There is no such signup.")


def see(tx: ReadTx, signup_id: SignupId, since: int) -> SignupView:
    """What anybody sees; raises :class:`Refusal` for an unknown id."""
    signup = signups.find(tx, signup_id)
    if signup is None:
        raise Refusal(NOT_YOURS)
    return _seen(tx, signup, since)


def see_as_owner(
    tx: ReadTx,
    signup_id: SignupId,
    secret: OwnerSecret,
    since: int,
    may_be_paid: Callable[[str], bool],
) -> tuple[SignupView, Identity | None]:
    """What its owner sees, but the furl; and the identity that the furl is sealed in.

    The page of a session that *may_be_paid* is offered to nobody.  Raises
    :class:`Refusal` for an unknown id, and for another's secret.
    """
    signup = signups.owned(tx, signup_id, secret)
    if signup is None:
        raise Refusal(NOT_YOURS)
    view = evolve(_seen(tx, signup, since), owner=_owners(tx, signup, may_be_paid))
    return view, identities.latest(tx, signup_id)


def _seen(tx: ReadTx, signup: Signup, since: int) -> SignupView:
    told = events.since(tx, signup.signup_id, since, public=True)
    host = hosts.live(tx, signup.signup_id)
    life = lifecycles.get(tx, signup.signup_id)
    contact = contacts.find(tx, signup.signup_id)
    up = host is not None and host.state == "ready"
    return SignupView(
        signup_id=signup.signup_id,
        state=signup.state,
        plan=signup.agreement.plan,
        joinable=signup.state in {"active", "past-due", "suspended"} and up,
        last_number=told[-1].number if told else since,
        progress=tuple(Progress(e.number, e.kind, e.at) for e in told),
        owner=None,
        ends_at=_ends_at(signup, life),
        kept_until=life.kept_until if signup.state in {"ending", "ended"} else None,
        awaits_payment=signup.state in {"paying", "ended"}
        and any(s.state == "open" for s in sessions.of(tx, signup.signup_id)),
        awaits_confirmation=contact is not None and contact.awaits_confirmation,
    )


def _ends_at(signup: Signup, life: Lifecycle) -> datetime | None:
    """When it ends, if that was decided, though Stripe may not know it yet."""
    if signup.state not in signups.SUBSCRIBED or life.wish != "leave":
        return None
    return life.ends_at or life.paid_until


def _owners(
    tx: ReadTx, signup: Signup, may_be_paid: Callable[[str], bool]
) -> OwnerView:
    signup_id = signup.signup_id
    contact = contacts.find(tx, signup_id)
    open_urls = [
        s.url
        for s in sessions.of(tx, signup_id)
        if s.state == "open" and not may_be_paid(s.session_id)
    ]
    mails = outbox.of(tx, signup_id)
    return OwnerView(
        email=contact.typed if contact is not None else "",
        email_state=contact.state if contact is not None else "unconfirmed",
        introducer_furl=None,
        nickname=nickname(signup),
        checkout_url=open_urls[-1] if open_urls else None,
        mail_accepted=any(m.kind == "active" and m.state == "accepted" for m in mails),
        usage=usage_of(tx, signup_id, most_days=0),
        furl_known_elsewhere=outbox.furl_went_elsewhere(tx, signup_id),
    )
