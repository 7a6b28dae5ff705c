"""Customers' buckets on S3."""

from __future__ import annotations

import base64
import hashlib
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

from lae_protocol.aws.agent import Answer
from lae_provision.aws.bucket_settings import (
    NAMESPACE,
    Setting,
    location,
    settings_of,
    tags_document,
    tags_in,
)
from lae_provision.aws.channel import Channel, none_on, parse_xml
from lae_provision.aws.faults import fault_of_answer
from lae_provision.aws.s3 import BucketClient, Subresource
from lae_provision.doors import BucketRequest, IBuckets
from lae_provision.errors import AlreadyThere, TryLater

NOT_OURS = frozenset({"NoSuchBucket", "NoSuchTagSet", "AccessDenied", "HTTP403"})
GONE = frozenset({"NoSuchBucket"})
OURS = frozenset({"BucketAlreadyOwnedByYou"})
NO_TAGS = frozenset({"NoSuchTagSet"})
NOT_SET = frozenset(
    {
        "NoSuchBucketPolicy",
        "NoSuchLifecycleConfiguration",
        "NoSuchPublicAccessBlockConfiguration",
        "ServerSideEncryptionConfigurationNotFoundError",
    }
)
#: The limit of one DeleteObjects.
PAGE = 1000


@define(frozen=True)
class S3Buckets(IBuckets):
    """See :class:`~lae_provision.doors.IBuckets`.

    Tags are set last: a bucket that a crash left half made has none, so ``find`` does
    not find it and the next ``make`` completes it.
    """

    channel: Channel
    _client: BucketClient = field(init=False)

    @_client.default
    def _make_client(self) -> BucketClient:
        return BucketClient(self.channel)

    async def _tags(self, name: str) -> frozenset[tuple[str, str]]:
        answer = await self._client.call("GET", name, subresource=[("tagging",)])
        return tags_in(parse_xml(answer.body))

    async def find(self, name: str) -> str | None:
        """Return the name if the bucket has our tags."""
        tags = await none_on(NOT_OURS, self._tags(name))
        return name if any(key.startswith("s4:") for key, _ in tags or ()) else None

    async def make(self, request: BucketRequest) -> None:
        """Make the bucket with all settings, and read them back.

        AlreadyThere if another account or another customer has the name.
        """
        name = request.name
        await none_on(
            OURS,
            self._client.call("PUT", name, body=location(request.region) or None),
        )
        there = await none_on(
            NO_TAGS, self.channel.retry_while_missing(GONE, lambda: self._tags(name))
        )
        if there and there != frozenset(request.tags):
            raise AlreadyThere("BucketAlreadyOwnedByYou", f"{name} has other tags")
        for setting in settings_of(request):
            await self._set(name, setting.subresource, setting.document)
        await self._check_all(name, settings_of(request))
        await self._set(name, "tagging", tags_document(request.tags))

    async def _set(self, name: str, subresource: str, document: bytes) -> None:
        await self.channel.retry_while_missing(
            GONE,
            lambda: self._client.call(
                "PUT",
                name,
                subresource=[(subresource,)],
                body=document,
                headers={"content-md5": content_md5(document)},
            ),
        )

    async def _check_all(self, name: str, settings: tuple[Setting, ...]) -> None:
        """Read all settings back at the same time; raises the first error.

        Only reads run at the same time: S3 refuses concurrent changes of a bucket.
        """
        looking = [Deferred.fromCoroutine(self._check(name, s)) for s in settings]
        for _, outcome in await DeferredList(looking, consumeErrors=True):
            if isinstance(outcome, Failure):
                outcome.raiseException()

    async def _check(self, name: str, setting: Setting) -> None:
        async def look() -> None:
            answer = await none_on(
                NOT_SET,
                self._client.call("GET", name, subresource=[(setting.subresource,)]),
            )
            if answer is None or not setting.agrees(answer.body):
                # S3 may show a setting a little after it has accepted it.
                raise TryLater("NotSetYet", f"{name}: {setting.subresource}")

        await self.channel.attempt(look)

    async def unmake(self, name: str) -> None:
        """Delete every version, marker and unfinished upload, then the bucket.

        TryLater while something is still written to the bucket.
        """
        emptied = await none_on(GONE, self._empty(name))
        if emptied is not None:
            await none_on(GONE, self._delete_bucket(name))

    async def _empty(self, name: str) -> bool:
        # Deleted versions are not listed, so the first page is always the next one.
        while versions := await self._page(
            name, [("versions",), ("max-keys", str(PAGE))], "Version", "DeleteMarker"
        ):
            await self._delete(name, versions)
        while uploads := await self._page(
            name, [("uploads",), ("max-uploads", str(PAGE))], "Upload"
        ):
            for upload in uploads:
                await self._abort(name, upload)
        return True

    async def _page(
        self, name: str, subresource: Subresource, *tags: str
    ) -> list[Element]:
        answer = await self._client.call("GET", name, subresource=subresource)
        return [item for item in parse_xml(answer.body) if item.tag in tags]

    async def _delete(self, name: str, versions: list[Element]) -> None:
        objects = "".join(
            f"<Object><Key>{escape(v.findtext('Key') or '')}</Key>"
            f"<VersionId>{escape(v.findtext('VersionId') or '')}</VersionId></Object>"
            for v in versions
        )
        body = f'<Delete xmlns="{NAMESPACE}"><Quiet>true</Quiet>{objects}</Delete>'
        answer = await self._client.call(
            "POST",
            name,
            subresource=[("delete",)],
            body=body.encode(),
            headers={"content-md5": content_md5(body.encode())},
        )
        _check_deleted(answer)

    async def _abort(self, name: str, upload: Element) -> None:
        await none_on(
            frozenset({"NoSuchUpload"}),
            self._client.call(
                "DELETE",
                name,
                key=upload.findtext("Key") or "",
                subresource=[("uploadId", upload.findtext("UploadId") or "")],
            ),
        )

    async def _delete_bucket(self, name: str) -> None:
        still = await none_on(
            frozenset({"BucketNotEmpty"}),
            self._client.call("DELETE", name),
        )
        if still is None:
            raise TryLater(
                "BucketNotEmpty", f"{name}: something is still written to it"
            )


def _check_deleted(answer: Answer) -> None:
    """Raise the error in the body of a DeleteObjects with status 200, if any."""
    error = parse_xml(answer.body).find("Error")
    if error is not None:
        code = escape(error.findtext("Code") or "")
        text = escape(error.findtext("Message") or "")
        body = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
        raise fault_of_answer(400, body.encode())


def content_md5(body: bytes) -> str:
    """Hash *body* for the header Content-MD5."""
    hashed = hashlib.md5(body, usedforsecurity=False).digest()
    return base64.b64encode(hashed).decode("ascii")
