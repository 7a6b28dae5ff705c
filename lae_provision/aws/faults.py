"""Turns AWS' error answers into our errors.

All of AWS' error formats (EC2's, IAM's, Route 53's and S3's XML, KMS' JSON) and the
transport's failures become one of :mod:`lae_provision.errors`.
"""

from __future__ import annotations

import json
from xml.etree.ElementTree import ParseError

from OpenSSL import SSL
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.error import TimeoutError as TcpTimeout
from twisted.web._newclient import RequestNotSent  # client does not export it
from twisted.web.client import (
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.error import Error as WebError

from lae_protocol.aws.body import BodyCutShort
from lae_protocol.aws.credentials import NoRole
from lae_protocol.aws.metadata import MetadataUnavailable
from lae_protocol.process.deadline import DeadlinePassed
from lae_provision.errors import (
    AlreadyThere,
    NoCapacity,
    ProvisionError,
    Refused,
    TokenSpent,
    TryLater,
)
from lae_provision.txaws3.clients import XML


class Throttled(TryLater):
    """AWS throttles us: nothing was done; try again, more slowly."""


THROTTLES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
#: Trouble of the service itself, or a conflict that will pass.
LATER = frozenset(
    {
        "ConcurrentModification",
        "ConditionalRequestConflict",
        "DependencyTimeoutException",
        "EntityTemporarilyUnmodifiable",
        "ExpiredToken",
        "ExpiredTokenException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "KMSInternalException",
        "OperationAborted",
        "PriorRequestNotComplete",
        "RequestExpired",
        # This machine's clock is wrong; the call works once the clock is right.
        "RequestTimeTooSkewed",
        "RequestTimeout",
        "ServiceUnavailable",
        "Unavailable",
    }
)
NO_CAPACITY = frozenset(
    {
        "InstanceLimitExceeded",
        "InsufficientAddressCapacity",
        "InsufficientCapacity",
        "InsufficientFreeAddressesInSubnet",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "VcpuLimitExceeded",
    }
)
THERE = frozenset(
    {
        "BucketAlreadyExists",
        "BucketAlreadyOwnedByYou",
        "EntityAlreadyExists",
        "InvalidGroup.Duplicate",
        "PreconditionFailed",
    }
)
SPENT = frozenset({"IdempotentInstanceTerminated"})

_KINDS: tuple[tuple[frozenset[str], type[ProvisionError]], ...] = (
    (THROTTLES, Throttled),
    (LATER, TryLater),
    (NO_CAPACITY, NoCapacity),
    (THERE, AlreadyThere),
    (SPENT, TokenSpent),
)
#: Failures of the transport, after which the call may have taken effect.
_TRANSPORT = (
    BodyCutShort,
    ConnectError,
    ConnectionClosed,
    DNSLookupError,
    DeadlinePassed,
    MetadataUnavailable,
    NoRole,
    RequestNotSent,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
    SSL.Error,
    TcpTimeout,
)
_SERVER_ERROR = 500
_TOO_MANY = 429
_PRECONDITION = 412
_LONGEST = 300


def fault_of_answer(status: int, body: bytes) -> ProvisionError:
    """Return the error for an answer with this status and body."""
    code, message = _code_and_message(body)
    if not code and status == _PRECONDITION:
        # A HEAD, or an empty body.
        code = "PreconditionFailed"
    code = code or f"HTTP{status}"
    for codes, kind in _KINDS:
        if code in codes:
            return kind(code, message)
    if status == _TOO_MANY:
        return Throttled(code, message)
    if status >= _SERVER_ERROR:
        return TryLater(code, message)
    return Refused(code, message)


def fault_of(error: Exception) -> ProvisionError | None:
    """Return the error for a failed call; None if the failure is a bug of ours."""
    if isinstance(error, ProvisionError):
        return error
    if isinstance(error, WebError):
        # txaws' own errors are of this kind; what they parsed has gaps (a 5xx of EC2
        # raises KeyError in str(), Route 53's have no code), so we read the answer.
        return fault_of_answer(int(error.status), error.response or b"")
    if isinstance(error, (*_TRANSPORT, ParseError)):
        return TryLater(
            type(error).__name__,
            "the connection failed; the call may have taken effect",
        )
    return None


def _code_and_message(body: bytes) -> tuple[str, str]:
    if body.lstrip()[:1] == b"{":
        return _of_json(body)
    try:
        root = XML(body)
    except (ParseError, ValueError):
        return "", ""
    node = root if root.tag == "Error" else root.find(".//Error")
    if node is None:
        # Route 53 lists the problems of a batch of changes in this form.
        texts = [m.text or "" for m in root.iter("Message")]
        return ("" if root.tag == "html" else root.tag), "; ".join(texts)[:_LONGEST]
    message = node.findtext("Message") or ""
    return node.findtext("Code") or "", message.strip()[:_LONGEST]


def _of_json(body: bytes) -> tuple[str, str]:
    try:
        fields = json.loads(body)
    except ValueError:
        return "", ""
    code = str(fields.get("__type") or fields.get("code") or "").rpartition("#")[2]
    message = fields.get("message") or fields.get("Message") or ""
    return code, str(message)[:_LONGEST]
