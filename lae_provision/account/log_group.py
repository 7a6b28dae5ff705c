"""The log group of the deployment on CloudWatch, which keeps for a bounded time."""

from __future__ import annotations

from attrs import define

from lae_provision.account.asking import Asker
from lae_provision.account.difference import Difference, missing, tags_of
from lae_provision.aws.channel import unless

THING = "log group"
#: Days that a new group keeps; any other bound of an operator's is left alone.
KEPT = 90
_EXISTS = frozenset({"ResourceAlreadyExistsException"})
_MISSING = frozenset({"ResourceNotFoundException"})


@define(frozen=True)
class LogGroup:
    """What is wanted."""

    name: str
    deployment: str


@define(frozen=True)
class NoGroup:
    """There is none."""


@define(frozen=True)
class LogGroupSeen:
    """*days* is None where it keeps for ever."""

    days: int | None


Seen = NoGroup | LogGroupSeen


def differences(wanted: LogGroup, seen: Seen) -> tuple[Difference, ...]:
    """What must be done.  Pure."""
    match seen:
        case NoGroup():
            return (missing(THING, wanted.name, f"made, keeps for {KEPT} days"),)
        case LogGroupSeen(days=None):
            want = f"keeps for {KEPT} days"
            return (
                Difference(THING, wanted.name, "keeps for ever", want, "retention"),
            )
        case LogGroupSeen():
            return ()


@define(frozen=True)
class LogGroups:
    """Looks at it and makes it."""

    asker: Asker
    wanted: LogGroup

    async def find(self) -> Seen:
        """What there is."""
        told = await self.asker.json(
            "logs", "DescribeLogGroups", logGroupNamePrefix=self.wanted.name
        )
        for group in told.get("logGroups", ()):
            if group["logGroupName"] == self.wanted.name:
                return LogGroupSeen(group.get("retentionInDays"))
        return NoGroup()

    async def make(self, step: str) -> None:
        """One step of :func:`differences`; safe to repeat."""
        name = self.wanted.name
        if step == "create":
            await unless(
                _EXISTS,
                self.asker.json(
                    "logs",
                    "CreateLogGroup",
                    logGroupName=name,
                    tags=tags_of(self.wanted.deployment, "log"),
                ),
            )
        await self.asker.channel.settled(
            _MISSING,
            lambda: self.asker.json(
                "logs", "PutRetentionPolicy", logGroupName=name, retentionInDays=KEPT
            ),
        )
