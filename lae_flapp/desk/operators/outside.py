"""Hosts and effects: what was asked of the outside, and what stands there."""

from __future__ import annotations

from typing import Any, cast, get_args

from attrs import define

from lae_flapp.desk.operators.asked import Asked
from lae_flapp.journal import effects, hosts, listing
from lae_flapp.journal.effects import Effect, EffectState
from lae_flapp.journal.hosts import HostRow, HostState
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.ids import GridLabel
from lae_protocol.messages import VERSION, Refused
from lae_protocol.operator_messages import (
    AskConsole,
    Console,
    ConsoleAnswer,
    EffectAnswer,
    EffectLine,
    EffectPage,
    EffectsAnswer,
    EffectWhole,
    HostLine,
    HostPage,
    HostsAnswer,
    ListEffects,
    ListHosts,
    Numbered,
)
from lae_protocol.process.answer import Refusal, answers
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.process.redaction import redact
from lae_provision.errors import ProvisionError

#: Characters of a console, from its end: an answer is at most 256 KB of UTF-8 JSON.
MOST_OF_A_CONSOLE = 40_000
#: Bytes of a request that are shown.
MOST_OF_A_REQUEST = 40_000


def one_of(word: str | None, literal: Any) -> Any:
    """The word, if it is one of these; raises :class:`Refusal`."""
    if word is not None and word not in get_args(literal):
        known = ", ".join(get_args(literal))
        raise Refusal(
            Refused("malformed", f"There is no such state; there are: {known}.")
        )
    return word


@define(frozen=True)
class _Machine:
    instance_id: str


class OutsideFacet(Asked):
    """Reads the journal, and asks the cloud for a console."""

    @answers(VERSION, ListHosts, HostsAnswer)
    async def remote_list_hosts(self, asked: ListHosts, request_id: str) -> Any:
        """A page of hosts."""
        del request_id

        def page(tx: ReadTx) -> HostPage:
            state = cast("HostState | None", one_of(asked.state, HostState))
            rows, cursor = listing.host_page(
                tx, state=state, cursor=asked.cursor, limit=asked.limit
            )
            return HostPage(tuple(_host(*row) for row in rows), cursor)

        return await self._read(page)

    @answers(VERSION, AskConsole, ConsoleAnswer)
    async def remote_console(self, asked: AskConsole, request_id: str) -> Any:
        """What the live host wrote, as the cloud has it; without secrets."""
        del request_id

        def machine(tx: ReadTx) -> _Machine:
            self._known(tx, asked.signup_id)
            host = hosts.live(tx, asked.signup_id)
            if host is None or host.instance_id is None:
                raise Refusal(Refused("unknown", "It has no host now."))
            return _Machine(host.instance_id)

        instance_id = (await self._read(machine)).instance_id
        shop = self._desk.shop
        try:
            output = await shop.outside(
                "hosts.console", lambda: shop.hosts.console(instance_id)
            )
        except (ProvisionError, DeadlinePassed) as e:
            said = f"The cloud does not tell the console of {instance_id}: {e}"
            return Refused("no-answer", redact(said))
        if output is None:
            said = f"The cloud knows no instance {instance_id} (any more)."
            return Refused("unknown", said)
        text = redact(output.text)
        shown = text[-MOST_OF_A_CONSOLE:]
        return Console(instance_id, shown or None, output.at, len(shown) < len(text))

    @answers(VERSION, ListEffects, EffectsAnswer)
    async def remote_list_effects(self, asked: ListEffects, request_id: str) -> Any:
        """A page of effects."""
        del request_id

        def page(tx: ReadTx) -> EffectPage:
            if asked.signup_id is not None:
                self._known(tx, asked.signup_id)
            state = cast("EffectState | None", one_of(asked.state, EffectState))
            rows, cursor = effects.page(
                tx,
                signup_id=asked.signup_id,
                state=state,
                step=asked.step,
                cursor=asked.cursor,
                limit=asked.limit,
            )
            return EffectPage(tuple(map(_effect, rows)), cursor)

        return await self._read(page)

    @answers(VERSION, Numbered, EffectAnswer)
    async def remote_show_effect(self, asked: Numbered, request_id: str) -> Any:
        """One effect, with its request unless that is sealed."""
        del request_id

        def whole(tx: ReadTx) -> EffectWhole:
            effect = effects.get(tx, asked.number)
            request = effect.request or b""
            shown = None
            if effect.request is not None and not effect.sealed:
                shown = redact(request[:MOST_OF_A_REQUEST].decode("utf-8", "replace"))
            return EffectWhole(
                _effect(effect), effect.token, effect.sealed, len(request), shown
            )

        return await self._read(whole)


def _host(row: HostRow, label: GridLabel) -> HostLine:
    return HostLine(
        row.signup_id,
        row.generation,
        row.state,
        label,
        row.instance_id,
        row.address,
        row.launch_time,
        row.reported_at,
        row.changed_at,
        row.report,
    )


def _effect(effect: Effect) -> EffectLine:
    key = effect.key
    return EffectLine(
        effect.number,
        key.signup_id,
        key.generation,
        key.step,
        key.purpose,
        effect.attempt,
        effect.state,
        effect.outcome,
        effect.begun_at,
        effect.changed_at,
        effect.tries,
    )
