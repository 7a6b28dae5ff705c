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

CLAIM_TIMEOUT = 15.0  # s
#: Between two claims: the pause begins here and grows with each failure.
FIRST_PAUSE = 0.2  # s
LONGEST_PAUSE = 10.0  # s
#: After a refusal, which only an operator can lift.
REFUSED_PAUSE = 60.0  # s

_log = Logger()


def make_claim(key: Ed25519PrivateKey, instance: Instance) -> Claim:
    """Make the host's claim and sign it with the key on its volume."""
    signed = f"s4 claim v1\0{instance.instance_id}\0{instance.launch_time}".encode()
    return Claim(
        public_key=key.public_key().public_bytes_raw(),
        signature=key.sign(signed),
        instance_id=instance.instance_id,
        launch_time=instance.launch_time,
        identity_document=instance.signed_document,
    )


@define(frozen=True)
class Claiming:
    """Claims until the daemon answers.  The daemon gives the same key the same answer
    again, so a lost answer, or a daemon that is down for an hour, does no harm.
    """

    reactor: IReactorTime
    rng: Random
    bootstrap: Facet

    async def claim(self, claim: Claim) -> Claimed:
        """Return the identity, however long that takes."""
        attempt = 0
        while True:
            answer = await self._ask(claim)
            match answer:
                case Claimed():
                    return answer
                case Refused():
                    _log.error(
                        "the daemon refused this host's claim: {code}",
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
        """Claim once; None if another claim soon may succeed."""
        try:
            answer = await self.bootstrap.ask(claim, CLAIM_TIMEOUT)
        except FacetError as e:
            _log.warn("the daemon did not answer the claim: {why}", why=str(e))
            return None
        if isinstance(answer, Refused) and answer.code == "try-later":
            return None
        return answer
