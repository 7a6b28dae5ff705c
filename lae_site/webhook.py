"""Stripe's webhook: an event is checked, passed to the daemon, then acknowledged."""

from __future__ import annotations

from typing import Any

from attrs import define
from twisted.logger import Logger

from lae_protocol.ids import new_request_id
from lae_protocol.messages import StripeEvent, Taken
from lae_protocol.stripe_hints import hint_in
from lae_site import answer
from lae_site.front_desk import DeskAway
from lae_site.parts import Parts
from lae_site.stripe_signature import SignatureRefused, check_signature


@define(frozen=True)
class Webhook:
    """Status 200 means that the daemon has committed the event's hint, or that nothing
    follows from the event.  After any other status Stripe sends the event again, for
    three days.  Only the hint is passed on.
    """

    parts: Parts
    _log = Logger()

    async def take(self, request: Any) -> bytes:
        """POST /webhook/stripe."""
        body = request.content.read()
        try:
            check_signature(
                self.parts.webhook_secrets,
                request.getHeader("stripe-signature"),
                body,
                self.parts.wall(),
            )
        except SignatureRefused as e:
            self._log.warn("webhook refused: {why}", why=str(e))
            return answer.text(request, str(e), 400)
        request_id = new_request_id()
        hint = hint_in(body)
        if hint is None:
            self._log.warn(
                "webhook {request_id} is not an event", request_id=request_id
            )
            return answer.text(request, "not an event", 400)
        if not hint.is_followed():
            return answer.text(request, "nothing follows from it")
        try:
            taken = await self.parts.desk.ask(StripeEvent(hint), request_id)
        except DeskAway as e:
            self._log.warn(
                "webhook {request_id} not taken: {why}",
                request_id=request_id,
                why=str(e),
            )
            return answer.text(request, "not taken; send it again", 503)
        if not isinstance(taken, Taken):
            self._log.warn(
                "webhook {request_id} refused by the daemon: {code}",
                request_id=request_id,
                code=taken.code,
            )
            return answer.text(request, "not taken; send it again", 503)
        self._log.info("webhook {request_id} taken", request_id=request_id)
        return answer.text(request, "taken")
