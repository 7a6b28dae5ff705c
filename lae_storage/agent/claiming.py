"""The first boot: the host claims its identity."""

from __future__ import annotations

from random import Random
from typing import assert_never

from attrs import define
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lae_protocol.host_messages import Claim, Claimed
from lae_protocol.messages import Refused
from lae_protocol.process.call import Facet, FacetError
from lae_protocol.process.retry import pause
from lae_storage.agent.instance import Instance

#: Seconds: for one claim; between two, first and at most; and after a refusal, which
#: only an operator can lift.
PATIENCE, FIRST_PAUSE, LONGEST_PAUSE, REFUSED_PAUSE = 15.0, 0.2, 10.0, 60.0

_log = Logger()


def make_claim(key: Ed25519PrivateKey, instance: Instance) -> Claim:
    """What the host says, signed with the key on its volume."""
    said = f"s4 claim v1\0{instance.instance_id}\0{instance.launch_time}".encode()
    return Claim(
        public_key=key.public_key().public_bytes_raw(),
        signature=key.sign(said),
        instance_id=instance.instance_id,
        launch_time=instance.launch_time,
        identity_document=instance.signed_document,
    )


@define(frozen=True)
class Claiming:
    """Asks until it has an answer: the same key gets the same answer again, so that
    neither a lost answer nor a daemon that is away for an hour does harm.
    """

    reactor: IReactorTime
    rng: Random
    bootstrap: Facet

    async def claim(self, claim: Claim) -> Claimed:
        """The identity, however long it takes."""
        attempt = 0
        while True:
            answer = await self._ask(claim)
            match answer:
                case Claimed():
                    return answer
                case Refused():
                    _log.error(
                        "the daemon refuses this host its identity: {code}",
                        code=answer.code,
                    )
                    wait = REFUSED_PAUSE
                case None:
                    wait = pause(attempt, self.rng, FIRST_PAUSE, LONGEST_PAUSE)
                case _:
                    assert_never(answer)
            attempt += 1
            await deferLater(self.reactor, wait)

    async def _ask(self, claim: Claim) -> Claimed | Refused | None:
        """One claim; None where trying again soon may help."""
        try:
            answer = await self.bootstrap.ask(claim, PATIENCE)
        except FacetError as e:
            _log.warn("no answer to the claim: {why}", why=str(e))
            return None
        if isinstance(answer, Refused) and answer.code == "try-later":
            return None
        return answer
