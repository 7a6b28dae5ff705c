"""May this daemon take the journal over?  Only where it can serve then.

A frozen daemon keeps its ports.  On its own machine a second one would take the journal
and the epoch from it, find the ports taken, and end: no daemon would be left.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory

from lae_flapp.journal.errors import JournalInUse
from lae_flapp.settings import DaemonSettings


async def refuse_taken_ports(reactor: Any, settings: DaemonSettings) -> None:
    """Raise :class:`JournalInUse` where one of the daemon's ports is taken."""
    for tub in (settings.private_tub, settings.hosts_tub):
        endpoint = serverFromString(reactor, tub.listen)  # type: ignore[no-untyped-call]
        try:
            port = await endpoint.listen(Factory())
        except CannotListenError:
            raise JournalInUse(
                f"nothing is taken over: {tub.listen} is taken on this machine, by"
                f" {_holder(settings)}.  End that process (kill -9 ends a frozen one,"
                " too), then start the daemon without --take-over"
            ) from None
        await port.stopListening()


def _holder(settings: DaemonSettings) -> str:
    """Who the journal's lock says has it."""
    lock = settings.journal.with_name(settings.journal.name + ".lock")
    try:
        return lock.read_text("utf-8") or "another process"
    except OSError:
        return "another process"
