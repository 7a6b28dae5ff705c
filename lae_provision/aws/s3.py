"""txAWS' S3Client, extended by the calls that it lacks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from twisted.web.http import NO_CONTENT, OK
from twisted.web.http_headers import Headers

from lae_protocol.aws.agent import Answer
from lae_provision.aws.channel import LARGEST_ANSWER, Channel
from lae_provision.aws.whole import WholeAnswerAgent
from lae_provision.errors import Refused
from lae_provision.txaws3.clients import (
    AWSServiceEndpoint,
    Query,
    RequestDetails,
    S3Client,
    URLContext,
    query,
    url_context,
)

Subresource = Sequence[tuple[str, ...]]

#: Given None, txAWS would look for credentials in the environment.
NO_CREDENTIALS = object()
LONGEST_KEY = 1024
_PRINTABLE = re.compile(r"[\x20-\x7e]+\Z")


def checked_key(key: str) -> str:
    """Check that a key means the same to every client; raises Refused.

    txaws stores ``a?b`` as ``a`` and ``/x`` as ``x``, other clients tidy dots away.
    """
    segments = key.split("/")
    if (
        not _PRINTABLE.match(key)
        or "?" in key
        or "#" in key
        or len(key) > LONGEST_KEY
        or any(segment in ("", ".", "..") for segment in segments)
    ):
        raise Refused("InvalidKey", f"not a key that is safe to store: {key[:80]!r}")
    return key


def _unsigned(
    credentials: object, details: RequestDetails, ok_status: tuple[int, ...] = (OK,)
) -> Query:
    # Our agent signs: txAWS would sign for us-east-1 without x-amz-*, and log it.
    del credentials
    return query(credentials=None, details=details, ok_status=ok_status)


class BucketClient(S3Client):
    """S3Client that signs through the channel and returns whole, bounded answers.

    Unlike the inherited methods, :meth:`call` does not parse a ``?`` in a key.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._virtual = not channel.endpoints.path_style
        super().__init__(
            creds=NO_CREDENTIALS,
            endpoint=AWSServiceEndpoint(channel.endpoints.url("s3") + "/"),
            query_factory=_unsigned,
            agent=WholeAnswerAgent(
                channel.reactor,
                channel.agent("s3"),
                channel.patience.seconds,
                LARGEST_ANSWER,
            ),
        )

    async def call(
        self,
        method: str,
        bucket: str,
        *,
        key: str | None = None,
        subresource: Subresource = (),
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request, with retries; the answer's status is 200 or 204.

        *subresource* is the query: ``[("policy",)]``, ``[("prefix", "a/")]``.  Raises
        :class:`~lae_provision.errors.ProvisionError`.
        """

        async def once() -> Answer:
            details = self._details(
                method=method.encode("ascii"),
                url_context=self._context(bucket, key, subresource),
                headers=Headers({n: [v] for n, v in (headers or {}).items()}),
                body=body,
            )
            answered = await self._submit(
                self._query_factory(details, ok_status=(OK, NO_CONTENT))
            )
            if answered is None:
                # txAWS returns None for any other success.
                raise Refused("UnknownAnswer", "the answer has an unexpected status")
            response, data = answered
            return Answer(response.code, response.headers, data)

        return await self._channel.attempt(once, "s3")

    def _context(self, bucket: str, key: str | None, query: Subresource) -> URLContext:
        host, path = self.endpoint.host, [bucket]
        if self._virtual:
            host, path = f"{bucket}.{host}", []
        return url_context(
            scheme=self.endpoint.scheme,
            host=host,
            port=self.endpoint.port,
            path=path + ([""] if key is None else key.split("/")),
            query=list(query),
        )
