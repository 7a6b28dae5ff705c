"""The queries of txAWS' EC2Client, sent through our channel."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define
from twisted.internet.defer import Deferred

from lae_provision.aws.channel import Channel


class QueryFactory:
    """Makes the queries of txaws' EC2Client: POST, Signature Version 4, today's API.

    txaws' own are GET, signed by Version 2, of an API of 2012, with no deadline.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def __call__(
        self,
        action: str,
        creds: object = None,  # noqa: ARG002  (txaws' signature)
        endpoint: object = None,  # noqa: ARG002  (txaws' signature)
        other_params: Mapping[str, str] | None = None,
    ) -> Query:
        """Make a query with the channel's credentials and endpoint, not txAWS'."""
        return Query(self._channel, action, dict(other_params or {}))


@define(frozen=True)
class Query:
    """One call of EC2, not sent yet."""

    channel: Channel
    action: str
    parameters: dict[str, str]

    def submit(self) -> Deferred[bytes]:
        """Send the query, with retries; returns the answer's XML."""

        async def once() -> bytes:
            return await self.channel.post("ec2", self.action, self.parameters)

        return Deferred.fromCoroutine(self.channel.attempt(once, "ec2"))
