"""The control endpoint: faults, slowness and instances, for tests and for people.

    GET    /_control/                      all of it
    POST   /_control/faults                a fault (JSON); answers its number
    DELETE /_control/faults                all faults out
    DELETE /_control/faults/3              one out; calls that it holds go on
    POST   /_control/faults/3/release      calls that it holds go on
    PUT    /_control/slowness              seconds (JSON), all or some
    POST   /_control/instances/i-1/kill    kill -9 of all its processes

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
from lae_localcloud.front.slowness import Slowness

CONTROL_PATH = b"/_control/"


class _Refused(Exception):
    """The request makes no sense; the text says why."""


class Control:
    """Answers under :data:`CONTROL_PATH`.

    *instances* lists them; *kill* ends one's processes and tells whether it knew it.
    """

    def __init__(
        self,
        faults: FaultBook,
        slowness: Slowness,
        instances: Callable[[], list[dict[str, Any]]],
        kill: Callable[[str], bool],
    ) -> None:
        self._faults, self._slowness = faults, slowness
        self._instances, self._kill = instances, kill

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
            case ("POST", "instances", instance_id, "kill"):
                answer = {"killed": self._kill(instance_id)}
            case _:
                raise _Refused("no such control; see GET /_control/")
        return answer

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
            "instances": self._instances(),
        }


def _json(request: Any) -> dict[str, Any]:
    if request.getHeader("content-type") != "application/json":
        raise _Refused("Content-Type must be application/json")
    request.content.seek(0)
    value = json.loads(request.content.read() or b"{}")
    if not isinstance(value, dict):
        raise _Refused("a JSON object expected")
    return value
