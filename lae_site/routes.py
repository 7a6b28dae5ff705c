"""Every route of the site, in the order in which a visitor meets them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from klein import Klein
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from lae_protocol.ids import MalformedId, parse_signup_id
from lae_site import answer
from lae_site.admission import VisitLimits
from lae_site.front_desk import DeskAway
from lae_site.health import SiteHealth
from lae_site.http_server import Observe, RequestFilter, WebServer, ignore_answer
from lae_site.log_in import LogInPages
from lae_site.parts import Parts
from lae_site.public import TEXT_PAGES, PublicPages
from lae_site.signup import SignupForm
from lae_site.status import (
    Declined,
    NoSuchSignup,
    NotTheOwner,
    StatusPages,
    TooMany,
)
from lae_site.stream import ProgressStream
from lae_site.webhook import Webhook

_log = Logger()
_OWN_PAGES = (400, 404, 405, 413)


def routes(parts: Parts) -> Klein:
    """Make the table of routes; nothing else can be reached."""
    app = Klein()
    # No redirects to tidier paths: Werkzeug's are absolute, and name a host.
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False

    def get(path: str, shown: Callable[..., Any]) -> None:
        app.route(path, methods=["GET"], endpoint=f"GET {path}")(
            _with_route(path, shown)
        )

    def post(path: str, taken: Callable[..., Any]) -> None:
        app.route(path, methods=["POST"], endpoint=f"POST {path}")(
            _with_route(path, taken)
        )

    public, form = PublicPages(parts), SignupForm(parts)
    status, stream = StatusPages(parts), ProgressStream(parts)

    get("/", public.landing)
    for path, template in TEXT_PAGES.items():
        get(path, partial(public.text, template=template))
    get("/static/<string:name>", public.file)

    get("/signup", form.show)
    post("/signup", form.take)
    post("/webhook/stripe", Webhook(parts).take)

    get("/signup/<string:signup_id>", status.show)
    get("/signup/<string:signup_id>/events", stream.stream)
    get("/signup/<string:signup_id>/grid.json", status.grid_file)
    post("/signup/<string:signup_id>/pay", status.pay)
    post("/signup/<string:signup_id>/resend", status.resend)
    get("/signup/<string:signup_id>/address", status.address_form)
    post("/signup/<string:signup_id>/address", status.correct_address)
    get("/signup/<string:signup_id>/confirm", status.confirm_form)
    post("/signup/<string:signup_id>/confirm", status.confirm)
    get("/signup/<string:signup_id>/cancel", status.cancel_form)
    post("/signup/<string:signup_id>/cancel", status.cancel)
    get("/signup/<string:signup_id>/return", status.return_form)
    post("/signup/<string:signup_id>/return", status.come_back)

    log_in = LogInPages(parts, status)
    get("/signup/<string:signup_id>/browser", log_in.show)
    post("/signup/<string:signup_id>/browser", log_in.mail_link)
    get("/signup/<string:signup_id>/log-in", log_in.log_in_form)
    post("/signup/<string:signup_id>/log-in", log_in.log_in)

    health = SiteHealth(parts)
    get("/health", health.whole)
    get("/health/site", health.of_site)
    _add_error_pages(app, parts)
    return app


def _with_route(path: str, answer: Callable[..., Any]) -> Callable[..., Any]:
    """Note the route in the request, for the metrics."""

    def answered(request: Any, **parts_of_path: Any) -> Any:
        request.route = path
        return answer(request, **parts_of_path)

    return answered


def _add_error_pages(app: Klein, parts: Parts) -> None:
    """Add a page for each error; none of them says anything of our internals."""

    def shown(
        request: Any, status: int, template: str | None = None, **values: Any
    ) -> bytes:
        if request.startedWriting:
            # A stream that fails midway just ends; the browser reconnects.
            return b""
        html = parts.pages.render(template or f"{status}.html", **values)
        return answer.page(request, html, status)

    def page(status: int) -> Callable[[Any, Failure], bytes]:
        return lambda request, _: shown(request, status)

    def declined(request: Any, failure: Failure) -> bytes:
        return shown(
            request, 409, sentence=str(failure.value), back=_find_back(request)
        )

    def too_many(request: Any, failure: Failure) -> bytes:
        error = failure.value
        assert isinstance(error, TooMany)
        request.setHeader(b"retry-after", str(error.wait).encode())
        return shown(request, 429)

    def away(request: Any, _: Failure) -> bytes:
        request.setHeader(b"retry-after", b"5")
        # Reloading the page by itself would send a form again as a GET.
        return shown(
            request, 503, again=request.method != b"POST", back=_find_back(request)
        )

    def http(request: Any, failure: Failure) -> bytes:
        error = failure.value
        assert isinstance(error, HTTPException)
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            allowed = ", ".join(sorted(error.valid_methods))
            request.setHeader(b"allow", allowed.encode("ascii"))
        code = error.code if error.code in _OWN_PAGES else 404
        return shown(request, code)

    def broken(request: Any, failure: Failure) -> bytes:
        _log.failure("a page failed", failure=failure)
        return shown(request, 500)

    app.handle_errors(NoSuchSignup)(page(404))
    app.handle_errors(NotTheOwner)(page(403))
    app.handle_errors(Declined)(declined)
    app.handle_errors(TooMany)(too_many)
    app.handle_errors(DeskAway)(away)
    app.handle_errors(HTTPException)(http)
    app.handle_errors(Exception)(broken)


def _find_back(request: Any) -> str | None:
    """Find the status page of the signup that a page below it was about."""
    _, _, rest = request.path.decode("ascii", "replace").partition("/signup/")
    signup_id, slash, _ = rest.partition("/")
    try:
        return f"/signup/{parse_signup_id(signup_id)}" if slash else None
    except MalformedId:
        return None


def make_web_server(
    parts: Parts, reactor: IReactorTime, observe: Observe = ignore_answer
) -> WebServer:
    """Make the site's HTTP server; *observe* is called for each answer."""
    inside: IResource = routes(parts).resource()
    checked = RequestFilter(parts.settings, parts.pages, inside, reactor)
    limits = VisitLimits(
        proxies=parts.settings.proxies,
        requests_per_second=parts.settings.requests_per_second,
        connections_per_network=parts.settings.connections_per_network,
        streams_at_most=parts.settings.streams_at_most,
    )
    return WebServer(
        checked, reactor, limits, bad_request=checked.bad_request(), observe=observe
    )
