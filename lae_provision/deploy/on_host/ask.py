"""Ask a site as a visitor does: ``ask.py JSON``, a :class:`Question`.

Standard library only: it is sent to the host's python3 by standard input.  It asks
until *times* questions in a row were answered by *release* with a daemon behind it, the
registration form served, and signups open if they *must be open* (a daemon that has
just started looks around first); for at most *seconds*.  It prints one JSON object:
what the last answer said, and ``wrong``, null when all is well.  Without a *release* it
asks once, and whatever answers is right.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from typing import TypedDict

_PATIENCE = 10.0
_PAUSE = 0.25
_OK = 200


class Question(TypedDict):
    """What is asked of whom."""

    address: str
    release: str | None
    seconds: float
    times: int
    form: str
    must_be_open: bool


def get(address: str, path: str) -> tuple[int, bytes]:
    """One question on a connection of its own, so that any copy may answer."""
    connection = http.client.HTTPConnection(address, timeout=_PATIENCE)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def look(question: Question) -> dict[str, object]:
    """What one round of questions tells."""
    try:
        status, body = get(question["address"], "/health")
        told = json.loads(body)
        seen = {
            "release": told["release"],
            "daemon": bool(told["daemon"]["answers"]),
            "signups_open": told.get("signups_open"),
        }
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as e:
        return {"wrong": f"/health: {type(e).__name__}: {e}"}
    return {**seen, "wrong": wrong(question, status, seen)}


def wrong(question: Question, status: int, seen: dict[str, object]) -> str | None:
    """What is wrong with what was seen, the worst first."""
    if question["release"] is None:
        return None
    if seen["release"] != question["release"]:
        return f"/health is answered by release {seen['release']}"
    if not seen["daemon"]:
        return "the site cannot reach the daemon"
    if question["must_be_open"] and not seen["signups_open"]:
        return "signups were open before, and are not any more"
    if status != _OK:
        return f"/health is answered {status}"
    return form_wrong(question["address"], question["form"])


def form_wrong(address: str, form: str) -> str | None:
    """What is wrong with the registration form."""
    try:
        status, body = get(address, form)
    except (OSError, http.client.HTTPException) as e:
        return f"{form}: {type(e).__name__}: {e}"
    if status != _OK:
        return f"{form} is answered {status}"
    return None if b"<form" in body else f"{form} has no form"


def main(text: str) -> None:
    """Ask until all is well, or time is up."""
    question: Question = json.loads(text)
    end = time.monotonic() + question["seconds"]
    well = 0
    while True:
        seen = look(question)
        well = 0 if seen["wrong"] else well + 1
        enough = question["release"] is None or well >= question["times"]
        if enough or time.monotonic() > end:
            sys.stdout.write(json.dumps(seen))
            return
        if seen["wrong"]:
            time.sleep(_PAUSE)


if __name__ == "__main__":
    main(*sys.argv[1:])
