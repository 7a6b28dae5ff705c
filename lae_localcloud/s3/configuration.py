"""Buckets and their configuration: moto judges and remembers, the store follows."""

from __future__ import annotations

from lae_localcloud.account.moto import Moto
from lae_localcloud.exchange import ApiError, ApiRequest, ApiResponse
from lae_localcloud.s3.body import Bytes
from lae_localcloud.s3.operations import Operation
from lae_localcloud.s3.weed import Weed

_NOT_EMPTY = ApiError(
    409, "BucketNotEmpty", "The bucket you tried to delete is not empty"
)


class Configuration:
    """Answers what is about buckets, not objects."""

    def __init__(self, moto: Moto, weed: Weed) -> None:
        self._moto, self._weed = moto, weed

    async def answer(self, operation: Operation, request: ApiRequest) -> ApiResponse:
        """One call; raises :class:`ApiError`."""
        if operation.action == "DeleteBucket":
            await self._delete(operation.bucket)
        answer = await self._moto.run(self._moto.call, request)
        if operation.by == "both" and answer.ok:
            await self._follow(operation, request)
        return answer

    async def _delete(self, bucket: str) -> None:
        """The store first: it alone knows whether the bucket is empty."""
        if not await self._moto.run(self._known, bucket):
            raise ApiError(404, "NoSuchBucket", "The specified bucket does not exist")
        for query in ("versions&max-keys=1", "uploads&max-uploads=1"):
            _, listing = await self._weed.small("GET", f"/{bucket}", query)
            if any(
                t in listing for t in (b"<Version>", b"<DeleteMarker>", b"<Upload>")
            ):
                raise _NOT_EMPTY
        status, text = await self._weed.small("DELETE", f"/{bucket}")
        if status == 409:  # noqa: PLR2004  (HTTP's conflict)
            raise _NOT_EMPTY
        self._check(status, text)

    def _known(self, bucket: str) -> bool:
        return bucket in self._moto.backend("s3").buckets

    async def _follow(self, operation: Operation, request: ApiRequest) -> None:
        match operation.action:
            case "CreateBucket":
                answer = await self._weed.small("PUT", f"/{operation.bucket}")
                await self._weed.make_room(operation.bucket)
            case "PutBucketVersioning":
                body = Bytes(request.body)
                path = f"/{operation.bucket}"
                answer = await self._weed.small("PUT", path, "versioning", body)
            case _:
                return
        self._check(*answer)

    def _check(self, status: int, text: bytes) -> None:
        if status not in (200, 204, 404):
            raise ApiError(500, "InternalError", text.decode("utf-8", "replace"))
