"""Ask a site as a visitor does: ``ask.py HOST:PORT RELEASE SECONDS TIMES FORM``.

Standard library only: it is sent to the host's python3 by standard input.  It asks
until every one of TIMES questions in a row was answered by RELEASE with a daemon
behind it and the form of FORM was served, at most SECONDS.  It prints one JSON object:
what the last answer said, and ``wrong``, null when all is well.  With RELEASE ``-`` it
asks once, and whatever runs is right.
"""

import http.client
import json
import sys
import time

_PATIENCE = 10.0
_PAUSE = 0.25
_OK = 200


def get(address: str, path: str) -> tuple[int, bytes]:
    """One question on a connection of its own, so that any copy may answer."""
    connection = http.client.HTTPConnection(address, timeout=_PATIENCE)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def look(address: str, release: str, form: str) -> dict[str, object]:
    """What one round of questions tells."""
    try:
        status, body = get(address, "/health")
        told = json.loads(body)
        daemon = told["daemon"]["answers"]
        seen = {"release": told["release"], "signups_open": told.get("signups_open")}
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as e:
        return {"wrong": f"/health: {type(e).__name__}: {e}"}
    if release == "-":
        return {**seen, "daemon": daemon, "wrong": None}
    if status != _OK:
        return {**seen, "wrong": f"/health is answered {status}"}
    if seen["release"] != release:
        return {**seen, "wrong": f"/health is answered by release {seen['release']}"}
    if not daemon:
        return {**seen, "wrong": "the site cannot reach the daemon"}
    return {**seen, "wrong": form_wrong(address, form)}


def form_wrong(address: str, form: str) -> "str | None":
    """What is wrong with the registration form."""
    try:
        status, body = get(address, form)
    except (OSError, http.client.HTTPException) as e:
        return f"{form}: {type(e).__name__}: {e}"
    if status != _OK:
        return f"{form} is answered {status}"
    if b"<form" not in body:
        return f"{form} has no form"
    return None


def main(address: str, release: str, seconds: str, times: str, form: str) -> None:
    """Ask until all is well, or time is up."""
    end = time.monotonic() + float(seconds)
    well = 0
    while True:
        seen = look(address, release, form)
        well = 0 if seen["wrong"] else well + 1
        if release == "-" or well >= int(times) or time.monotonic() > end:
            sys.stdout.write(json.dumps(seen))
            return
        if seen["wrong"]:
            time.sleep(_PAUSE)


if __name__ == "__main__":
    main(*sys.argv[1:])
