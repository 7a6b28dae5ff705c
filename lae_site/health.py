"""How the site is, and, as far as it can tell, the daemon behind it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from attrs import define

from lae_protocol.process.figures_port import HealthReport
from lae_site import answer
from lae_site.parts import Parts

#: Seconds for which a daemon may be silent before the whole counts as unhealthy: it
#: restarts within them, and no release should wake anybody.
SILENCE = 30.0


@define(frozen=True)
class SiteHealth:
    """Two answers with one content: of the whole, and of this copy of the site."""

    parts: Parts

    async def whole(self, request: Any) -> bytes:
        """GET /health: 503 where the daemon is away or says that it cannot work."""
        report = await self.report()
        return self._answer(request, report, report.status)

    async def of_site(self, request: Any) -> bytes:
        """GET /health/site: 200, since this copy answers.  For what shares visitors out
        among copies: without the daemon the pages are served too, and say so.
        """
        return self._answer(request, await self.report(), 200)

    async def report(self) -> HealthReport:
        """Asked at most every few seconds, however often it is looked at."""
        parts = self.parts
        doors = await parts.opening.now()
        pulse = await parts.opening.pulse()
        age = parts.opening.age
        heard = age is not None and age <= SILENCE
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
