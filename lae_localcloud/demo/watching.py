"""Every signup of a running demo, written down once its mail is accepted.

It asks the daemon as an operator does, over a furl; what no operator sees (the
customer's furl) is taken from the customer's mail.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
from attrs import define
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from lae_localcloud.demo.state import DemoSignup, DemoState, Timeline
from lae_protocol.furl import Furl
from lae_protocol.looking_messages import (
    EventsSince,
    ShowSignup,
    SignupDetail,
)
from lae_protocol.messages import Refused
from lae_protocol.process.call import Facet, FacetError
from lae_protocol.process.tub import make_tub
from lae_protocol.question import A, Question

_FURL_LINE = re.compile(rb"^(pb://\S+)\r?$", re.MULTILINE)
#: Seconds: a question may wait so long for news; and the pause after a failure.
_PATIENCE, _AGAIN = 15, 1.0

#: The event that says that each thing of the timeline is so.  The page shows the
#: furl from the moment on at which the identity is safe.
_MOMENTS = {
    "journaled": "paid",
    "furl_on_page": "identity-sealed",
    "instance_launched": "instance-launched",
    "claimed": "claimed",
    "self_test_passed": "self-test-passed",
    "mail_accepted": "mail-accepted",
}


def timeline_of(detail: SignupDetail, paid_at: float) -> Timeline:
    """Seconds since the payment of each first event of its kind.  Pure."""
    first: dict[str, datetime] = {}
    for event in detail.events:
        first.setdefault(event.kind, event.at)
    return Timeline(
        **{
            name: round(first[kind].timestamp() - paid_at, 3)
            for name, kind in _MOMENTS.items()
        }
    )


@define(frozen=True)
class Sources:
    """Where the pieces of an entry come from."""

    operator_furl: Path
    stripe_endpoint: str
    maildir: Path
    deployment: str

    def paid_at(self, signup_id: str) -> float:
        """When the local Stripe accepted the payment.  Blocks."""
        url = f"{self.stripe_endpoint}/_control/sessions/{signup_id}"
        answer = requests.get(url, timeout=10)
        answer.raise_for_status()
        return float(answer.json()["t0"])

    def furl(self, signup_id: str) -> str:
        """What the customer's mail says.  Blocks."""
        for path in sorted((self.maildir / "new").iterdir(), reverse=True):
            mail = path.read_bytes()
            found = _FURL_LINE.search(mail)
            if f"+{signup_id}@".encode() in mail and found is not None:
                return found[1].decode("ascii")
        raise LookupError(f"no mail for {signup_id}")


class Watching:
    """Follows the daemon's event log for as long as the demo runs."""

    _log = Logger()

    def __init__(self, reactor: Any, sources: Sources, state: DemoState) -> None:
        self._reactor, self._sources, self._state = reactor, sources, state
        self._tub = make_tub()
        furl = Furl.parse(sources.operator_furl.read_text("ascii"))
        self._daemon = Facet(reactor, self._tub, furl)

    async def run(self) -> None:
        """Until cancelled; a daemon that is away is asked again."""
        self._tub.startService()
        self._daemon.startService()
        since = 0
        try:
            while True:
                since = await self._next(since)
        except CancelledError:
            return
        finally:
            self._daemon.stopService()
            await self._tub.stopService()

    async def _next(self, since: int) -> int:
        asked = EventsSince(None, since, _PATIENCE)
        try:
            page = await self._ask(asked, _PATIENCE + 5)
            for event in page.events:
                if event.kind == "mail-accepted":
                    await self._note(event.signup_id)
        except (FacetError, LookupError, requests.RequestException) as e:
            self._log.warn("cannot write a signup down yet: {problem}", problem=str(e))
            await deferLater(self._reactor, _AGAIN)
            return since
        return page.last_number

    async def _ask(self, question: Question[A], seconds: float) -> A:
        told = await self._daemon.ask(question, seconds)
        if isinstance(told, Refused):
            raise LookupError(told.message)  # noqa: TRY004  (an answer, not an argument)
        return told

    async def _note(self, signup_id: Any) -> None:
        detail = await self._ask(ShowSignup(signup_id), 10)
        sources = self._sources
        paid_at = await deferToThread(sources.paid_at, signup_id)
        furl = await deferToThread(sources.furl, signup_id)
        self._state.add(
            DemoSignup(
                signup_id=signup_id,
                introducer_furl=furl,
                bucket=f"{sources.deployment}-{detail.row.grid_label}",
                instance_id=detail.row.instance_id or "",
                timeline=timeline_of(detail, paid_at),
            )
        )
