"""The pages that say what S4 is, for anybody."""

from __future__ import annotations

from typing import Any

from attrs import define

from lae_site import answer
from lae_site.parts import Parts

#: Pages with nothing but words, by path.
WORDS = {
    "/how-it-works": "how_it_works.html",
    "/join": "join.html",
    "/support": "support.html",
    "/terms": "terms.html",
    "/privacy": "privacy.html",
}


@define(frozen=True)
class PublicPages:
    """Landing page, explanations and files."""

    parts: Parts

    async def landing(self, request: Any) -> bytes:
        """What it is, what it costs, and whether one can sign up now."""
        html = self.parts.pages.render(
            "landing.html",
            plans=self.parts.plans,
            doors=await self.parts.opening.now(),
        )
        return answer.page(request, html, cache=answer.PUBLIC)

    def words(self, request: Any, template: str) -> bytes:
        """A page that depends on nothing but the settings."""
        html = self.parts.pages.render(
            template, plans=self.parts.plans, minutes=self._minutes
        )
        return answer.page(request, html, cache=answer.PUBLIC)

    @property
    def _minutes(self) -> int:
        return self.parts.settings.usual_build_minutes

    def file(self, request: Any, name: str) -> bytes:
        """A stylesheet, the script, the icon: named in a table, not by the disk."""
        found = self.parts.files.get(name)
        if found is None:
            html = self.parts.pages.render("404.html")
            return answer.page(request, html, 404)
        request.setHeader(b"etag", f'"{found.version}"'.encode())
        exact = answer.query(request, "v") == found.version
        lasts = b"public, max-age=31536000, immutable" if exact else answer.PUBLIC
        return answer.body(request, found.data, found.media_type, 200, lasts)
