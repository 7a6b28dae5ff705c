from __future__ import annotations

from xml.etree.ElementTree import ParseError

import pytest
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived
from twisted.web.error import Error as WebError

from lae_protocol.process.deadline import DeadlinePassed
from lae_provision.aws.faults import Throttled, fault_of, fault_of_answer
from lae_provision.errors import (
    AlreadyThere,
    NoCapacity,
    ProvisionError,
    Refused,
    TokenSpent,
    TryLater,
)
from lae_provision.txaws3.clients import AWSError


def ec2(code: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error>'
        f"<Code>{code}</Code><Message>why</Message></Error></Errors>"
        "<RequestID>1</RequestID></Response>"
    ).encode()


def iam(code: str) -> bytes:
    return (
        '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error>'
        f"<Type>Sender</Type><Code>{code}</Code><Message>why</Message></Error>"
        "<RequestId>1</RequestId></ErrorResponse>"
    ).encode()


def s3(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>why</Message></Error>".encode()


BATCH = (
    b'<InvalidChangeBatch xmlns="https://route53.amazonaws.com/doc/2013-04-01/">'
    b"<Messages><Message>one</Message><Message>two</Message></Messages>"
    b"</InvalidChangeBatch>"
)
HTML = b"<html><body>504 Gateway</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (503, ec2("RequestLimitExceeded"), Throttled, "RequestLimitExceeded"),
        (503, s3("SlowDown"), Throttled, "SlowDown"),
        (400, iam("Throttling"), Throttled, "Throttling"),
        (400, b'{"__type":"ThrottlingException"}', Throttled, "ThrottlingException"),
        (429, b"", Throttled, "HTTP429"),
        (500, ec2("InternalError"), TryLater, "InternalError"),
        (503, ec2("Unavailable"), TryLater, "Unavailable"),
        (400, iam("PriorRequestNotComplete"), TryLater, "PriorRequestNotComplete"),
        (409, s3("OperationAborted"), TryLater, "OperationAborted"),
        (409, s3("ConditionalRequestConflict"), TryLater, "ConditionalRequestConflict"),
        (400, s3("RequestTimeout"), TryLater, "RequestTimeout"),
        (400, s3("ExpiredToken"), TryLater, "ExpiredToken"),
        (504, HTML, TryLater, "HTTP504"),
        (502, b"", TryLater, "HTTP502"),
        (
            500,
            ec2("InsufficientInstanceCapacity"),
            NoCapacity,
            "InsufficientInstanceCapacity",
        ),
        (400, ec2("VcpuLimitExceeded"), NoCapacity, "VcpuLimitExceeded"),
        (
            400,
            ec2("IdempotentInstanceTerminated"),
            TokenSpent,
            "IdempotentInstanceTerminated",
        ),
        (409, iam("EntityAlreadyExists"), AlreadyThere, "EntityAlreadyExists"),
        (409, s3("BucketAlreadyExists"), AlreadyThere, "BucketAlreadyExists"),
        (412, s3("PreconditionFailed"), AlreadyThere, "PreconditionFailed"),
        (412, b"", AlreadyThere, "PreconditionFailed"),
        (403, ec2("UnauthorizedOperation"), Refused, "UnauthorizedOperation"),
        (
            400,
            ec2("IdempotentParameterMismatch"),
            Refused,
            "IdempotentParameterMismatch",
        ),
        (400, BATCH, Refused, "InvalidChangeBatch"),
        (
            400,
            b'{"__type":"com.amazonaws.kms#NotFoundException","message":"no"}',
            Refused,
            "NotFoundException",
        ),
        (404, HTML, Refused, "HTTP404"),
        (403, b"{not json", Refused, "HTTP403"),
        (403, b"", Refused, "HTTP403"),
    ],
)
def test_answers(
    status: int, body: bytes, kind: type[ProvisionError], code: str
) -> None:
    """Each service's error is of the kind that says what to do, with AWS' own code."""
    fault = fault_of_answer(status, body)
    assert type(fault) is kind
    assert fault.code == code


def test_messages_are_told() -> None:
    """The operator reads AWS' words, cut where they are endless."""
    assert fault_of_answer(400, ec2("X")).message == "why"
    assert fault_of_answer(400, BATCH).message == "one; two"
    long = ec2("X").replace(b"why", b"w" * 5000)
    assert len(fault_of_answer(400, long).message) == 300


def test_a_document_type_is_no_answer() -> None:
    """An error page with a document type is judged by its status alone."""
    body = b'<!DOCTYPE a [<!ENTITY b "SlowDown">]><Error><Code>&b;</Code></Error>'
    assert fault_of_answer(400, body).code == "HTTP400"


@pytest.mark.parametrize(
    "error",
    [
        ConnectError(),
        ConnectionLost(),
        DeadlinePassed("ec2", 30),
        ParseError("no XML"),
        ResponseNeverReceived([Failure(ConnectionLost())]),
    ],
)
def test_lost_answers(error: Exception) -> None:
    """What was lost on the way may be tried again, and may have happened."""
    assert type(fault_of(error)) is TryLater


def test_txaws_errors() -> None:
    """An error of txaws' is read from its answer: of a 5xx of EC2 it can itself not
    tell the code.
    """
    body = ec2("RequestLimitExceeded")
    theirs = AWSError(body, 503, "message", body)
    with pytest.raises(KeyError):
        str(theirs)
    assert type(fault_of(theirs)) is Throttled
    assert type(fault_of(WebError(b"503", None, s3("SlowDown")))) is Throttled
    assert type(fault_of(WebError(500))) is TryLater


def test_bugs_are_no_faults() -> None:
    """An exception that has nothing to do with AWS stays what it is."""
    assert fault_of(ZeroDivisionError()) is None
