"""The HTTP server: limits and headers for every request, before any route sees it."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from lae_site import answer
from lae_site.admission import Admission, Refusal, VisitLimits
from lae_site.connection import BoundedChannel
from lae_site.draining import Connections
from lae_site.pages import Pages
from lae_site.refusals import RefusalLog
from lae_site.settings import SiteSettings

#: A request arrives in this time, body and all; a connection is idle as long.
ARRIVES_WITHIN = 60  # s
_METHODS = (b"GET", b"HEAD", b"POST")
_LONGEST_LOGGED = 200
#: Refused before any route sees the request.
_REFUSED = (400, 405, 411, 413, 429)
#: Answers that leave a line in the log.
_TOLD = (403, 411, 413, 429)


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
        headers[b"strict-transport-security"] = b"max-age=31536000; includeSubDomains"
    return headers


#: Called for each answered request, with the seconds that the answer took.
Observe = Callable[[Any, float], None]


def ignore_answer(request: Any, seconds: float) -> None:
    """Count nothing, where nobody asked for metrics."""


class BoundedRequest(Request):  # type: ignore[misc, unused-ignore]
    """A request whose body is in memory, since its size was judged before."""

    #: The judgement of its head; no refusal where it may be answered.
    refusal: Refusal | None = None
    #: The route that answers, for the metrics.
    route = "other"
    #: When the request came, on the reactor's clock.
    came_at: float | None = None

    def process(self) -> None:
        """Note when the request came."""
        server: Any = self.channel
        self.came_at = server.site.seconds()
        if self.path == b"*":
            # Twisted answers the whole server's "*" itself, without our headers.
            self.path = b"/*"
        super().process()  # type: ignore[no-untyped-call]

    def gotLength(self, length: int | None) -> None:
        """Keep the body in memory."""
        del length
        self.content = BytesIO()


class RequestFilter(Resource):
    """Sets the headers, replaces ``Host``, and refuses what no route could answer."""

    isLeaf = True

    def __init__(
        self, settings: SiteSettings, pages: Pages, routes: Any, reactor: IReactorTime
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._reactor = reactor
        self._headers = security_headers(settings)
        self._host = urlsplit(settings.site_url).netloc.encode("ascii")
        self._routes = routes
        self._refused = {n: pages.render(f"{n}.html") for n in _REFUSED}

    def render(self, request: Any) -> Any:
        """Refuse the request, or pass it to the routes."""
        for name, value in self._headers.items():
            request.setHeader(name, value)
        if request.refusal is not None:
            return self._refuse_by_head(request, request.refusal)
        # So that no request can make a page or redirect name another host.
        request.requestHeaders.setRawHeaders(b"host", [self._host])
        if request.method not in _METHODS:
            request.setHeader(b"allow", b"GET, HEAD, POST")
            return self._refuse(request, 405)
        try:
            unquote_to_bytes(request.path).decode("utf-8")
        except UnicodeDecodeError:
            return self._refuse(request, 400)
        return self._routes.render(request)

    def _refuse_by_head(self, request: Any, refusal: Refusal) -> Any:
        """Answer now, or later; meanwhile nothing more is read of the connection."""
        if refusal.wait:
            request.setHeader(b"retry-after", str(refusal.wait).encode())
        page = self._refuse(request, refusal.status)
        if not refusal.delay:
            return page

        def tell() -> None:
            # Its answer did not take us so long.
            request.came_at = self._reactor.seconds()
            if request.method != b"HEAD":
                request.write(page)
            request.finish()

        telling = self._reactor.callLater(refusal.delay, tell)
        request.notifyFinish().addErrback(lambda _: telling.cancel())
        return NOT_DONE_YET

    def _refuse(self, request: Any, status: int) -> bytes:
        return answer.page(request, self._refused[status], status)

    def bad_request(self) -> bytes:
        """Write the whole answer to what is not HTTP, without Twisted."""
        page = self._refused[400]
        headers = self._headers | {
            b"content-type": b"text/html; charset=utf-8",
            b"content-length": str(len(page)).encode(),
            b"cache-control": answer.PRIVATE,
            b"connection": b"close",
        }
        lines = [b"HTTP/1.1 400 Bad Request"]
        lines += [name + b": " + value for name, value in headers.items()]
        return b"\r\n".join(lines) + b"\r\n\r\n" + page


class WebServer(Site):
    """Twisted's HTTP server with our limits.  Its log leaves out what is private: query
    strings, visitors' addresses, headers.  *bad_request* answers what is not HTTP.
    """

    _log = Logger()

    def __init__(
        self,
        resource: IResource,
        reactor: Any,
        limits: VisitLimits,
        *,
        bad_request: bytes,
        observe: Observe = ignore_answer,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            resource,
            requestFactory=BoundedRequest,
            timeout=ARRIVES_WITHIN,
            reactor=reactor,
            # A route that has a form reads it itself, in bounds.
            parsePOSTFormSubmission=False,
        )
        self.seconds: Callable[[], float] = reactor.seconds
        self._observe = observe
        self.bad_request = bad_request
        self.admission = Admission(limits, reactor.seconds)
        self.refusals = RefusalLog(reactor.seconds)
        self.connections = Connections(reactor, limits.connections())

    def buildProtocol(self, addr: Any) -> Any:
        """Take a connection, unless its network has too many."""
        if not self.connections.has_room(addr):
            self.refusals.tell("a connection", "too many from its network, or in all")
            return None
        return super().buildProtocol(addr)  # type: ignore[no-untyped-call]

    def protocol(self) -> BoundedChannel:  # type: ignore[override, unused-ignore]
        """Make the protocol of a new connection."""
        return BoundedChannel(self.connections)

    def log(self, request: Any) -> None:
        """Log one line for each answer."""
        path = request.path.decode("ascii", "replace")[:_LONGEST_LOGGED]
        method = request.method.decode("ascii", "replace")[:16]
        self._log.debug(
            "{method} {path} {status}", method=method, path=path, status=request.code
        )
        if request.code in _TOLD:
            self.refusals.tell(f"{method} {path}", str(request.code))
        if request.came_at is not None:
            self._observe(request, self.seconds() - request.came_at)
