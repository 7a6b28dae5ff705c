"""The HTTP server: limits and headers for every request, before any route sees it."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from twisted.logger import Logger
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

from lae_site import answer
from lae_site.draining import Connections
from lae_site.pages import Pages
from lae_site.settings import SiteSettings

#: Enough for a webhook.  A client that sends four times as much is disconnected.
LARGEST_BODY = 512 * 1024  # bytes
_METHODS = (b"GET", b"HEAD", b"POST")
_LONGEST_LOGGED = 200


def security_headers(settings: SiteSettings) -> dict[bytes, bytes]:
    """Return the headers of every answer.

    ``form-action`` names Stripe's page too, because browsers apply it to the redirect
    that answers a form.
    """
    checkout = " ".join(settings.checkout_origins)
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        f" img-src 'self' data:; form-action 'self' {checkout}; base-uri 'none';"
        " frame-ancestors 'none'"
    )
    headers = {
        b"content-security-policy": policy.encode(),
        b"x-content-type-options": b"nosniff",
        b"x-frame-options": b"DENY",
        b"referrer-policy": b"no-referrer",
        b"cross-origin-opener-policy": b"same-origin",
        b"cross-origin-resource-policy": b"same-origin",
        b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=()",
        b"server": b"S4",
    }
    if settings.site_url.startswith("https://"):
        headers[b"strict-transport-security"] = b"max-age=31536000"
    return headers


#: Called for each answered request, with the seconds that the answer took.
Observe = Callable[[Any, float], None]


def ignore_answer(request: Any, seconds: float) -> None:
    """Count nothing, where nobody asked for metrics."""


class BoundedRequest(Request):  # type: ignore[misc, unused-ignore]
    """A request that keeps at most :data:`LARGEST_BODY` bytes of its body."""

    too_large = False
    _received = 0
    #: The route that answers, for the metrics.
    route = "other"
    #: When the request came, on the reactor's clock.
    came_at: float | None = None

    def process(self) -> None:
        """Note when the request came."""
        server: Any = self.channel
        self.came_at = server.site.seconds()
        super().process()  # type: ignore[no-untyped-call]

    def gotLength(self, length: int | None) -> None:
        """Keep the body in memory, since its size is bounded."""
        del length
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Keep what fits, drop the rest, and disconnect a client that does not stop."""
        self._received += len(data)
        if self._received <= LARGEST_BODY:
            assert self.content is not None
            self.content.write(data)
            return
        self.too_large = True
        if self._received > 4 * LARGEST_BODY:
            self.loseConnection()  # type: ignore[no-untyped-call]


class RequestFilter(Resource):
    """Sets the headers, replaces ``Host``, and refuses what no route could answer."""

    isLeaf = True

    def __init__(self, settings: SiteSettings, pages: Pages, routes: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._headers = security_headers(settings)
        self._host = urlsplit(settings.site_url).netloc.encode("ascii")
        self._pages, self._routes = pages, routes

    def render(self, request: Any) -> Any:
        """Refuse the request, or pass it to the routes."""
        for name, value in self._headers.items():
            request.setHeader(name, value)
        # So that no request can make a page or redirect name another host.
        request.requestHeaders.setRawHeaders(b"host", [self._host])
        if request.method not in _METHODS:
            request.setHeader(b"allow", b"GET, HEAD, POST")
            return self._refuse(request, 405)
        if request.too_large:
            return self._refuse(request, 413)
        try:
            unquote_to_bytes(request.path).decode("utf-8")
        except UnicodeDecodeError:
            return self._refuse(request, 400)
        return self._routes.render(request)

    def _refuse(self, request: Any, status: int) -> bytes:
        return answer.page(request, self._pages.render(f"{status}.html"), status)


class WebServer(Site):
    """Twisted's HTTP server with our limits.  Its log leaves out what is private: query
    strings, visitors' addresses, headers.
    """

    _log = Logger()

    def __init__(
        self, resource: IResource, reactor: Any, observe: Observe = ignore_answer
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            resource, requestFactory=BoundedRequest, timeout=60, reactor=reactor
        )
        self.seconds: Callable[[], float] = reactor.seconds
        self._observe = observe
        self.connections = Connections(reactor)
        self.protocol = self.connections.channel  # type: ignore[method-assign, assignment, unused-ignore]  # so Twisted means it

    def log(self, request: Any) -> None:
        """Log one line for each answer."""
        path = request.path.decode("ascii", "replace")[:_LONGEST_LOGGED]
        self._log.debug(
            "{method} {path} {status}",
            method=request.method.decode("ascii", "replace")[:16],
            path=path,
            status=request.code,
        )
        if request.came_at is not None:
            self._observe(request, self.seconds() - request.came_at)
