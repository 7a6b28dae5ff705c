"""The storage node announces itself to the introducer in the same process.

Upstream's client of the introducer would connect to the host's public name, subscribe,
and so make the node a client of itself that asks for its own version each second.
"""

from __future__ import annotations

from typing import Any

from allmydata.introducer.client import IntroducerClient


class OwnIntroducer(IntroducerClient):
    """Signs announcements as upstream does, and hands them over without a network.

    It hands them over when the service starts: by then the storage node listens.
    """

    def __init__(self, introducer: Any, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._introducer = introducer
        self._open = False

    def startService(self) -> None:
        """Announce what was published so far, and later announcements at once."""
        # Upstream's method would connect to the introducer.
        self.running = 1
        self._open = True
        self._maybe_publish()

    def stopService(self) -> None:
        """Stop; no connection is open."""
        self.running = 0

    def subscribe_to(self, *_: Any, **__: Any) -> None:
        """Ignore the subscription: this node is no client."""

    def _maybe_publish(self) -> None:
        if self._open:
            for announcement in self._published_announcements.values():
                self._introducer.publish(announcement, self._canary, None)
