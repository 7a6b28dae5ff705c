"""Attacks on the site, each by threads until its time is over."""

from __future__ import annotations

import json
import re
import secrets
import socket
import time
from collections.abc import Callable
from select import select
from threading import Thread
from urllib.parse import urlsplit

import requests
import stripe

from lae_localcloud.customer.visit import Visit
from tests.attack.pace import Pace, Tally
from tests.attack.target import FROM, Target

THREADS = 8
_LARGE = b"x=" + b"y" * 500_000
_STREAMS = 700
_HALF_BODIES = 300
_ANSWERED_WITHIN = 60.0  # s, after the attack's end


def _by_threads(pace: Pace, tally: Tally, one: Callable[[], object]) -> None:
    """Do *one* again and again in each thread, and note what it answers."""

    def work() -> None:
        while not pace.over:
            try:
                tally.note(one())
            except OSError as e:  # requests' errors are such
                tally.note(type(e).__name__)
            time.sleep(pace.owed())

    threads = [Thread(target=work, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def large_bodies(target: Target, pace: Pace, tally: Tally) -> None:
    """Half a megabyte to a path that nobody serves."""

    def one() -> int:
        with target.http() as http:
            url = f"{target.site_url}/nowhere"
            return http.post(url, data=_LARGE, timeout=10).status_code

    _by_threads(pace, tally, one)


def half_bodies(target: Target, pace: Pace, tally: Tally) -> None:
    """Requests whose bodies are said to be large and never end."""
    site = urlsplit(target.site_url)
    head = (
        f"POST /signup HTTP/1.1\r\nHost: {site.netloc}\r\nContent-Length: 500000\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    ).encode()
    held: list[socket.socket] = []
    while not pace.over:
        if len(held) < _HALF_BODIES:
            _hold(held, site.hostname or "", site.port or 80, head, tally)
        else:
            held = [one for one in held if not _ended(one, tally)]
        time.sleep(pace.owed() + 0.001)
    tally.counts["held in the end"] = len(_still_held(held, tally))


def _hold(
    held: list[socket.socket], host: str, port: int, head: bytes, tally: Tally
) -> None:
    try:
        one = socket.create_connection((host, port), 5, source_address=(FROM, 0))
        one.sendall(head + _LARGE[: len(_LARGE) // 2])
    except OSError as e:
        tally.note(type(e).__name__)
        time.sleep(0.05)
    else:
        one.setblocking(False)
        held.append(one)
        tally.note("sent")


def _still_held(held: list[socket.socket], tally: Tally) -> list[socket.socket]:
    """Those that the site neither answers nor ends: a slow machine refuses late."""
    until = time.monotonic() + _ANSWERED_WITHIN
    while held and (left := until - time.monotonic()) > 0:
        ready, _, _ = select(held, [], [], left)
        ended = {one for one in ready if _ended(one, tally)}
        held = [one for one in held if one not in ended]
    return held


def _ended(one: socket.socket, tally: Tally) -> bool:
    """Whether the site has answered or ended the connection."""
    try:
        said = one.recv(64)
    except BlockingIOError:
        return False
    except OSError:
        said = b""
    one.close()
    tally.note(said[9:12].decode("ascii") if said else "closed")
    return True


def event_streams(target: Target, pace: Pace, tally: Tally) -> None:
    """Every stream of events that the site gives."""
    http = target.http()
    visit = Visit(target.site_url, http)
    visit.sign_up("attacker@example.net")
    mine = re.search(r"/signup/(su[a-z2-7]{20})", visit.page)
    assert mine is not None, visit.page
    url = f"{target.site_url}/signup/{mine[1]}/events"
    headers = {"Accept": "text/event-stream"}
    held: list[requests.Response] = []
    while not pace.over:
        if len(held) < _STREAMS:
            try:
                one = http.get(url, headers=headers, stream=True, timeout=10)
            except OSError as e:
                tally.note(type(e).__name__)
            else:
                tally.note(one.status_code)
                if one.ok:
                    held.append(one)
        time.sleep(pace.owed() + 0.001)


def unknown_events(target: Target, pace: Pace, tally: Tally) -> None:
    """Events of types that mean nothing, large and rightly signed."""
    http = target.http()

    def one() -> int:
        event = {
            "id": f"evt_{secrets.token_hex(8)}",
            "object": "event",
            "type": f"s4.unknown.{secrets.token_hex(4)}",
            "data": {"object": {"id": "x" * 100, "object": "y" * 100_000}},
        }
        return target.send_event(http, json.dumps(event).encode())

    _by_threads(pace, tally, one)


def forged_refunds(target: Target, pace: Pace, tally: Tally) -> None:
    """Events, rightly signed, that say that what customers paid went back."""
    http = target.http()
    charges = _charges(target)

    def one() -> int:
        event = {
            "id": f"evt_{secrets.token_hex(8)}",
            "object": "event",
            "type": secrets.choice(("charge.refunded", "charge.dispute.created")),
            "data": {
                "object": {
                    "id": secrets.choice(charges),
                    "object": "charge",
                    "refunded": True,
                    "disputed": True,
                }
            },
        }
        return target.send_event(http, json.dumps(event).encode())

    _by_threads(pace, tally, one)


def _charges(target: Target) -> list[str]:
    key = (target.root / "stripe" / "secret-key").read_text("ascii").strip()
    facts = json.loads((target.root / "stripe" / "endpoint.json").read_text())
    client = stripe.StripeClient(key, base_addresses={"api": facts["stripe_endpoint"]})
    return [charge.id for charge in client.v1.charges.list({"limit": 100}).data]
