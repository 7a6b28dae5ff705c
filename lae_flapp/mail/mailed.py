"""Which mails about a cancellation were sent, kept where no backup of the journal lies.

A journal that was restored learns from Stripe once more that a subscription ends, and
puts the mail of it into the outbox again.  Such a mail's occasion is Stripe's (see
:data:`~lae_flapp.journal.outbox.STRIPES`), so the restored journal gives it the same
name; under that name the state bucket has what was sent.
"""

from __future__ import annotations

from attrs import define
from twisted.logger import Logger

from lae_flapp.journal import events
from lae_flapp.journal.hosts import RESTORED
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.outbox import STRIPES, Mail
from lae_protocol.process.deadline import DeadlinePassed
from lae_provision.doors import IVault, Sealed
from lae_provision.errors import ProvisionError


@define(frozen=True)
class Mailed:
    """Notes, and knows."""

    journal: Journal
    vault: IVault

    _log = Logger()

    async def note(self, mail: Mail) -> None:
        """Note that a server took it; without the bucket a restored journal may send it
        once more, and nothing else is wrong.
        """
        if not mail.occasion.startswith(STRIPES):
            return
        try:
            await self.vault.put(Sealed(_key(mail), mail.message_id.encode()))
        except (ProvisionError, DeadlinePassed) as e:
            self._log.warn(
                "mail {number} is sent, and the state bucket does not know: {problem}",
                number=mail.number,
                problem=str(e),
            )

    async def knows(self, mail: Mail) -> bool:
        """Whether an earlier life sent it; raises what the vault raises."""
        if not mail.occasion.startswith(STRIPES):
            return False
        if await self.journal.read(events.newest_of, RESTORED) is None:
            return False
        return await self.vault.get(_key(mail)) is not None


def _key(mail: Mail) -> str:
    return f"mails/{mail.signup_id}/{mail.kind}-{mail.occasion}"
