"""EC2's instance metadata service, version 2: every read carries a session token."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.http import NOT_FOUND, OK, UNAUTHORIZED
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from lae_protocol.aws.body import read_body
from lae_protocol.process.deadline import with_deadline

#: On AWS; link-local, so plain HTTP.
DEFAULT_ENDPOINT = "http://169.254.169.254"
#: The variable that AWS' own SDKs honour; the local cloud sets it for each host.
ENDPOINT_VARIABLE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
TOKEN_TTL = 21_600
#: Seconds for one request, and for its body.
PATIENCE = 5.0
_LIMIT = 1 << 17


class MetadataUnavailable(Exception):
    """The metadata service did not answer as it should.  Try again."""


def metadata_endpoint(configured: str | None, environ: Mapping[str, str]) -> str:
    """Where the service is: the environment's word, the settings', or AWS' own."""
    chosen = environ.get(ENDPOINT_VARIABLE) or configured or DEFAULT_ENDPOINT
    return chosen.rstrip("/")


class MetadataService:
    """Reads ``/latest/…``; *agent* must not follow proxies or redirections."""

    def __init__(self, reactor: IReactorTime, agent: IAgent, endpoint: str) -> None:
        self._reactor, self._agent, self._endpoint = reactor, agent, endpoint
        self._token: bytes | None = None

    def get(self, path: str) -> Deferred[bytes | None]:
        """The document at *path* (``/latest/user-data``), None where there is none.

        Raises :class:`MetadataUnavailable`, ``DeadlinePassed`` or what the agent
        raises.
        """
        return Deferred.fromCoroutine(self._get(path))

    async def _get(self, path: str) -> bytes | None:
        fresh = self._token is None
        code, body = await self._read(path, self._token or await self._new_token())
        if code == UNAUTHORIZED and not fresh:
            # The token ran out, or the service was restarted: once more with a new one.
            code, body = await self._read(path, await self._new_token())
        if code == NOT_FOUND:
            return None
        if code != OK:
            raise MetadataUnavailable(f"{path}: HTTP {code}")
        return body

    async def _read(self, path: str, token: bytes) -> tuple[int, bytes]:
        headers = Headers({b"X-aws-ec2-metadata-token": [token]})
        return await self._request(b"GET", path, headers)

    async def _new_token(self) -> bytes:
        ttl = str(TOKEN_TTL).encode()
        headers = Headers({b"X-aws-ec2-metadata-token-ttl-seconds": [ttl]})
        code, body = await self._request(b"PUT", "/latest/api/token", headers)
        if code != OK or not body:
            raise MetadataUnavailable(f"no token: HTTP {code}")
        self._token = body
        return body

    async def _request(
        self, method: bytes, path: str, headers: Headers
    ) -> tuple[int, bytes]:
        uri = (self._endpoint + path).encode("ascii")
        response = await with_deadline(
            self._reactor,
            PATIENCE,
            "the metadata service",
            self._agent.request(method, uri, headers, None),
        )
        body = await read_body(self._reactor, response, seconds=PATIENCE, limit=_LIMIT)
        return response.code, body
