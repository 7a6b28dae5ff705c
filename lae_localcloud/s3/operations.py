"""Which S3 operation a request is, what it must be allowed, and who answers it."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import parse_qsl, unquote

from attrs import define

from lae_localcloud.account.moto import ACCOUNT_ID
from lae_localcloud.account.policy import Ask
from lae_localcloud.exchange import ApiError, ApiRequest

#: Bucket configurations: the sub-resource, its name in operations, and in actions.
_CONFIGURATIONS = {
    "policy": ("BucketPolicy", "BucketPolicy"),
    "publicAccessBlock": ("PublicAccessBlock", "BucketPublicAccessBlock"),
    "encryption": ("BucketEncryption", "EncryptionConfiguration"),
    "lifecycle": ("BucketLifecycleConfiguration", "LifecycleConfiguration"),
    "versioning": ("BucketVersioning", "BucketVersioning"),
    "tagging": ("BucketTagging", "BucketTagging"),
    "location": ("BucketLocation", "BucketLocation"),
    "ownershipControls": ("BucketOwnershipControls", "BucketOwnershipControls"),
    "acl": ("BucketAcl", "BucketAcl"),
    "policyStatus": ("BucketPolicyStatus", "BucketPolicyStatus"),
    "object-lock": ("ObjectLockConfiguration", "BucketObjectLockConfiguration"),
    "logging": ("BucketLogging", "BucketLogging"),
    "cors": ("BucketCors", "BucketCORS"),
}
#: Deleting these is allowed by the action for putting them.
_PUT_DELETES = frozenset(set(_CONFIGURATIONS) - {"policy"})
_VERBS = {"GET": "Get", "HEAD": "Get", "PUT": "Put", "DELETE": "Delete"}
#: Who answers: the account's model (moto), the store (weed), or both.
By = Literal["account", "store", "both"]


@define(frozen=True)
class Operation:
    """One S3 call.  *action* is the operation's name (``PutObject``)."""

    action: str
    permission: str
    bucket: str
    key: str
    by: By
    query: dict[str, str]

    @property
    def service(self) -> str:
        """For faults."""
        return "s3"

    @property
    def subject(self) -> str:
        """What a fault's ``contains`` is looked for in: ``bucket/key``."""
        return f"{self.bucket}/{self.key}"

    @property
    def named(self) -> dict[str, str]:
        """The parts of its path, by the names that S3's model gives them."""
        named = {"Bucket": self.bucket, "Key": self.key}
        return {name: part for name, part in named.items() if part}

    @property
    def reads_object(self) -> bool:
        """Tell whether it asks for what a key holds."""
        return self.action in ("GetObject", "HeadObject")

    @property
    def changes_object(self) -> bool:
        """Tell whether it can change what a key holds."""
        return self.action in (
            "PutObject",
            "CopyObject",
            "DeleteObject",
            "CompleteMultipartUpload",
        )

    def asks(self, request: ApiRequest) -> list[Ask]:
        """What must be allowed; the keys of a batch deletion are in its body."""
        known = {
            "aws:securetransport": ("false",),
            "s3:resourceaccount": (ACCOUNT_ID,),
            **_conditions(self, request),
        }
        bucket = f"arn:aws:s3:::{self.bucket}" if self.bucket else "*"
        if self.action == "DeleteObjects":
            named = re.findall(
                r"<Key>([^<]*)</Key>", request.body.decode("utf-8", "replace")
            )
            versions = b"<VersionId>" in request.body
            action = "s3:DeleteObjectVersion" if versions else "s3:DeleteObject"
            return [Ask(action, f"{bucket}/{_unescaped(k)}", known) for k in named]
        asks = [
            Ask(self.permission, f"{bucket}/{self.key}" if self.key else bucket, known)
        ]
        source = request.headers.get("x-amz-copy-source")
        if source is not None:
            path = unquote(source.partition("?")[0]).lstrip("/")
            asks.append(Ask("s3:GetObject", f"arn:aws:s3:::{path}", known))
        return asks


def operation_of(request: ApiRequest) -> Operation:
    """Read it; raises :class:`ApiError` for what S3 does not have, or we do not."""
    bucket, _, key = request.path.lstrip("/").partition("/")
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    bucket, key = unquote(bucket), unquote(key)
    if any(segment in ("", ".", "..") for segment in key.split("/")[:-1]):
        # SeaweedFS would keep it under another name; S3 takes any.
        raise ApiError(501, "NotImplemented", "the local S3 has no such key")
    if not bucket:
        name, permission, by = _service(request.method)
    elif not key:
        name, permission, by = _bucket(request.method, query)
    else:
        name, permission, by = _object(request, query)
    return Operation(name, f"s3:{permission}", bucket, key, by, query)


def _not_done(method: str, query: dict[str, str]) -> ApiError:
    what = "&".join(sorted(query))
    return ApiError(501, "NotImplemented", f"the local S3 has no {method} ?{what}")


def _service(method: str) -> tuple[str, str, By]:
    if method != "GET":
        raise ApiError(405, "MethodNotAllowed", "nothing but GET has no bucket")
    return "ListBuckets", "ListAllMyBuckets", "account"


def _bucket(method: str, query: dict[str, str]) -> tuple[str, str, By]:
    for name, (operation, permission) in _CONFIGURATIONS.items():
        if name in query and method in _VERBS:
            verb = _VERBS[method]
            allowed = "Put" if verb == "Delete" and name in _PUT_DELETES else verb
            both: By = "both" if (name, verb) == ("versioning", "Put") else "account"
            return verb + operation, allowed + permission, both
    match method:
        case "PUT" if not query:
            return "CreateBucket", "CreateBucket", "both"
        case "DELETE" if not query:
            return "DeleteBucket", "DeleteBucket", "both"
        case "HEAD":
            return "HeadBucket", "ListBucket", "account"
        case "GET":
            return _listing(query)
        case "POST" if "delete" in query:
            return "DeleteObjects", "DeleteObject", "store"
    raise _not_done(method, query)


def _listing(query: dict[str, str]) -> tuple[str, str, By]:
    if "versions" in query:
        return "ListObjectVersions", "ListBucketVersions", "store"
    if "uploads" in query:
        return "ListMultipartUploads", "ListBucketMultipartUploads", "store"
    if query.get("list-type") == "2":
        return "ListObjectsV2", "ListBucket", "store"
    strange = set(query) - {
        "prefix",
        "marker",
        "delimiter",
        "max-keys",
        "encoding-type",
    }
    if strange:
        raise _not_done("GET", query)
    return "ListObjects", "ListBucket", "store"


def _object(request: ApiRequest, query: dict[str, str]) -> tuple[str, str, By]:
    method = request.method
    version = "Version" if "versionId" in query else ""
    if "tagging" in query and method in _VERBS:
        verb = _VERBS[method]
        return f"{verb}ObjectTagging", f"{verb}Object{version}Tagging", "store"
    if "uploads" in query or "uploadId" in query:
        return _multipart(method, query)
    if set(query) - {"versionId", "partNumber", "x-id"} - _RESPONSE_OVERRIDES:
        raise _not_done(method, query)
    if method == "PUT":
        copying = "x-amz-copy-source" in request.headers
        return "CopyObject" if copying else "PutObject", "PutObject", "store"
    match method:
        case "GET" | "HEAD":
            return f"{method.title()}Object", f"GetObject{version}", "store"
        case "DELETE":
            return "DeleteObject", f"DeleteObject{version}", "store"
    raise _not_done(method, query)


_RESPONSE_OVERRIDES = frozenset(
    f"response-{n}"
    for n in (
        "content-type",
        "content-language",
        "expires",
        "cache-control",
        "content-disposition",
        "content-encoding",
    )
)


def _multipart(method: str, query: dict[str, str]) -> tuple[str, str, By]:
    match method:
        case "POST" if "uploads" in query:
            return "CreateMultipartUpload", "PutObject", "store"
        case "POST":
            return "CompleteMultipartUpload", "PutObject", "store"
        case "PUT":
            return "UploadPart", "PutObject", "store"
        case "GET":
            return "ListParts", "ListMultipartUploadParts", "store"
        case "DELETE":
            return "AbortMultipartUpload", "AbortMultipartUpload", "store"
    raise _not_done(method, query)


def _conditions(
    operation: Operation, request: ApiRequest
) -> dict[str, tuple[str, ...]]:
    known: dict[str, tuple[str, ...]] = {}
    if operation.action.startswith("List"):
        known["s3:prefix"] = (operation.query.get("prefix", ""),)
        if "delimiter" in operation.query:
            known["s3:delimiter"] = (operation.query["delimiter"],)
    for name in (
        "if-match",
        "if-none-match",
        "x-amz-server-side-encryption",
        "x-amz-acl",
    ):
        if name in request.headers:
            known[f"s3:{name}"] = (request.headers[name],)
    return known


def _unescaped(text: str) -> str:
    for entity, plain in (
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", '"'),
        ("&amp;", "&"),
    ):
        text = text.replace(entity, plain)
    return text
