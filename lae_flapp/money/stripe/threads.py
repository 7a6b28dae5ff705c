"""Where stripe-python runs: a few threads of its own, with a bounded queue.

The library blocks, so it never runs on the reactor's thread; it keeps its connections
per thread, so the threads are kept.  Stopping abandons them: whatever a call still
changes at Stripe stands in the journal as an effect without an outcome, and is looked
for at the next start.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorFromThreads

from lae_protocol.process.lane import ThreadLane
from lae_provision.errors import TryLater

THREADS = 8
#: More calls than this waiting means that Stripe stands still.
WAITING = 200


def make_stripe_lane(reactor: IReactorFromThreads) -> ThreadLane:
    """Make the threads' lane; what is too much for it is to be tried later."""
    return ThreadLane(
        reactor,
        "stripe",
        THREADS,
        WAITING,
        full=lambda: TryLater("busy", f"{WAITING} calls to Stripe wait already"),
        stopped=lambda: TryLater("stopping", "the daemon stops"),
    )
