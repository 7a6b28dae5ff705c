"""Whose credentials these are: asked at start, before anything is made."""

from __future__ import annotations

from attrs import define

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

    async def identity(self) -> Caller:
        """Account and ARN of the credentials in use."""
        answer = await self.channel.query("sts", "GetCallerIdentity", {})
        return Caller(
            answer.findtext(".//Account") or "", answer.findtext(".//Arn") or ""
        )

    async def check_account(self, expected: str) -> Caller:
        """The same; Refused where it is another account than the settings say."""
        caller = await self.identity()
        if caller.account != expected:
            raise Refused(
                "WrongAccount", f"these are keys of {caller.account}, not of {expected}"
            )
        return caller
