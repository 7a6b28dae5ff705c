"""The deployment's log group in CloudWatch, with a limited retention."""

from __future__ import annotations

from attrs import define

from lae_provision.account.api import AccountApi
from lae_provision.account.difference import Difference, missing, tags_of
from lae_provision.aws.channel import none_on

THING = "log group"
#: The retention of a new group; an operator may choose another one.
RETENTION = 90  # days
_EXISTS = frozenset({"ResourceAlreadyExistsException"})
_MISSING = frozenset({"ResourceNotFoundException"})


@define(frozen=True)
class LogGroup:
    """The wanted log group."""

    name: str
    deployment: str


@define(frozen=True)
class NoGroup:
    """There is no such log group."""


@define(frozen=True)
class LogGroupSeen:
    """The log group; *days* is None if it keeps logs for ever."""

    days: int | None


Seen = NoGroup | LogGroupSeen


def find_differences(wanted: LogGroup, seen: Seen) -> tuple[Difference, ...]:
    """Find what differs.  Pure."""
    match seen:
        case NoGroup():
            return (missing(THING, wanted.name, f"made, keeps for {RETENTION} days"),)
        case LogGroupSeen(days=None):
            want = f"keeps for {RETENTION} days"
            return (
                Difference(THING, wanted.name, "keeps for ever", want, "retention"),
            )
        case LogGroupSeen():
            return ()


@define(frozen=True)
class LogGroups:
    """Finds and makes the log group."""

    api: AccountApi
    wanted: LogGroup

    async def find(self) -> Seen:
        """Find the log group."""
        told = await self.api.json(
            "logs", "DescribeLogGroups", logGroupNamePrefix=self.wanted.name
        )
        for group in told.get("logGroups", ()):
            if group["logGroupName"] == self.wanted.name:
                return LogGroupSeen(group.get("retentionInDays"))
        return NoGroup()

    async def make(self, step: str) -> None:
        """Do one step of :func:`find_differences`; safe to repeat."""
        name = self.wanted.name
        if step == "create":
            await none_on(
                _EXISTS,
                self.api.json(
                    "logs",
                    "CreateLogGroup",
                    logGroupName=name,
                    tags=tags_of(self.wanted.deployment, "log"),
                ),
            )
        await self.api.channel.retry_while_missing(
            _MISSING,
            lambda: self.api.json(
                "logs",
                "PutRetentionPolicy",
                logGroupName=name,
                retentionInDays=RETENTION,
            ),
        )
