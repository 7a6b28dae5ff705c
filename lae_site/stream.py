"""Live progress: a long poll of the daemon becomes server-sent events.

Each of the signup's events is sent under its number, so that a browser that lost the
connection goes on from ``Last-Event-ID``; then what to show, rendered.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
from typing import Any

from attrs import define
from twisted.internet.task import deferLater

from lae_protocol.messages import Owner, Progress, Refused
from lae_site import answer
from lae_site.form_token import action_token
from lae_site.front_desk import DeskAway
from lae_site.looking import REGIONS, Sight, look, owner_of
from lae_site.parts import Parts
from lae_site.picture import NOTES, STEPS
from lae_site.status import NoSuchSignup, parsed_id

#: Seconds: the longest silence of a stream, how long one lasts, and between two tries
#: to reach a daemon that is away.
HEARTBEAT, LIFETIME, AGAIN = 12, 900.0, 2.0
_BROWSER_RETRIES_AFTER_MS = 1500


def sse(event: str, data: dict[str, Any], number: int | None = None) -> bytes:
    """One event as bytes; JSON has no line breaks, so its data is one line."""
    numbered = "" if number is None else f"id: {number}\n"
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"{numbered}event: {event}\ndata: {text}\n\n".encode()


def progress_event(progress: Progress) -> bytes:
    """One of the signup's events."""
    _, words = STEPS.get(progress.kind, ("", NOTES.get(progress.kind, "")))
    data = {"kind": progress.kind, "at": progress.at.isoformat(), "text": words}
    return sse("progress", data, progress.number)


@define(frozen=True)
class ProgressStream:
    """GET /signup/ID/events."""

    parts: Parts

    async def stream(self, request: Any, signup_id: str) -> bytes | None:
        """Write until all is over, the browser leaves, or it has lasted long enough."""
        owner = owner_of(self.parts, request, parsed_id(signup_id))
        if len(self.parts.streams) >= self.parts.settings.streams_at_most:
            request.setHeader(b"retry-after", b"5")
            return answer.text(request, "too many are watching; reload", 503)
        self.parts.streams.add(request)
        try:
            first = await self._try_next(owner, None)
            request.setHeader(b"content-type", b"text/event-stream; charset=utf-8")
            request.setHeader(b"cache-control", b"no-store")
            # nginx would keep events back until a page's worth of them has come.
            request.setHeader(b"x-accel-buffering", b"no")
            if request.method != b"HEAD":
                request.write(f"retry: {_BROWSER_RETRIES_AFTER_MS}\n\n".encode())
                await self._write(request, owner, first)
        finally:
            self.parts.streams.discard(request)
        return None

    async def _write(self, request: Any, owner: Owner, seen: Sight | None) -> None:
        told, known, away = _last_seen(request), seen, False
        until = self.parts.reactor.seconds() + LIFETIME
        while self.parts.reactor.seconds() < until:
            if seen is None:
                request.write(b": away\n\n" if away else sse("away", {}))
                away = True
                await deferLater(self.parts.reactor, AGAIN)
            else:
                news = [e for e in seen.events if e.number > told]
                changed = bool(news) or away
                request.write(
                    self._told(owner, seen, news) if changed else b": still here\n\n"
                )
                told, known, away = max(told, seen.view.last_number), seen, False
            if known is not None and known.picture().over:
                request.write(sse("over", {}))
                return
            seen = await self._try_next(owner, known)

    async def _try_next(self, owner: Owner, sight: Sight | None) -> Sight | None:
        """What there is now; None when the daemon is away."""
        try:
            return await self._next(owner, sight)
        except DeskAway:
            return None

    async def _next(self, owner: Owner, sight: Sight | None) -> Sight:
        """The whole of it first, then whatever is new."""
        since = 0 if sight is None else sight.view.last_number
        patience = 0 if sight is None else HEARTBEAT
        seen = await look(self.parts, owner, since, patience)
        if isinstance(seen, Refused):
            if seen.code == "unknown-signup":
                raise NoSuchSignup
            raise DeskAway(seen.code)
        if sight is None:
            return Sight(seen)
        sight.add(seen)
        return sight

    def _told(self, owner: Owner, sight: Sight, news: list[Progress]) -> bytes:
        """The events, then the page's changed parts and the grid's address."""
        secret = owner.owner_secret
        token = (
            action_token(self.parts.cookie_keys[0], owner.signup_id, secret)
            if secret
            else ""
        )
        values, shown = sight.values(self.parts, token), sight.picture()
        view = {
            "state": sight.view.state,
            "joinable": sight.view.joinable,
            "introducer_furl": sight.furl(),
            "title": shown.title,
            "headline": shown.headline,
            "regions": {
                region: self.parts.pages.render_text(f"status/{region}.html", **values)
                for region in REGIONS
            },
        }
        return b"".join(map(progress_event, news)) + sse("view", view)


def _last_seen(request: Any) -> int:
    """Where the browser stopped: its own header wins over the page's first URL."""
    text = request.getHeader("last-event-id") or answer.query(request, "since")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0  # noqa: PLR2004
