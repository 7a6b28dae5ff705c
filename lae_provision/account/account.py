"""An AWS account: looked at as a whole, and changed step by step.

``apply`` looks, decides, does the first step, and looks again.  Whatever interrupts it,
the next call continues from what exists.  Nothing is ever deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, evolve
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from lae_provision.account import quotas
from lae_provision.account.api import AccountApi, NotAllowed, name_permission
from lae_provision.account.daemon import Daemons
from lae_provision.account.desired import BOUNDARY, Desired
from lae_provision.account.difference import Difference
from lae_provision.account.log_group import LogGroups
from lae_provision.account.plan import Observed, Plan, first_possible_step, plan
from lae_provision.account.policy import Policies
from lae_provision.account.sealing_key import SealingKeys
from lae_provision.account.security_group import GroupsSeen, SecurityGroups
from lae_provision.account.state_bucket import StateBuckets
from lae_provision.account.wildcard import Wildcards
from lae_provision.aws.caller import Caller, StsCaller
from lae_provision.aws.channel import Channel
from lae_provision.errors import Refused, TryLater

#: How long something new may stay invisible.
VISIBLE_WITHIN = 60.0  # s
LOOK_EVERY = 1.0  # s
#: The look that shows each thing.
_LOOKS = {
    "state bucket": "bucket",
    "sealing key": "key",
    "boundary": "boundary",
    "daemon's policy": "daemons_policy",
    "daemon": "daemon",
    "log group": "log_group",
    "wildcard record": "wildcard",
    "security group": "network and quotas",
}


class NeedsPermissions(Refused):
    """The credentials lack *actions*: grant them in IAM, and try again."""

    def __init__(self, refusals: list[NotAllowed]) -> None:
        self.actions = tuple(sorted({r.action for r in refusals}))
        super().__init__("NotAllowed", refusals[0].message)


@define(frozen=True)
class Account:
    """An account, seen with an administrator's credentials."""

    channel: Channel
    desired: Desired

    async def identify(self) -> Caller:
        """Ask AWS whose credentials these are.

        Refused for another account, and for the daemon's own credentials, since the
        daemon must not be able to change its own policy.
        """
        desired = self.desired
        caller = await name_permission(
            "sts:GetCallerIdentity", StsCaller(self.channel).identity()
        )
        if caller.account != desired.account:
            raise Refused(
                "WrongAccount",
                f"these credentials are of the account {caller.account}, but"
                f" aws.account in the settings is {desired.account}",
            )
        whose = caller.arn.rpartition(":")[2].split("/")
        if desired.who.name in whose[1:]:
            raise Refused(
                "DaemonsKeys",
                "these are the daemon's own credentials: use an administrator's",
            )
        return caller

    async def look(self, again: str = "", before: Observed | None = None) -> Observed:
        """Look at everything at once; or *again* at one thing, with the rest *before*.

        Raises :class:`NeedsPermissions` with every missing permission, else the
        error of the first look that failed.
        """
        looks = self._looks()
        asked = [_LOOKS[again]] if before is not None else list(looks)
        outcomes = await DeferredList(
            [Deferred.fromCoroutine(looks[name]()) for name in asked],
            consumeErrors=True,
        )
        failed = [_unwrap(o) for _, o in outcomes if isinstance(o, Failure)]
        refusals = [f.value for f in failed if isinstance(f.value, NotAllowed)]
        if refusals:
            raise NeedsPermissions(refusals)
        for failure in failed:
            failure.raiseException()
        found = {name: o for name, (_, o) in zip(asked, outcomes, strict=True)}
        if "network and quotas" in found:
            network, groups, capacity = found.pop("network and quotas")
            found |= {"network": network, "groups": groups, "capacity": capacity}
        return Observed(**found) if before is None else evolve(before, **found)

    def _looks(self) -> dict[str, Callable[[], Coroutine[Any, Any, Any]]]:
        """Return the looks, by the name of what each one shows."""
        desired, api = self.desired, AccountApi(self.channel)
        key = desired.key
        return {
            "bucket": StateBuckets(api, desired.bucket).find,
            "key": SealingKeys(api, key).find if key is not None else _find_nothing,
            "boundary": Policies(api, desired.boundary_arn).find,
            "daemons_policy": Policies(api, desired.daemons_policy_arn).find,
            "daemon": Daemons(api, desired.who).find,
            "log_group": LogGroups(api, desired.log_group).find,
            "wildcard": Wildcards(api, desired.wildcard).find,
            "network and quotas": self._look_at_network,
        }

    async def _look_at_network(
        self,
    ) -> tuple[quotas.Network | None, GroupsSeen, quotas.Capacity]:
        desired, api = self.desired, AccountApi(self.channel)
        looking = quotas.Quotas(api)
        network = await looking.network(desired.subnet_id)
        groups = GroupsSeen()
        if network is not None:
            group = SecurityGroups(api, desired.security_group)
            groups = await group.find(network.vpc_id)
        capacity = await looking.capacity(
            desired.instance_type, desired.dns_zone_id, network
        )
        return network, groups, capacity

    async def apply(self, say: Callable[[Difference], None]) -> tuple[Plan, Observed]:
        """Do every possible step, telling each first; return the plan that is left.

        A step without a visible effect is never done again: this waits until the
        effect is visible, for at most :data:`VISIBLE_WITHIN`.
        """
        done: list[Difference] = []
        waited = 0.0
        seen = await self.look()
        while True:
            decided = plan(self.desired, seen)
            step = first_possible_step(decided.steps, seen)
            if step is None:
                return decided, seen
            if step not in done:
                say(step)
                await self._do(step, seen)
                done.append(step)
            elif waited < VISIBLE_WITHIN:
                waited += LOOK_EVERY
                reactor: Any = self.channel.reactor
                await deferLater(reactor, LOOK_EVERY)
            else:
                still = f"{step.thing} {step.name}: still {step.found}"
                raise TryLater("NotSeenYet", still)
            seen = await self.look(step.thing, seen)

    async def _do(self, step: Difference, seen: Observed) -> None:
        desired, api = self.desired, AccountApi(self.channel)
        do = step.step
        assert do is not None
        match step.thing:
            case "state bucket":
                await StateBuckets(api, desired.bucket).make(do, seen.bucket)
            case "sealing key":
                assert desired.key is not None
                assert seen.key is not None
                await SealingKeys(api, desired.key).make(do, seen.key)
            case "boundary" | "daemon's policy":
                wanted = desired.daemons_policy(seen.key_arn)
                if step.thing == BOUNDARY:
                    wanted = desired.boundary
                await Policies(api, wanted.arn).make(do, wanted)
            case "daemon":
                await Daemons(api, desired.who).make(do)
            case "log group":
                await LogGroups(api, desired.log_group).make(do)
            case "wildcard record":
                await Wildcards(api, desired.wildcard).make(do, seen.wildcard)
            case "security group":
                assert seen.network is not None
                group = SecurityGroups(api, desired.security_group)
                await group.make(do, seen.groups, seen.network.vpc_id)
            case unknown:
                raise AssertionError(unknown)


async def _find_nothing() -> None:
    return None


def _unwrap(failure: Failure) -> Failure:
    """Unwrap the failures that ``gatherResults`` has wrapped."""
    inner = getattr(failure.value, "subFailure", None)
    return _unwrap(inner) if isinstance(inner, Failure) else failure
