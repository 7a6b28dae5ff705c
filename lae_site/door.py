"""The outermost of the site: what holds for every request and every answer."""

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

#: Bytes of a request's body: a webhook's.  Beyond four times that, hang up.
LARGEST_BODY = 512 * 1024
_METHODS = (b"GET", b"HEAD", b"POST")
_LONGEST_LOGGED = 200


def security_headers(settings: SiteSettings) -> dict[bytes, bytes]:
    """The headers of every answer.

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


#: Told of each request that was answered, and how many seconds that took.
Observe = Callable[[Any, float], None]


def unobserved(request: Any, seconds: float) -> None:
    """Count nothing."""


class BoundedRequest(Request):  # type: ignore[misc, unused-ignore]
    """A request that keeps no more than :data:`LARGEST_BODY` of what is sent."""

    too_large = False
    _received = 0
    #: The route that answers, for what counts; what has none is one of "other".
    route = "other"
    #: When it came, on the reactor's clock.
    came_at: float | None = None

    def process(self) -> None:
        """Note when it came."""
        server: Any = self.channel
        self.came_at = server.site.seconds()
        super().process()  # type: ignore[no-untyped-call]

    def gotLength(self, length: int | None) -> None:
        """Keep the body in memory, which its bound allows."""
        del length
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Take what fits, drop the rest, and hang up on who goes on and on."""
        self._received += len(data)
        if self._received <= LARGEST_BODY:
            assert self.content is not None
            self.content.write(data)
            return
        self.too_large = True
        if self._received > 4 * LARGEST_BODY:
            self.loseConnection()  # type: ignore[no-untyped-call]


class FrontDoor(Resource):
    """Sets the headers, believes no ``Host``, turns away what no route could take."""

    isLeaf = True

    def __init__(self, settings: SiteSettings, pages: Pages, routes: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._headers = security_headers(settings)
        self._host = urlsplit(settings.site_url).netloc.encode("ascii")
        self._pages, self._routes = pages, routes

    def render(self, request: Any) -> Any:
        """Let the routes answer, or refuse."""
        for name, value in self._headers.items():
            request.setHeader(name, value)
        # Nothing behind this door can be made to speak of another host.
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
    """Twisted's HTTP server with our bounds, and a log without what is private: no
    query strings, no addresses of visitors, no headers.
    """

    _log = Logger()

    def __init__(
        self, resource: IResource, reactor: Any, observe: Observe = unobserved
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            resource, requestFactory=BoundedRequest, timeout=60, reactor=reactor
        )
        self.seconds: Callable[[], float] = reactor.seconds
        self._observe = observe
        self.connections = Connections(reactor)
        self.protocol = self.connections.channel  # type: ignore[method-assign, assignment, unused-ignore]  # so Twisted means it

    def log(self, request: Any) -> None:
        """One line for each answer."""
        path = request.path.decode("ascii", "replace")[:_LONGEST_LOGGED]
        self._log.debug(
            "{method} {path} {status}",
            method=request.method.decode("ascii", "replace")[:16],
            path=path,
            status=request.code,
        )
        if request.came_at is not None:
            self._observe(request, self.seconds() - request.came_at)
