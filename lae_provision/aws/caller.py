"""Whose credentials these are: asked at start, before anything is made."""

from __future__ import annotations

from attrs import define
from twisted.internet.defer import Deferred

from lae_provision.aws.channel import Channel
from lae_provision.errors import Refused


@define(frozen=True)
class Caller:
    """Who AWS says we are."""

    account: str
    arn: str


@define(frozen=True)
class StsCaller:
    """Asks STS; needs no permission."""

    channel: Channel

    def identity(self) -> Deferred[Caller]:
        """Account and ARN of the credentials in use."""
        return Deferred.fromCoroutine(self._identity())

    def check_account(self, expected: str) -> Deferred[Caller]:
        """The same; Refused where it is another account than the settings say."""
        return Deferred.fromCoroutine(self._check(expected))

    async def _identity(self) -> Caller:
        answer = await self.channel.query("sts", "GetCallerIdentity", {})
        return Caller(
            answer.findtext(".//Account") or "", answer.findtext(".//Arn") or ""
        )

    async def _check(self, expected: str) -> Caller:
        caller = await self._identity()
        if caller.account != expected:
            raise Refused(
                "WrongAccount", f"these are keys of {caller.account}, not of {expected}"
            )
        return caller
