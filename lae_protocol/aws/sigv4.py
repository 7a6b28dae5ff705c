"""AWS Signature Version 4 over the very bytes that are sent.

A pure function: the same arguments give the same headers.  Tests compare it with
botocore's two signers on random requests.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes, urlsplit

from attrs import define

from lae_protocol.secret import Secret

#: Stands for the body's hash where the body is not hashed (S3 over TLS only).
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
#: What agents and proxies add or change on the way is left unsigned.
NEVER_SIGNED = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "expect",
        "te",
        "transfer-encoding",
        "user-agent",
        "x-amzn-trace-id",
    }
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_UNRESERVED = "-_.~"


class Unsignable(ValueError):
    """A request that services read differently from what was meant.

    Do not try again: the caller built it wrongly.
    """


@define(frozen=True)
class Credentials:
    """An access key; *token* and *expires* where it is a session's."""

    access_key: str
    secret_key: Secret
    token: Secret | None = None
    expires: datetime | None = None


@define(frozen=True)
class Scope:
    """What a signature is good for, besides its day: ``Scope("eu-west-1", "s3")``."""

    region: str
    service: str


def body_sha256(body: bytes) -> str:
    """The body's hash as the signature wants it: lower-case hex."""
    return hashlib.sha256(body).hexdigest()


def sign(
    credentials: Credentials,
    scope: Scope,
    when: datetime,
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    payload: str,
) -> dict[str, str]:
    """All headers to send, names in lower case: *headers* and the signature's own.

    *url* is absolute, ASCII and quoted already; *payload* is the body's SHA-256 in
    hex, or :data:`UNSIGNED_PAYLOAD`.  ``host`` is among the answer and must be sent
    as it stands.  Raises :class:`Unsignable`.
    """
    stamp = when.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    sent = {name.lower(): value for name, value in headers.items()}
    sent.pop("authorization", None)
    sent |= {"host": host_of(url), "x-amz-date": stamp, "x-amz-content-sha256": payload}
    if credentials.token is not None:
        sent["x-amz-security-token"] = credentials.token.reveal()
    signed = sorted(set(sent) - NEVER_SIGNED)
    canonical = "\n".join(
        [
            method,
            _canonical_path(url, scope.service),
            _canonical_query(url),
            *(f"{name}:{' '.join(sent[name].split())}" for name in signed),
            "",
            ";".join(signed),
            payload,
        ]
    )
    terms = f"{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    key = b"AWS4" + credentials.secret_key.reveal().encode()
    for term in terms.split("/"):
        key = _mac(key, term)
    signature = _mac(key, f"AWS4-HMAC-SHA256\n{stamp}\n{terms}\n{hashed}").hex()
    sent["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{terms}, "
        f"SignedHeaders={';'.join(signed)}, Signature={signature}"
    )
    return sent


def host_of(url: str) -> str:
    """The Host header: without the port where it is the scheme's own."""
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        raise Unsignable("not an absolute http(s) URL")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if parts.port in (None, _DEFAULT_PORTS[parts.scheme]):
        return host
    return f"{host}:{parts.port}"


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _canonical_path(url: str, service: str) -> str:
    path = urlsplit(url).path or "/"
    if not url.isascii() or "#" in url or " " in url:
        raise Unsignable("a URL must be quoted before it is signed")
    if service == "s3":
        # S3 takes keys as they are: the path is signed as sent.
        return path
    # All other services tidy the path and quote it once more; nothing of ours has
    # such a path, so what would need tidying is refused.
    if any(segment in (".", "..", "") for segment in path.split("/")[1:-1]) or (
        path.rpartition("/")[2] in (".", "..")
    ):
        raise Unsignable("a path with empty or dot segments")
    return quote(path, safe="/" + _UNRESERVED)


def _canonical_query(url: str) -> str:
    query = urlsplit(url).query
    if "+" in query:
        raise Unsignable("a plus in a query means a space to some: write %20 or %2B")
    items = (item.partition("=") for item in query.split("&") if item)
    pairs = sorted((_requoted(name), _requoted(value)) for name, _, value in items)
    return "&".join(f"{name}={value}" for name, value in pairs)


def _requoted(text: str) -> str:
    return quote(unquote_to_bytes(text), safe=_UNRESERVED)
