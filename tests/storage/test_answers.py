"""What S3's answers mean, row by row."""

from __future__ import annotations

import pytest

from lae_storage.s3 import answers
from lae_storage.s3.answers import Asked, classify, completed_etag, error_of, page_of
from lae_storage.s3.interface import (
    ConditionFailed,
    Contended,
    Denied,
    NotThere,
    Unavailable,
    Unclear,
)

READ = Asked("GET", "k")
ONCE = Asked("PUT", "k", conditional=True, effect="once")
AGAIN = Asked("PUT", "k", effect="repeatable")


@pytest.mark.parametrize(
    ("asked", "status", "code", "expected"),
    [
        (ONCE, 412, "PreconditionFailed", ConditionFailed),
        (ONCE, 404, "NoSuchKey", ConditionFailed),
        (ONCE, 404, "NoSuchBucket", Denied),
        (ONCE, 409, "ConditionalRequestConflict", Contended),
        (ONCE, 500, "InternalError", Unclear),
        (ONCE, 503, "SlowDown", Unavailable),
        (ONCE, 503, "HTTP503", Unavailable),
        (ONCE, 400, "RequestTimeout", Unavailable),
        (ONCE, 403, "AccessDenied", Denied),
        (AGAIN, 500, "InternalError", Unavailable),
        (AGAIN, 404, "NoSuchUpload", NotThere),
        (AGAIN, 400, "ExpiredToken", Unavailable),
        (READ, 404, "NoSuchKey", NotThere),
        (READ, 404, "HTTP404", NotThere),
        (READ, 500, "InternalError", Unavailable),
        (READ, 429, "HTTP429", Unavailable),
        (READ, 301, "PermanentRedirect", Denied),
    ],
)
def test_errors(asked: Asked, status: int, code: str, expected: type) -> None:
    """Each answer is sorted by what is to be done about it."""
    assert type(classify(asked, status, code)) is expected


def test_an_error_in_a_completion_of_status_200() -> None:
    """CompleteMultipartUpload's late error is no success, and its fate is unclear."""
    body = b"<Error><Code>InternalError</Code><Message>m</Message></Error>"
    with pytest.raises(Unclear):
        completed_etag(ONCE, body)
    with pytest.raises(Unclear):
        completed_etag(ONCE, b"cut sho")


def test_bodies_that_are_no_xml() -> None:
    """A proxy's page is an error by its status, and no listing."""
    assert type(error_of(READ, 502, b"<html>bad gateway")) is Unavailable
    with pytest.raises(Unavailable):
        page_of(b"not xml")


def test_the_text_of_errors_tells_no_answer() -> None:
    """An error names the code and the key, never what S3 wrote of our keys."""
    body = (
        b"<Error><Code>SignatureDoesNotMatch</Code>"
        b"<AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>"
    )
    assert "AKIA" not in str(error_of(READ, 403, body))


def test_uploads_in_pages() -> None:
    """A cut listing of uploads continues at both its markers."""
    body = (
        b'<R xmlns="u"><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>'
        b"<NextUploadIdMarker>i</NextUploadIdMarker><Upload><Key>k</Key>"
        b"<UploadId>i</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload></R>"
    )
    page = answers.uploads_of(body)
    assert page.markers == {"key-marker": "k", "upload-id-marker": "i"}
    assert page.uploads[0].begun == 1767225600
