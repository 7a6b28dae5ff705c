"""A rollout, carried on from time to time.

Everything that is decided is in the journal, and each turn is one commit: a daemon that
dies anywhere goes on from there.  Hosts are told in the answers to their reports
(:meth:`lae_flapp.desk.hosts.HostFacet.answer`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from attrs import Factory, define
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from lae_flapp.journal import rollout_hosts, rollouts
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.rollouts import RolloutRow
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.rollout.deciding import decide
from lae_flapp.rollout.seeing import see
from lae_flapp.rollout.states import (
    Action,
    MarkHost,
    MoveRollout,
    RolloutBounds,
    TellHost,
    TryClient,
)
from lae_protocol.ids import Generation, SignupId
from lae_protocol.process.crash import crash_point, declare

WHO = "daemon"

TRIED = declare("rollout.tried", "a client tried a host; nothing is journaled of it")
TURNED = declare("rollout.turned", "a turn of a rollout is journaled")


@define(eq=False)
class RolloutWorker:
    """Carries on the rollout that is open, if one is.

    *client_fails* has a client use a customer's storage, and says what it could not do.
    """

    journal: Journal
    client_fails: Callable[[SignupId], Awaitable[str | None]]
    bounds: RolloutBounds = Factory(RolloutBounds)

    _log = Logger()

    async def look(self) -> None:
        """1. decide; 2. have clients try the hosts that need it; 3. decide again in a
        transaction that does what is decided.
        """
        found = await self.journal.read(self._decide, {})
        if not found:
            return
        tried = await self._try([one for one in found if isinstance(one, TryClient)])
        if tried or any(not isinstance(one, TryClient) for one in found):
            for said in await self.journal.write(self._turn, tried):
                self._log.info("rollout: {said}", said=said)
            crash_point(TURNED)

    def _decide(
        self, tx: ReadTx, tried: Mapping[str, str | None]
    ) -> tuple[Action, ...]:
        rollout = rollouts.newest_open(tx)
        return () if rollout is None else decide(see(tx, rollout), tried, self.bounds)

    async def _try(self, asked: Sequence[TryClient]) -> dict[str, str | None]:
        """How the clients fared, by signup."""
        tries = [Deferred.fromCoroutine(self._try_one(one)) for one in asked]
        answers = await gatherResults(tries, consumeErrors=True)
        if tries:
            crash_point(TRIED)
        return {
            one.signup_id: failed for one, failed in zip(asked, answers, strict=True)
        }

    async def _try_one(self, asked: TryClient) -> str | None:
        failed = await self.client_fails(SignupId(asked.signup_id))
        if failed is not None:
            self._log.warn(
                "rollout: {signup_id}: {said}", signup_id=asked.signup_id, said=failed
            )
        return failed

    def _turn(self, tx: WriteTx, tried: Mapping[str, str | None]) -> tuple[str, ...]:
        rollout = rollouts.newest_open(tx)
        if rollout is None:
            return ()
        actions = decide(see(tx, rollout), tried, self.bounds)
        said = (_do(tx, rollout, action) for action in actions)
        return tuple(one for one in said if one is not None)


def _do(tx: WriteTx, rollout: RolloutRow, action: Action) -> str | None:
    """Journal one thing that was decided; what to say of it."""
    match action:
        case TellHost(signup_id, generation, step, before):
            rollout_hosts.tell(
                tx,
                rollout.number,
                SignupId(signup_id),
                Generation(generation),
                step=step,
                before=before,
            )
            return f"step {step}: {signup_id} is told the program"
        case MarkHost(signup_id, generation, outcome, what):
            rollout_hosts.mark(
                tx,
                rollout.number,
                SignupId(signup_id),
                Generation(generation),
                outcome=outcome,
                what=what,
            )
            return f"{signup_id} is {outcome}" + ("" if what is None else f": {what}")
        case MoveRollout(state, why):
            rollouts.move(tx, rollout.number, {rollout.state}, state, who=WHO, why=why)
            return f"{state}: {why}"
        case TryClient():
            return None
