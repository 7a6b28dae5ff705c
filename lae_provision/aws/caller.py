"""The owner of the credentials, checked at start before anything is made."""

from __future__ import annotations

from attrs import define

from lae_provision.aws.channel import Channel
from lae_provision.errors import Refused


@define(frozen=True)
class Caller:
    """The owner of the credentials, according to AWS."""

    account: str
    arn: str


@define(frozen=True)
class StsCaller:
    """Asks STS; needs no permission."""

    channel: Channel

    async def identity(self) -> Caller:
        """Find the account and the ARN of the credentials in use."""
        answer = await self.channel.query("sts", "GetCallerIdentity", {})
        return Caller(
            answer.findtext(".//Account") or "", answer.findtext(".//Arn") or ""
        )

    async def check_account(self, expected: str) -> Caller:
        """Refuse an account other than *expected*."""
        caller = await self.identity()
        if caller.account != expected:
            raise Refused(
                "WrongAccount",
                f"these credentials are of {caller.account}, not {expected}",
            )
        return caller
