"""The account itself: looked at whole, and mended step by step.

Making is the routine's walk: look, decide, do the first step, look again.  Whatever
stops it, the next call finds what is there and goes on; nothing is ever deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, evolve
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from lae_provision.account import quotas
from lae_provision.account.asking import Asker, NotAllowed, named
from lae_provision.account.daemon import Daemons
from lae_provision.account.desired import BOUNDARY, Desired
from lae_provision.account.difference import Difference
from lae_provision.account.log_group import LogGroups
from lae_provision.account.plan import Observed, Plan, doable, plan
from lae_provision.account.policy import Policies
from lae_provision.account.sealing_key import SealingKeys
from lae_provision.account.security_group import GroupsSeen, SecurityGroups
from lae_provision.account.state_bucket import StateBuckets
from lae_provision.account.wildcard import Wildcards
from lae_provision.aws.caller import Caller, StsCaller
from lae_provision.aws.channel import Channel
from lae_provision.errors import Refused, TryLater

#: Seconds that what was made may stay invisible, and between two looks.
VISIBILITY, PAUSE = 60.0, 1.0
#: What each thing is called where it was seen.
_FIELDS = {
    "state bucket": "bucket",
    "sealing key": "key",
    "boundary": "boundary",
    "daemon's policy": "daemons_policy",
    "daemon": "daemon",
    "log group": "log_group",
    "wildcard record": "wildcard",
    "security group": "ground",
}


class NeedsPermissions(Refused):
    """The keys lack *actions*.  Grant them (IAM), and try again."""

    def __init__(self, refusals: list[NotAllowed]) -> None:
        self.actions = tuple(sorted({r.action for r in refusals}))
        super().__init__("NotAllowed", refusals[0].message)


@define(frozen=True)
class Account:
    """An account, through the keys of somebody who administers it."""

    channel: Channel
    desired: Desired

    async def identify(self) -> Caller:
        """Whose keys these are; Refused for another account's, and for the daemon's
        own: it must not be able to change its own policy.
        """
        desired = self.desired
        caller = await named(
            "sts:GetCallerIdentity", StsCaller(self.channel).identity()
        )
        if caller.account != desired.account:
            raise Refused(
                "WrongAccount",
                f"these keys are of the account {caller.account}, the settings'"
                f" (aws.account) is {desired.account}",
            )
        whose = caller.arn.rpartition(":")[2].split("/")
        if desired.who.name in whose[1:]:
            raise Refused(
                "DaemonsKeys",
                "these are the daemon's own keys: take those of an administrator",
            )
        return caller

    async def look(self, again: str = "", before: Observed | None = None) -> Observed:
        """All of it, at the same time; or *again* at one thing, the others as *before*.

        Raises :class:`NeedsPermissions` with every permission that is missing, and
        what else the first look that failed raises.
        """
        looks = self._looks()
        asked = [_FIELDS[again]] if before is not None else list(looks)
        outcomes = await DeferredList(
            [Deferred.fromCoroutine(looks[name]()) for name in asked],
            consumeErrors=True,
        )
        failed = [_innermost(o) for _, o in outcomes if isinstance(o, Failure)]
        refusals = [f.value for f in failed if isinstance(f.value, NotAllowed)]
        if refusals:
            raise NeedsPermissions(refusals)
        for failure in failed:
            failure.raiseException()
        found = {name: o for name, (_, o) in zip(asked, outcomes, strict=True)}
        if "ground" in found:
            network, groups, capacity = found.pop("ground")
            found |= {"network": network, "groups": groups, "capacity": capacity}
        return Observed(**found) if before is None else evolve(before, **found)

    def _looks(self) -> dict[str, Callable[[], Coroutine[Any, Any, Any]]]:
        """By the names of what they see."""
        desired, asker = self.desired, Asker(self.channel)
        key = desired.key
        return {
            "bucket": StateBuckets(asker, desired.bucket).find,
            "key": SealingKeys(asker, key).find if key is not None else _nothing,
            "boundary": Policies(asker, desired.boundary_arn).find,
            "daemons_policy": Policies(asker, desired.daemons_policy_arn).find,
            "daemon": Daemons(asker, desired.who).find,
            "log_group": LogGroups(asker, desired.log_group).find,
            "wildcard": Wildcards(asker, desired.wildcard).find,
            "ground": self._ground,
        }

    async def _ground(
        self,
    ) -> tuple[quotas.Network | None, GroupsSeen, quotas.Capacity]:
        desired, asker = self.desired, Asker(self.channel)
        looking = quotas.Quotas(asker)
        network = await looking.network(desired.subnet_id)
        groups = GroupsSeen()
        if network is not None:
            group = SecurityGroups(asker, desired.security_group)
            groups = await group.find(network.vpc_id)
        capacity = await looking.capacity(
            desired.instance_type, desired.dns_zone_id, network
        )
        return network, groups, capacity

    async def apply(self, say: Callable[[Difference], None]) -> tuple[Plan, Observed]:
        """Do every step that can be done, each said before it is done; what is left.

        A step that was done and still shows is looked at again, never done again,
        until it is seen or :data:`VISIBILITY` has passed.
        """
        done: list[Difference] = []
        waited = 0.0
        seen = await self.look()
        while True:
            decided = plan(self.desired, seen)
            step = doable(decided.steps, seen)
            if step is None:
                return decided, seen
            if step not in done:
                say(step)
                await self._do(step, seen)
                done.append(step)
            elif waited < VISIBILITY:
                waited += PAUSE
                reactor: Any = self.channel.reactor
                await deferLater(reactor, PAUSE)
            else:
                still = f"{step.thing} {step.name}: still {step.found}"
                raise TryLater("NotSeenYet", still)
            seen = await self.look(step.thing, seen)

    async def _do(self, step: Difference, seen: Observed) -> None:
        desired, asker = self.desired, Asker(self.channel)
        do = step.step
        assert do is not None
        match step.thing:
            case "state bucket":
                await StateBuckets(asker, desired.bucket).make(do, seen.bucket)
            case "sealing key":
                assert desired.key is not None
                assert seen.key is not None
                await SealingKeys(asker, desired.key).make(do, seen.key)
            case "boundary" | "daemon's policy":
                wanted = desired.daemons_policy(seen.key_arn)
                if step.thing == BOUNDARY:
                    wanted = desired.boundary
                await Policies(asker, wanted.arn).make(do, wanted)
            case "daemon":
                await Daemons(asker, desired.who).make(do)
            case "log group":
                await LogGroups(asker, desired.log_group).make(do)
            case "wildcard record":
                await Wildcards(asker, desired.wildcard).make(do, seen.wildcard)
            case "security group":
                assert seen.network is not None
                group = SecurityGroups(asker, desired.security_group)
                await group.make(do, seen.groups, seen.network.vpc_id)
            case unknown:
                raise AssertionError(unknown)


async def _nothing() -> None:
    return None


def _innermost(failure: Failure) -> Failure:
    """``gatherResults`` wraps what it waited for."""
    inner = getattr(failure.value, "subFailure", None)
    return _innermost(inner) if isinstance(inner, Failure) else failure
