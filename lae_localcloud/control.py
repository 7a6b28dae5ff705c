"""The control endpoint: faults, slowness and instances, for tests and for people.

    GET    /_control/                      all of it
    POST   /_control/faults                a fault (JSON); answers its number
    DELETE /_control/faults                all faults out
    DELETE /_control/faults/3              one out; calls that it holds go on
    POST   /_control/faults/3/release      calls that it holds go on
    PUT    /_control/slowness              seconds (JSON), all or some
    POST   /_control/instances/i-1/kill    kill -9 of all its processes
    POST   /_control/instances/i-1/stop    as somebody at AWS' console stops it
    POST   /_control/instances/i-1/start   ... and starts it: with another address
    POST   /_control/instances/i-1/cut     its cable is cut (metal level)
    POST   /_control/instances/i-1/mend    ... and whole again
    POST   /_control/volumes/vol-1/mount   its machine uses it: it is not let go
    POST   /_control/volumes/vol-1/unmount ... before the machine stops, or this
    POST   /_control/volumes/vol-1/fail    its next snapshot ends in error
    POST   /_control/names/freeze          the name server answers late: after "thaw"
    POST   /_control/names/thaw            ... and again
    POST   /_control/names/withhold        it serves old records, until "catch-up"
    POST   /_control/names/catch-up        ... and all as it is

JSON bodies must say ``Content-Type: application/json``, which a page of another site
cannot send from a visitor's browser.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
from twisted.web.server import NOT_DONE_YET

from lae_localcloud.faults import Fault, FaultBook
from lae_localcloud.front.machines import Machines
from lae_localcloud.front.slowness import Slowness

CONTROL_PATH = b"/_control/"


class _Refused(Exception):
    """The request makes no sense; the text says why."""


class Control:
    """Answers under :data:`CONTROL_PATH`.

    *machines* is None where there are none: in the mail server.  *press* breaks the
    name server, or mends it, and tells whether it knows how; *volumes* does so with a
    volume.
    """

    def __init__(
        self,
        faults: FaultBook,
        slowness: Slowness,
        machines: Machines | None = None,
        press: Callable[[str], bool] = lambda _: False,
        volumes: Callable[[str, str], bool] = lambda *_: False,
    ) -> None:
        self._faults, self._slowness, self._machines = faults, slowness, machines
        self._press, self._volumes = press, volumes

    def render(self, request: Any) -> int:
        """One request, answered at once."""
        parts = request.path.decode("ascii", "replace").strip("/").split("/")[1:]
        method = request.method.decode("ascii", "replace")
        try:
            status, answer = 200, self._answer(method, parts, request)
        except (_Refused, TypeError, ValueError) as e:
            status, answer = 400, {"problem": str(e)}
        body = json.dumps(answer, indent=1).encode() + b"\n"
        request.setResponseCode(status)
        request.setHeader("content-type", "application/json")
        request.setHeader("content-length", str(len(body)))
        request.write(body)
        request.finish()
        return NOT_DONE_YET

    def _answer(self, method: str, parts: list[str], request: Any) -> dict[str, Any]:
        said = {} if method in ("GET", "DELETE") else _json(request)
        answer: dict[str, Any] = {}
        match (method, *parts):
            case ("GET", *_):
                answer = self._all()
            case ("POST", "faults"):
                answer = {"number": self._faults.add(Fault(**said))}
            case ("DELETE", "faults"):
                self._faults.clear()
            case ("DELETE", "faults", number):
                answer = {"removed": self._faults.remove(int(number))}
            case ("POST", "faults", number, "release"):
                answer = {"released": self._faults.release(int(number))}
            case ("PUT", "slowness"):
                answer = self._slow(said)
            case ("POST", "instances", instance_id, what):
                answer = self._do_to(instance_id, what)
            case ("POST", "volumes", volume, what) if self._volumes(volume, what):
                answer = {"done": what}
            case ("POST", "names", button) if self._press(button):
                answer = {"done": button}
            case _:
                raise _Refused("no such control; see GET /_control/")
        return answer

    def _do_to(self, instance_id: str, what: str) -> dict[str, Any]:
        if self._machines is None:
            raise _Refused("there are no instances here")
        known = {one["instance_id"] for one in self._machines.listing()}
        match what:
            case "stop" if instance_id in known:
                self._machines.stop(instance_id)
                return {"stopping": True}
            case "start" if instance_id in known:
                self._machines.start(instance_id)
                return {"starting": True}
            case "kill":
                return {"killed": self._machines.kill(instance_id)}
            case "cut":
                return {"cut": self._machines.cut(instance_id)}
            case "mend":
                return {"mended": self._machines.mend(instance_id)}
        raise _Refused("no such instance or control; see GET /_control/")

    def _slow(self, said: dict[str, Any]) -> dict[str, Any]:
        for name, seconds in said.items():
            if name not in attrs.fields_dict(Slowness):
                raise _Refused(f"no such slowness: {name}")
            setattr(self._slowness, name, seconds)
        return attrs.asdict(self._slowness)

    def _all(self) -> dict[str, Any]:
        return {
            "faults": self._faults.listing(),
            "slowness": attrs.asdict(self._slowness),
            "instances": [] if self._machines is None else self._machines.listing(),
        }


def _json(request: Any) -> dict[str, Any]:
    if request.getHeader("content-type") != "application/json":
        raise _Refused("Content-Type must be application/json")
    request.content.seek(0)
    value = json.loads(request.content.read() or b"{}")
    if not isinstance(value, dict):
        raise _Refused("a JSON object expected")
    return value
