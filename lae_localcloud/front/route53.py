"""Route 53's side of the front: a change takes a while until it is served.

Runs in moto's thread; what is to be served is handed to the reactor's.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import datetime

from attrs import evolve

from lae_localcloud.account.calls import Call
from lae_localcloud.account.moto import Moto
from lae_localcloud.exchange import ApiError, ApiRequest, ApiResponse
from lae_localcloud.names.serving import Serving
from lae_localcloud.names.zone import Record, Zone

_NAMESPACE = "https://route53.amazonaws.com/doc/2013-04-01/"
_ZONE = re.compile(r"/hostedzone/([^/]+)/rrset")
_XML = (("content-type", "text/xml"),)


class Route53:
    """Answers Route 53's calls, and remembers every change."""

    def __init__(
        self,
        moto: Moto,
        serving: Serving,
        now: Callable[[], datetime],
        in_reactor: Callable[..., None],
    ) -> None:
        self._moto, self._serving = moto, serving
        self._now, self._in_reactor = now, in_reactor
        self._changes: dict[str, datetime] = {}

    def answer(self, call: Call, request: ApiRequest) -> ApiResponse:
        """One call; raises :class:`ApiError`."""
        if call.action == "GetChange":
            return self._told(request.path.rpartition("/")[2])
        answer = self._moto.call(request)
        if call.action != "ChangeResourceRecordSets" or not answer.ok:
            return answer
        change = f"C{secrets.token_hex(10).upper()}"
        self._changes[change] = self._now()
        found = _ZONE.search(request.path)
        assert found is not None
        zone = self._zone(found[1])
        self._in_reactor(self._serving.change, change, len(self._changes), zone)
        told = f"<ChangeResourceRecordSetsResponse xmlns='{_NAMESPACE}'>"
        told += f"{self._info(change, 'PENDING')}</ChangeResourceRecordSetsResponse>"
        return evolve(answer, body=told.encode())

    def zones(self) -> tuple[Zone, ...]:
        """All zones of the account."""
        return tuple(self._zone(i) for i in self._moto.backend("route53").zones)

    def _zone(self, zone_id: str) -> Zone:
        found = self._moto.backend("route53").zones[zone_id]
        records = tuple(
            Record(_absolute(r.name), r.type, int(r.ttl), tuple(r.records))
            for r in found.rrsets
            if r.records and r.ttl is not None
        )
        return Zone(_absolute(found.name), records)

    def _told(self, change: str) -> ApiResponse:
        if change not in self._changes:
            raise ApiError(404, "NoSuchChange", f"No change found with ID: {change}")
        status = "INSYNC" if self._serving.has(change) else "PENDING"
        body = f"<GetChangeResponse xmlns='{_NAMESPACE}'>{self._info(change, status)}"
        return ApiResponse(200, _XML, f"{body}</GetChangeResponse>".encode())

    def _info(self, change: str, status: str) -> str:
        at = self._changes[change].strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return (
            f"<ChangeInfo><Id>/change/{change}</Id><Status>{status}</Status>"
            f"<SubmittedAt>{at}</SubmittedAt></ChangeInfo>"
        )


def _absolute(name: str) -> str:
    return name.replace("\\052", "*").rstrip(".").lower() + "."
