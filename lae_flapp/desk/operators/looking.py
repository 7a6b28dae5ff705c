"""Single things that operators look at: a signup, an effect, a console, the events."""

from __future__ import annotations

from attrs import define
from twisted.internet.defer import CancelledError

from lae_flapp.desk.operators.asked import Asker, known, line_of
from lae_flapp.desk.operators.lists import effect_line
from lae_flapp.desk.usage_view import MONTH, usage_of
from lae_flapp.journal import effects, events, hosts, signups
from lae_flapp.journal.errors import JournalClosed
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.looking_messages import (
    EffectRow,
    EventPage,
    EventRow,
    EventsSince,
    ShowSignup,
    SignupDetail,
)
from lae_protocol.messages import Refused
from lae_protocol.operator_messages import (
    AskConsole,
    Console,
    EffectWhole,
    ShowEffect,
)
from lae_protocol.process.answer import Refusal
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.process.redaction import redact
from lae_provision.errors import ProvisionError

#: The longest wait for an event.
LONGEST_WAIT = 20  # s
#: Characters of a console, from its end: an answer is at most 256 KB of UTF-8 JSON.
MOST_OF_A_CONSOLE = 40_000
#: Bytes of a request that are shown.
MOST_OF_A_REQUEST = 40_000


async def show_signup(by: Asker, asked: ShowSignup) -> SignupDetail:
    """Everything about one signup."""

    def detail(tx: ReadTx) -> SignupDetail:
        signup_id = asked.signup_id
        return SignupDetail(
            known(tx, signup_id),
            signups.get(tx, signup_id).agreement.plan,
            tuple(
                line_of(EffectRow, e, e.key, at=e.begun_at)
                for e in effects.of(tx, signup_id)
            ),
            tuple(line_of(EventRow, e) for e in events.since(tx, signup_id, 0)),
            usage_of(tx, signup_id, MONTH),
        )

    return await by.read(detail)


async def events_since(by: Asker, asked: EventsSince) -> EventPage:
    """The event log after a number; waits for more if asked to."""

    def told(tx: ReadTx) -> EventPage:
        if asked.signup_id is not None:
            known(tx, asked.signup_id)
        rows = events.since(tx, asked.signup_id, asked.since)
        last = rows[-1].number if rows else asked.since
        return EventPage(tuple(line_of(EventRow, e) for e in rows), last)

    page = await by.read(told)
    if page.events or asked.patience <= 0:
        return page
    waiting = by.desk.journal.watch(asked.signup_id, asked.since)
    patience = min(asked.patience, LONGEST_WAIT)
    try:
        await with_deadline(by.desk.clock, patience, "events", waiting)
    except (DeadlinePassed, CancelledError, JournalClosed):
        return page
    return await by.read(told)


async def show_effect(by: Asker, asked: ShowEffect) -> EffectWhole:
    """One effect, with its request unless that is sealed."""

    def whole(tx: ReadTx) -> EffectWhole:
        effect = effects.get(tx, asked.number)
        request = effect.request or b""
        shown = None
        if effect.request is not None and not effect.sealed:
            shown = redact(request[:MOST_OF_A_REQUEST].decode("utf-8", "replace"))
        return EffectWhole(
            effect_line(effect), effect.token, effect.sealed, len(request), shown
        )

    return await by.read(whole)


@define(frozen=True)
class _Machine:
    instance_id: str


async def console(by: Asker, asked: AskConsole) -> Console | Refused:
    """What the live host wrote, as the cloud has it; without secrets."""

    def machine(tx: ReadTx) -> _Machine:
        known(tx, asked.signup_id)
        host = hosts.live(tx, asked.signup_id)
        if host is None or host.instance_id is None:
            raise Refusal(Refused("unknown", "It has no host now."))
        return _Machine(host.instance_id)

    instance_id = (await by.read(machine)).instance_id
    shop = by.desk.shop
    try:
        output = await shop.hosts.console(instance_id)
    except (ProvisionError, DeadlinePassed) as e:
        said = f"The cloud does not tell the console of {instance_id}: {e}"
        return Refused("no-answer", redact(said))
    if output is None:
        said = f"The cloud knows no instance {instance_id} (any more)."
        return Refused("unknown", said)
    text = redact(output.text)
    shown = text[-MOST_OF_A_CONSOLE:]
    return Console(instance_id, shown or None, output.at, len(shown) < len(text))
