"""What S3's answers mean: errors sorted by what to do, and its XML read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from xml.etree import ElementTree as ET

from attrs import define

from lae_storage.s3.interface import (
    ConditionFailed,
    Contended,
    Denied,
    Listed,
    NotThere,
    Page,
    StoreError,
    Unavailable,
    Unclear,
    Unfinished,
    VersionsPage,
)

NOT_FOUND, CONFLICT, PRECONDITION_FAILED, RANGE_NOT_SATISFIABLE = 404, 409, 412, 416
SERVICE_UNAVAILABLE, SERVER_ERROR, TOO_MANY, BAD = 503, 500, 429, 400

#: Nothing was done, and the same request may do better in a moment.
PASSING = frozenset(
    {
        "SlowDown",
        "ServiceUnavailable",
        "RequestTimeout",
        "RequestTimeTooSkewed",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "ExpiredToken",
        "OperationAborted",
    }
)


@define(frozen=True)
class Asked:
    """What was asked, as far as it changes what an answer means."""

    method: str
    key: str
    conditional: bool = False
    effect: Literal["none", "repeatable", "once"] = "none"


def _parse(body: bytes) -> ET.Element | None:
    try:
        # The store's own answer, bounded in size; expat expands no outside entity.
        return ET.fromstring(body)  # noqa: S314
    except ET.ParseError:
        return None


def _text(node: ET.Element, name: str) -> str:
    return node.findtext(f"{{*}}{name}") or node.findtext(name) or ""


def error_of(asked: Asked, status: int, body: bytes) -> StoreError:
    """The error that an answer of status 300 or more is."""
    root = _parse(body)
    code = (_text(root, "Code") if root is not None else "") or f"HTTP{status}"
    return classify(asked, status, code)


def classify(asked: Asked, status: int, code: str) -> StoreError:
    """Sort by what to do; a pure table, tested row by row."""
    what = f"{asked.method} {asked.key}"
    if status == PRECONDITION_FAILED:
        return ConditionFailed(code, what)
    if status == CONFLICT and code == "ConditionalRequestConflict":
        return Contended(code, what)
    if status == NOT_FOUND:
        return _not_found(asked, code, what)
    if code in PASSING or status in (SERVICE_UNAVAILABLE, TOO_MANY):
        return Unavailable(code, what)
    if status >= SERVER_ERROR:
        # It may have been carried out before it failed.
        return (
            Unclear(code, what) if asked.effect == "once" else Unavailable(code, what)
        )
    return Denied(code, what)


def _not_found(asked: Asked, code: str, what: str) -> StoreError:
    if code == "NoSuchBucket":
        return Denied(code, what)
    # If-Match on an object that is gone is answered so by AWS, not with 412.
    return (ConditionFailed if asked.conditional else NotThere)(code, what)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def page_of(body: bytes) -> Page:
    """ListObjectsV2's answer; raises :class:`Unavailable` on what is none."""
    root = _parse(body)
    if root is None:
        raise Unavailable("MalformedXML", "a listing")
    lines = tuple(
        Listed(
            _text(node, "Key"),
            _text(node, "ETag"),
            int(_text(node, "Size")),
            _moment(_text(node, "LastModified")),
        )
        for node in root.findall("{*}Contents")
    )
    more = _text(root, "IsTruncated") == "true" and lines
    return Page(lines, lines[-1].key if more else None)


def versions_of(body: bytes) -> VersionsPage:
    """ListObjectVersions' answer."""
    root = _parse(body)
    if root is None:
        raise Unavailable("MalformedXML", "a listing of versions")
    sizes = {"true": 0, "false": 0}
    for node in root.findall("{*}Version"):
        sizes[_text(node, "IsLatest")] += int(_text(node, "Size"))
    after = (_text(root, "NextKeyMarker"), _text(root, "NextVersionIdMarker"))
    more = _text(root, "IsTruncated") == "true" and after[0]
    return VersionsPage(sizes["true"], sizes["false"], after if more else None)


@define(frozen=True)
class UploadsPage:
    """Some unfinished uploads, and the markers that continue."""

    uploads: tuple[Unfinished, ...]
    markers: Mapping[str, str] | None


def uploads_of(body: bytes) -> UploadsPage:
    """ListMultipartUploads' answer."""
    root = _parse(body)
    if root is None:
        raise Unavailable("MalformedXML", "a listing of uploads")
    uploads = tuple(
        Unfinished(
            _text(node, "Key"),
            _text(node, "UploadId"),
            _moment(_text(node, "Initiated")),
        )
        for node in root.findall("{*}Upload")
    )
    if _text(root, "IsTruncated") != "true":
        return UploadsPage(uploads, None)
    markers = {
        "key-marker": _text(root, "NextKeyMarker"),
        "upload-id-marker": _text(root, "NextUploadIdMarker"),
    }
    return UploadsPage(uploads, markers)


def upload_id_of(body: bytes) -> str:
    """CreateMultipartUpload's answer."""
    root = _parse(body)
    if root is None or not _text(root, "UploadId"):
        raise Unavailable("MalformedXML", "no upload id")
    return _text(root, "UploadId")


def completed_etag(asked: Asked, body: bytes) -> str:
    """CompleteMultipartUpload's answer, which may be an error with status 200."""
    root = _parse(body)
    if root is None:
        raise Unclear("MalformedXML", asked.key)
    if root.tag.rpartition("}")[2] == "Error":
        raise error_of(asked, SERVER_ERROR, body)
    return _text(root, "ETag")


def parts_document(etags: tuple[str, ...]) -> bytes:
    """What CompleteMultipartUpload is sent."""
    root = ET.Element("CompleteMultipartUpload")
    for number, etag in enumerate(etags, 1):
        part = ET.SubElement(root, "Part")
        ET.SubElement(part, "PartNumber").text = str(number)
        ET.SubElement(part, "ETag").text = etag
    return ET.tostring(root)
