"""Live progress: long polls of the daemon become server-sent events.

Each of the signup's events is sent under its number, so that a browser that reconnects
continues from ``Last-Event-ID``.  The rendered parts of the page follow.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
from typing import Any

from attrs import define
from twisted.internet.task import deferLater

from lae_protocol.messages import Owner, Progress, Refused
from lae_site import answer
from lae_site.description import NOTES, STEPS
from lae_site.form_token import make_action_token
from lae_site.front_desk import DeskAway
from lae_site.parts import Parts
from lae_site.status import NoSuchSignup, parse_id_in_url
from lae_site.watched_signup import REGIONS, WatchedSignup, fetch_view, read_owner

#: The longest silence of a stream.
HEARTBEAT = 12  # s
#: How long a stream lasts; then the browser opens another one.
LIFETIME = 900.0  # s
#: The pause before a daemon that is away is asked again.
RETRY_AFTER = 2.0  # s
_BROWSER_RETRIES_AFTER = 1500  # ms


def encode_sse(event: str, data: dict[str, Any], number: int | None = None) -> bytes:
    """Encode one event; JSON has no line breaks, so its data is one line."""
    numbered = "" if number is None else f"id: {number}\n"
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"{numbered}event: {event}\ndata: {text}\n\n".encode()


def encode_progress(progress: Progress) -> bytes:
    """Encode one of the signup's events."""
    _, words = STEPS.get(progress.kind, ("", NOTES.get(progress.kind, "")))
    data = {"kind": progress.kind, "at": progress.at.isoformat(), "text": words}
    return encode_sse("progress", data, progress.number)


@define(frozen=True)
class ProgressStream:
    """GET /signup/ID/events."""

    parts: Parts

    async def stream(self, request: Any, signup_id: str) -> bytes | None:
        """Write until the signup is over, the browser leaves, or LIFETIME passes."""
        owner = read_owner(self.parts, request, parse_id_in_url(signup_id))
        client = self.parts.client(request)
        if not self.parts.streams.has_room(client):
            # Late for who asks again and again; the server knows that of each network.
            delay = request.site.admission.delay_refusal(client)
            if delay:
                await deferLater(self.parts.reactor, delay)
            request.setHeader(b"retry-after", b"5")
            return answer.text(
                request, "too many browsers are watching; reload the page", 503
            )
        self.parts.streams.take(request, client)
        try:
            first = await self._try_ask(owner, None)
            request.setHeader(b"content-type", b"text/event-stream; charset=utf-8")
            request.setHeader(b"cache-control", b"no-store")
            # nginx would buffer events until there is a page of them.
            request.setHeader(b"x-accel-buffering", b"no")
            if request.method != b"HEAD":
                request.write(f"retry: {_BROWSER_RETRIES_AFTER}\n\n".encode())
                await self._write(request, owner, first)
        finally:
            self.parts.streams.leave(request)
        return None

    async def _write(
        self, request: Any, owner: Owner, seen: WatchedSignup | None
    ) -> None:
        told, known, away = _last_seen(request), seen, False
        until = self.parts.reactor.seconds() + LIFETIME
        while self.parts.reactor.seconds() < until:
            if seen is None:
                request.write(b": away\n\n" if away else encode_sse("away", {}))
                away = True
                await deferLater(self.parts.reactor, RETRY_AFTER)
            else:
                news = [e for e in seen.events if e.number > told]
                changed = bool(news) or away
                request.write(
                    self._encode_view(owner, seen, news)
                    if changed
                    else b": still here\n\n"
                )
                told, known, away = max(told, seen.view.last_number), seen, False
            if known is not None and known.description().over:
                request.write(encode_sse("over", {}))
                return
            seen = await self._try_ask(owner, known)

    async def _try_ask(
        self, owner: Owner, watched: WatchedSignup | None
    ) -> WatchedSignup | None:
        """Ask the daemon; None when it is away."""
        try:
            return await self._ask(owner, watched)
        except DeskAway:
            return None

    async def _ask(self, owner: Owner, watched: WatchedSignup | None) -> WatchedSignup:
        """Ask for the whole signup first, then wait for what is new."""
        since = 0 if watched is None else watched.view.last_number
        patience = 0 if watched is None else HEARTBEAT
        seen = await fetch_view(self.parts, owner, since, patience)
        if isinstance(seen, Refused):
            if seen.code == "unknown-signup":
                raise NoSuchSignup
            raise DeskAway(seen.code)
        if watched is None:
            return WatchedSignup(seen)
        watched.add(seen)
        return watched

    def _encode_view(
        self, owner: Owner, watched: WatchedSignup, news: list[Progress]
    ) -> bytes:
        """Encode the events, then the page's parts and the grid's address."""
        secret = owner.owner_secret
        token = (
            make_action_token(self.parts.cookie_keys[0], owner.signup_id, secret)
            if secret
            else ""
        )
        values, shown = watched.values(self.parts, token), watched.description()
        view = {
            "state": watched.view.state,
            "joinable": watched.view.joinable,
            "introducer_furl": watched.furl(),
            "title": shown.title,
            "headline": shown.headline,
            "regions": {
                region: self.parts.pages.render_text(f"status/{region}.html", **values)
                for region in REGIONS
            },
        }
        return b"".join(map(encode_progress, news)) + encode_sse("view", view)


def _last_seen(request: Any) -> int:
    """Read the last event that the browser has: its header wins over the URL."""
    text = request.getHeader("last-event-id") or answer.query(request, "since")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0  # noqa: PLR2004
