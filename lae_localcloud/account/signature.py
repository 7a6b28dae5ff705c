"""Checks AWS Signature Version 4 as a service does: from what arrived.

Written apart from :mod:`lae_protocol.aws.sigv4`, which signs: two readings of the
same specification, so that a mistake in one of them shows.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_to_bytes

from attrs import define

from lae_localcloud.exchange import ApiError, ApiRequest

#: How far a request's clock may be off, as at AWS.
SKEW = timedelta(minutes=15)
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<key>[^/,\s]+)/(?P<day>\d{8})/(?P<region>[^/]+)"
    r"/(?P<service>[^/]+)/aws4_request\s*,\s*SignedHeaders=(?P<headers>[^,\s]+)\s*,"
    r"\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_PLAIN = "-_.~"


@define(frozen=True)
class Authorization:
    """What the Authorization header says; nothing of it is checked yet."""

    access_key: str
    day: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Authorization:
        """Read it; raises :class:`ApiError`."""
        text = headers.get("authorization")
        if not text:
            raise ApiError(
                403, "MissingAuthenticationToken", "Missing Authentication Token"
            )
        found = _AUTHORIZATION.fullmatch(text.strip())
        if found is None:
            raise ApiError(
                400, "IncompleteSignature", "not a Signature Version 4 header"
            )
        names = tuple(found["headers"].split(";"))
        return cls(
            found["key"],
            found["day"],
            found["region"],
            found["service"],
            names,
            found["signature"],
        )


def check_signature(
    request: ApiRequest, said: Authorization, secret_key: str, now: datetime
) -> None:
    """Raise :class:`ApiError` unless the request was signed with *secret_key*."""
    stamp = _stamp(request, said, now)
    _check_coverage(request, said)
    canonical = "\n".join(
        [
            request.method,
            _path(request.path, said.service),
            _query(request.query),
            *(f"{n}:{_value(request, n)}" for n in said.signed_headers),
            "",
            ";".join(said.signed_headers),
            _payload(request, said.service),
        ]
    )
    scope = f"{said.day}/{said.region}/{said.service}/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}"
    key = ("AWS4" + secret_key).encode()
    for part in (said.day, said.region, said.service, "aws4_request", text):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(key.hex(), said.signature):
        raise ApiError(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the one provided.",
        )


def _stamp(request: ApiRequest, said: Authorization, now: datetime) -> str:
    stamp = request.headers.get("x-amz-date", "")
    try:
        when = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ApiError(
            403, "AccessDenied", "AWS authentication requires a valid x-amz-date"
        ) from None
    if abs(now - when) > SKEW or stamp[:8] != said.day:
        raise ApiError(403, "RequestTimeTooSkewed", "the request's time is too far off")
    return stamp


def _check_coverage(request: ApiRequest, said: Authorization) -> None:
    """Host and every ``x-amz-*`` header that is there must be signed."""
    must = {"host"} | {n for n in request.headers if n.startswith("x-amz-")}
    unsigned = must - set(said.signed_headers)
    if unsigned:
        raise ApiError(
            403,
            "AccessDenied",
            "There were headers present in the request which were not signed: "
            + ", ".join(sorted(unsigned)),
        )


def _value(request: ApiRequest, name: str) -> str:
    return " ".join(request.headers.get(name, "").split())


def _path(path: str, service: str) -> str:
    if service == "s3":
        return path or "/"
    return quote(path or "/", safe="/" + _PLAIN)


def _query(query: str) -> str:
    items = (item.partition("=") for item in query.split("&") if item)
    return "&".join(
        f"{name}={value}"
        for name, value in sorted((_quoted(n), _quoted(v)) for n, _, v in items)
    )


def _quoted(text: str) -> str:
    return quote(unquote_to_bytes(text), safe=_PLAIN)


def _payload(request: ApiRequest, service: str) -> str:
    said = request.headers.get("x-amz-content-sha256")
    if said is None and service == "s3":
        raise ApiError(
            400, "InvalidRequest", "Missing required header x-amz-content-sha256"
        )
    real = hashlib.sha256(request.body).hexdigest()
    if said is None:
        return real
    if said == "UNSIGNED-PAYLOAD" and service == "s3":
        return said
    if said != real:
        raise ApiError(
            400,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was sent.",
        )
    return said
