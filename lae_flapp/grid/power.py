"""A host that is not paid for is shut down, and started again when it is."""

from __future__ import annotations

from typing import Literal

from lae_flapp.grid import crashes
from lae_flapp.grid.record import Record
from lae_flapp.grid.sights import Glance, StepName
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import effects, hosts
from lae_flapp.journal.effects import Effect
from lae_flapp.journal.hosts import HostState
from lae_flapp.journal.transaction import WriteTx
from lae_protocol.process.crash import crash_point
from lae_provision.doors import Host
from lae_provision.errors import Refused

assert crashes.OUTSIDE, "the crash points are declared"

Verb = Literal["stop", "start"]
#: What the host's row becomes.  One that was started proves itself again.
_BECOMES: dict[Verb, HostState] = {"stop": "stopped", "start": "claimed"}


async def switch(shop: Workshop, verb: Verb, record: Record, glance: Glance) -> None:
    """Journal it, do it, journal that it is done.  Raises what the door raises."""
    assert isinstance(glance.what, Host)
    instance_id = glance.what.instance_id
    effect = await shop.journal.write(_begin, verb, record, instance_id)
    crash_point(f"signup.{verb}.before-call")
    door = shop.hosts.stop if verb == "stop" else shop.hosts.start
    try:
        await shop.outside(f"hosts.{verb}", lambda: door(instance_id))
    except Refused as e:
        await shop.journal.write(effects.fail, effect.number, e.code)
        raise
    crash_point(f"signup.{verb}.after-call")
    await shop.journal.write(_done, verb, record, effect)
    crash_point(f"signup.{verb}.after-outcome")


def _begin(tx: WriteTx, verb: Verb, record: Record, instance_id: str) -> Effect:
    upcoming = effects.upcoming(tx, record.key(StepName.HOST, verb))
    if isinstance(upcoming, Effect):
        return upcoming
    return effects.begin(tx, upcoming, instance_id.encode("ascii"))


def _done(tx: WriteTx, verb: Verb, record: Record, effect: Effect) -> None:
    effects.finish(tx, effect.number, _BECOMES[verb])
    signup_id, generation = record.signup.signup_id, record.generation
    state = hosts.get(tx, signup_id, generation).state
    if state != _BECOMES[verb]:
        hosts.move(tx, signup_id, generation, {state}, _BECOMES[verb])
