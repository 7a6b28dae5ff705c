"""A bucket's settings: each one's document, and how to check it.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from attrs import define

from lae_provision.aws.policies import bucket_policy, same_policy
from lae_provision.doors import BucketRequest, Tags
from lae_provision.txaws3.clients import XML

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

PUBLIC_ACCESS = (
    "<PublicAccessBlockConfiguration>"
    "<BlockPublicAcls>true</BlockPublicAcls>"
    "<IgnorePublicAcls>true</IgnorePublicAcls>"
    "<BlockPublicPolicy>true</BlockPublicPolicy>"
    "<RestrictPublicBuckets>true</RestrictPublicBuckets>"
    "</PublicAccessBlockConfiguration>"
)
ENCRYPTION = (
    "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>"
    "<SSEAlgorithm>AES256</SSEAlgorithm>"
    "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
)
VERSIONING = (
    "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
)


@define(frozen=True)
class Setting:
    """One subresource of a bucket: its document, and whether a document read back
    agrees with it.
    """

    subresource: str
    document: bytes
    agrees: Callable[[bytes], bool]


def settings_of(request: BucketRequest) -> tuple[Setting, ...]:
    """All settings but the tags, which are set last: a bucket with tags is complete."""
    made = [*closed_settings(), _xml_setting("lifecycle", lifecycle(request))]
    if request.tls_only:
        policy = bucket_policy(request.name)
        made.append(
            Setting(
                "policy", policy.encode(), lambda b: same_policy(b.decode(), policy)
            )
        )
    return tuple(made)


def closed_settings() -> tuple[Setting, ...]:
    """The settings of every bucket of ours: private, encrypted, versioned."""
    documents = (
        ("publicAccessBlock", PUBLIC_ACCESS),
        ("encryption", ENCRYPTION),
        ("versioning", VERSIONING),
    )
    return tuple(_xml_setting(name, text) for name, text in documents)


def location(region: str) -> bytes:
    """Make the body of CreateBucket, which must not name us-east-1."""
    if region == "us-east-1":
        return b""
    return _root(
        "<CreateBucketConfiguration>"
        f"<LocationConstraint>{escape(region)}</LocationConstraint>"
        "</CreateBucketConfiguration>"
    )


def lifecycle(request: BucketRequest) -> str:
    """Delete old versions, markers without versions, and unfinished uploads."""
    return (
        "<LifecycleConfiguration><Rule><ID>s4</ID><Filter><Prefix></Prefix></Filter>"
        "<Status>Enabled</Status>"
        "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"
        "</Expiration><NoncurrentVersionExpiration>"
        f"<NoncurrentDays>{request.noncurrent_days}</NoncurrentDays>"
        "</NoncurrentVersionExpiration><AbortIncompleteMultipartUpload>"
        f"<DaysAfterInitiation>{request.unfinished_upload_days}</DaysAfterInitiation>"
        "</AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"
    )


def tags_document(tags: Tags) -> bytes:
    """Encode tags for S3."""
    listed = "".join(
        f"<Tag><Key>{escape(key)}</Key><Value>{escape(value)}</Value></Tag>"
        for key, value in tags
    )
    return _root(f"<Tagging><TagSet>{listed}</TagSet></Tagging>")


def tags_in(root: Element) -> frozenset[tuple[str, str]]:
    """Read the tags in an answer of S3."""
    return frozenset(
        (tag.findtext("Key") or "", tag.findtext("Value") or "")
        for tag in root.iter("Tag")
    )


def contains(actual: Element, expected: Element) -> bool:
    """Whether *actual* has every element of *expected*; the roots' names may differ.

    S3 adds elements of its own.
    """
    return all(
        any(
            a.tag == e.tag
            and (a.text or "").strip() == (e.text or "").strip()
            and contains(a, e)
            for a in actual
        )
        for e in expected
    )


def _xml_setting(subresource: str, text: str) -> Setting:
    document = _root(text)

    def agrees(body: bytes) -> bool:
        try:
            return contains(XML(body), XML(document))
        except ParseError:
            return False

    return Setting(subresource, document, agrees)


def _root(text: str) -> bytes:
    head, _, rest = text.partition(">")
    return f'{head} xmlns="{NAMESPACE}">{rest}'.encode()
