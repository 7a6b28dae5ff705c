"""How the account is asked: every refusal names the permission that is missing."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar
from xml.etree.ElementTree import Element

from attrs import define, field
from twisted.web.http import OK

from lae_protocol.aws.agent import Answer, fetch
from lae_provision.aws.channel import LIMIT, Channel, parsed
from lae_provision.aws.faults import fault_of_answer
from lae_provision.aws.parameters import members
from lae_provision.aws.s3 import BucketClient, Subresource
from lae_provision.errors import ProvisionError, Refused

T = TypeVar("T")

_NOT_ALLOWED = frozenset(
    {"AccessDenied", "AccessDeniedException", "HTTP403", "UnauthorizedOperation"}
)
_UNKNOWN_KEYS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
#: The JSON services' names for their APIs.
_TARGETS = {
    "kms": "TrentService",
    "logs": "Logs_20140328",
    "servicequotas": "ServiceQuotasV20190624",
}
_ROUTE53 = "/2013-04-01"


class NotAllowed(Refused):
    """The keys lack a permission: *action*, as IAM names it.  Grant it, try again."""

    def __init__(self, action: str, message: str) -> None:
        super().__init__("NotAllowed", message)
        self.action = action


class KeysRefused(Refused):
    """AWS does not take these keys at all.  Get others."""


async def named(action: str, waiting: Awaitable[T]) -> T:
    """The answer; a refusal for want of a permission names *action*."""
    try:
        return await waiting
    except ProvisionError as e:
        if e.code in _UNKNOWN_KEYS:
            raise KeysRefused(e.code, e.message) from None
        if e.code in _NOT_ALLOWED:
            raise NotAllowed(action, e.message) from None
        raise type(e)(e.code, f"{action}: {e.message}") from None


@define(frozen=True)
class Asker:
    """Calls of many services, through one channel."""

    channel: Channel
    _client: BucketClient = field(init=False)

    @_client.default
    def _make_client(self) -> BucketClient:
        return BucketClient(self.channel)

    async def query(self, service: str, action: str, **parameters: Any) -> Element:
        """One call of EC2 or IAM."""
        sent = members(parameters) if service == "iam" else parameters
        return await named(
            f"{service}:{action}", self.channel.query(service, action, sent)
        )

    async def json(self, service: str, action: str, **fields: Any) -> dict[str, Any]:
        """One call of a service that speaks JSON."""
        target = f"{_TARGETS[service]}.{action}"
        return await named(
            f"{service}:{action}", self.channel.json(service, target, fields)
        )

    async def bucket(
        self,
        permission: str,
        method: str,
        bucket: str,
        subresource: Subresource = (),
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call about a bucket; *permission* is S3's name for it."""
        return await named(
            f"s3:{permission}",
            self._client.call(
                method,
                bucket,
                subresource=subresource,
                body=body,
                headers=dict(headers or {}),
            ),
        )

    async def own_buckets(self, prefix: str) -> list[str]:
        """The account's own buckets whose names begin so."""
        root = await self._rest(
            "s3", "s3:ListAllMyBuckets", "GET", f"/?prefix={prefix}", None
        )
        return [name.text or "" for name in root.iter("Name")]

    async def route53(
        self, action: str, method: str, path: str, body: bytes | None = None
    ) -> Element:
        """One call of Route 53, whose paths begin behind the version."""
        return await self._rest(
            "route53", f"route53:{action}", method, _ROUTE53 + path, body
        )

    async def _rest(
        self, service: str, action: str, method: str, path: str, body: bytes | None
    ) -> Element:
        channel = self.channel

        async def once() -> Element:
            answer = await fetch(
                channel.reactor,
                channel.agent(service),
                method,
                channel.endpoints.url(service) + path,
                headers={} if body is None else {"content-type": "application/xml"},
                body=body,
                seconds=channel.patience.seconds,
                limit=LIMIT,
            )
            if answer.status != OK:
                raise fault_of_answer(answer.status, answer.body)
            return _bare(parsed(answer.body))

        return await named(action, channel.attempt(once))


def _bare(root: Element) -> Element:
    """Without namespaces: some of AWS' answers have one, stand-ins' have none."""
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return root
