"""The health of the site, and of the daemon as far as the site can tell."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from attrs import define

from lae_protocol.process.figures_port import HealthReport
from lae_site import answer
from lae_site.parts import Parts

#: How long the daemon may be silent before S4 counts as unhealthy.  A daemon restarts
#: in less, so that no release wakes anybody.
LONGEST_SILENCE = 30.0  # s


@define(frozen=True)
class SiteHealth:
    """Answers with one content and two statuses: of all of S4, and of this copy."""

    parts: Parts

    async def whole(self, request: Any) -> bytes:
        """GET /health: 503 when the daemon is away or says that it cannot work."""
        report = await self.report()
        return self._answer(request, report, report.status)

    async def of_site(self, request: Any) -> bytes:
        """GET /health/site: always 200.  For load balancers: a copy serves its pages
        without the daemon too, and they say so.
        """
        return self._answer(request, await self.report(), 200)

    async def report(self) -> HealthReport:
        """Report the health; the daemon is asked every few seconds at most."""
        parts = self.parts
        doors = await parts.daemon.doors()
        pulse = await parts.daemon.pulse()
        age = parts.daemon.age
        heard = age is not None and age <= LONGEST_SILENCE
        healthy = heard and (pulse is None or pulse.healthy)
        daemon = {
            "answers": doors is not None,
            "seconds_since_answer": None if age is None else round(age, 1),
            "seconds_since_start": None if pulse is None else pulse.seconds_since_start,
            "release": None if pulse is None else pulse.release,
            "healthy": None if pulse is None else pulse.healthy,
        }
        return HealthReport(
            healthy,
            {
                "process": "site",
                "status": "ok" if healthy else "failing",
                "release": version("s4"),
                "environment": parts.settings.environment,
                "seconds_since_start": int(parts.reactor.seconds() - parts.started_at),
                "daemon": daemon,
                "signups_open": None if doors is None else doors.signups_open,
                "streams": len(parts.streams),
            },
        )

    @staticmethod
    def _answer(request: Any, report: HealthReport, status: int) -> bytes:
        return answer.body(request, report.as_json(), b"application/json", status)
