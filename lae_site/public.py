"""The public pages, which say what S4 is."""

from __future__ import annotations

from typing import Any

from attrs import define

from lae_site import answer
from lae_site.parts import Parts

#: Pages that depend on settings and plans alone: template by path.
TEXT_PAGES = {
    "/how-it-works": "how_it_works.html",
    "/join": "join.html",
    "/support": "support.html",
    "/terms": "terms.html",
    "/privacy": "privacy.html",
}


@define(frozen=True)
class PublicPages:
    """The landing page, the pages of text, and the static files."""

    parts: Parts

    async def landing(self, request: Any) -> bytes:
        """GET /: what S4 is, what it costs, and whether signing up is possible now."""
        html = self.parts.pages.render(
            "landing.html",
            plans=self.parts.plans,
            doors=await self.parts.daemon.doors(),
        )
        return answer.page(request, html, cache=answer.PUBLIC)

    def text(self, request: Any, template: str) -> bytes:
        """Answer with one of :data:`TEXT_PAGES`."""
        html = self.parts.pages.render(
            template, plans=self.parts.plans, minutes=self._minutes
        )
        return answer.page(request, html, cache=answer.PUBLIC)

    @property
    def _minutes(self) -> int:
        return self.parts.settings.usual_build_minutes

    def file(self, request: Any, name: str) -> bytes:
        """Answer with a static file, looked up in a table and never on the disk."""
        found = self.parts.files.get(name)
        if found is None:
            html = self.parts.pages.render("404.html")
            return answer.page(request, html, 404)
        request.setHeader(b"etag", f'"{found.version}"'.encode())
        exact = answer.query(request, "v") == found.version
        lasts = b"public, max-age=31536000, immutable" if exact else answer.PUBLIC
        return answer.body(request, found.data, found.media_type, 200, lasts)
