"""moto, called in this process and in one thread: nobody can go around the front.

moto's own server would listen on a port of its own, take any signature there and
answer calls at the same time.  Its WSGI application, called by one thread, makes each
call of ours (check, do, look again) one step that no other call can come between.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import unquote, urlencode

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from lae_localcloud.exchange import ApiRequest, ApiResponse

T = TypeVar("T")

#: moto's name for the only account there is.
ACCOUNT_ID = "123456789012"
#: The host that moto is called under; nothing listens there.
_BASE_URL = "http://localhost"
_FORM = "application/x-www-form-urlencoded; charset=utf-8"


class Moto:
    """The application, its backends, and the thread that all calls run in."""

    def __init__(self, reactor: IReactorFromThreads, region: str) -> None:
        self._reactor = reactor
        self._thread = ThreadPool(1, 1, "moto")
        self.region = region
        self._application: Any = None

    def start(self) -> Deferred[None]:
        """Load moto (half a second) in its thread."""
        self._thread.start()
        return self.run(self._load)

    def stop(self) -> None:
        """End the thread; what moto knew is forgotten."""
        self._thread.stop()

    def run(self, work: Callable[..., T], *args: Any) -> Deferred[T]:
        """Do *work* in moto's thread, after all that came before."""
        return deferToThreadPool(self._reactor, self._thread, work, *args)

    def _load(self) -> None:
        # Thousands of foreign images, slow to load; ours is registered by the set-up.
        os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
        from moto.moto_server.werkzeug_app import (  # noqa: PLC0415  (slow to import)
            DomainDispatcherApplication,
            create_backend_app,
        )

        self._application = DomainDispatcherApplication(create_backend_app)

    # What follows is called in moto's thread alone.

    def backend(self, service: str) -> Any:
        """The model that moto has of a service: ``backend("ec2").reservations``."""
        from moto.backends import get_backend  # noqa: PLC0415  (slow to import)

        place = "aws" if service in ("iam", "sts", "s3", "route53") else self.region
        return get_backend(service)[ACCOUNT_ID][place]

    def call(self, request: ApiRequest) -> ApiResponse:
        """One request, answered by moto."""
        from werkzeug.test import EnvironBuilder, run_wsgi_app  # noqa: PLC0415

        builder = EnvironBuilder(
            method=request.method,
            path=unquote(request.path),
            base_url=_BASE_URL,
            query_string=request.query,
            headers=[(n, v) for n, v in request.headers.items() if n != "host"],
            data=request.body,
        )
        environ = builder.get_environ()
        environ["RAW_URI"] = environ["REQUEST_URI"] = _raw(request)
        chunks, status, headers = run_wsgi_app(
            self._application, environ, buffered=True
        )
        body = b"".join(chunks)
        kept = tuple((n.lower(), v) for n, v in headers if n.lower() not in _HOP_BY_HOP)
        return ApiResponse(int(status.split()[0]), kept, body)

    def query(self, service: str, action: str, version: str, **params: str) -> str:
        """A call of AWS's query protocol in the account's own name; the XML answered.

        A dot in a parameter's name is written ``__``.
        """
        form = {k.replace("__", "."): v for k, v in params.items()}
        body = urlencode({"Action": action, "Version": version, **form}).encode()
        return self.own(service, "POST", "/", body, **{"content-type": _FORM})

    def own(
        self, service: str, method: str, path: str, body: bytes, **headers: str
    ) -> str:
        """A call in the account's own name; raises RuntimeError where it is refused."""
        path, _, query = path.partition("?")
        request = ApiRequest(
            method, path, query, {**headers, **self.scope(service)}, body
        )
        answer = self.call(request)
        text = answer.body.decode()
        if not answer.ok:
            raise RuntimeError(f"{service} {method} {path}: {answer.status} {text}")
        return text

    def scope(self, service: str) -> dict[str, str]:
        """The header that tells moto which service is meant; moto checks none of it."""
        scope = f"AKIAOWN/20260101/{self.region}/{service}/aws4_request"
        signed = "SignedHeaders=host, Signature=0"
        return {"authorization": f"AWS4-HMAC-SHA256 Credential={scope}, {signed}"}


_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "server"}
)


def _raw(request: ApiRequest) -> str:
    return f"{request.path}?{request.query}" if request.query else request.path
