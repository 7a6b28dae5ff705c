"""Checks a site as a visitor would: ``ask.py JSON``, a :class:`Question`.

Standard library only: the script is sent to the host's python3 by standard input.  It
asks for at most *seconds*, until *times* answers in a row come from *release* with a
reachable daemon, the signup form is served, and signups are open if they *must be open*
(a daemon that has just started keeps them closed at first).  The script prints one JSON
object: what the last answer said, and ``wrong``, null when all is well.  Without a
*release* it asks once and accepts any answer.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from typing import TypedDict

_TIMEOUT = 10.0  # s
_RETRY_AFTER = 0.25  # s
_OK = 200


class Question(TypedDict):
    """What to check, and where."""

    address: str
    release: str | None
    seconds: float
    times: int
    form: str
    must_be_open: bool


def get(address: str, path: str) -> tuple[int, bytes]:
    """Send one request on a new connection, so that any copy may answer."""
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def check_once(question: Question) -> dict[str, object]:
    """Check the site once."""
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
    return {**seen, "wrong": find_problem(question, status, seen)}


def find_problem(
    question: Question, status: int, seen: dict[str, object]
) -> str | None:
    """Find what is wrong, the worst first."""
    if question["release"] is None:
        return None
    if seen["release"] != question["release"]:
        return f"/health is answered by the release {seen['release']}"
    if not seen["daemon"]:
        return "the site cannot reach the daemon"
    if question["must_be_open"] and not seen["signups_open"]:
        return "signups were open before, and are closed now"
    if status != _OK:
        return f"/health answers with status {status}"
    return find_form_problem(question["address"], question["form"])


def find_form_problem(address: str, form: str) -> str | None:
    """Find what is wrong with the signup form."""
    try:
        status, body = get(address, form)
    except (OSError, http.client.HTTPException) as e:
        return f"{form}: {type(e).__name__}: {e}"
    if status != _OK:
        return f"{form} answers with status {status}"
    return None if b"<form" in body else f"{form} shows no form"


def main(text: str) -> None:
    """Check the site until all is well, or the time is up."""
    question: Question = json.loads(text)
    end = time.monotonic() + question["seconds"]
    well = 0
    while True:
        seen = check_once(question)
        well = 0 if seen["wrong"] else well + 1
        enough = question["release"] is None or well >= question["times"]
        if enough or time.monotonic() > end:
            sys.stdout.write(json.dumps(seen))
            return
        if seen["wrong"]:
            time.sleep(_RETRY_AFTER)


if __name__ == "__main__":
    main(*sys.argv[1:])
