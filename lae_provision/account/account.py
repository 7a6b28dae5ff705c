"""An AWS account, as a deployment's administrator sees and changes it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from lae_protocol.process.resources import config_folder
from lae_provision.account.ami import Amis
from lae_provision.account.api import AccountApi, NotAllowed, name_permission
from lae_provision.account.applying import Applied, Applying, WantedStack
from lae_provision.account.change_set import Change, Judged
from lae_provision.account.checking import (
    AccountDifferences,
    Observed,
    SeenStack,
    Templates,
    check,
)
from lae_provision.account.desired import Desired
from lae_provision.account.drift import Drifted
from lae_provision.account.quotas import Capacity, Quotas
from lae_provision.account.repository import Repositories, Repository
from lae_provision.account.stack_states import ChangeIt, next_move
from lae_provision.account.stacks import Stack, Stacks
from lae_provision.account.subnet import Subnet, Subnets
from lae_provision.aws.caller import Caller, StsCaller
from lae_provision.aws.channel import Channel, none_on
from lae_provision.errors import Refused, TryLater

#: How long CloudFormation may take to compare everything.
DRIFT_WITHIN = 600.0  # s
DRIFT_LOOK = 0.5  # s
_NO_USER = frozenset({"NoSuchEntity"})


class NeedsPermissions(Refused):
    """The credentials lack *actions*: grant them in IAM, and try again."""

    def __init__(self, refusals: list[NotAllowed]) -> None:
        self.actions = tuple(sorted({r.action for r in refusals}))
        super().__init__("NotAllowed", refusals[0].message)


def shipped_templates() -> Templates:
    """The templates that this release ships."""
    folder = config_folder() / "cloudformation"
    return Templates(
        (folder / "s4.yaml").read_text(), (folder / "backup.yaml").read_text()
    )


@define(frozen=True)
class Account:
    """An account, seen with an administrator's credentials.  *backups* are the stacks
    of the backup's region.
    """

    channel: Channel
    desired: Desired
    stacks: Stacks
    backups: Stacks
    templates: Templates = field(factory=shipped_templates)

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
        if desired.daemons_name in whose[1:]:
            raise Refused(
                "DaemonsKeys",
                "these are the daemon's own credentials: use an administrator's",
            )
        return caller

    async def check(self) -> AccountDifferences:
        """Look at everything, and find what differs.

        Raises :class:`NeedsPermissions` with every missing permission, else the
        error of the first look that failed.
        """
        return check(self.desired, self.templates, await self._look())

    async def apply(
        self,
        ask: Callable[[Judged], None],
        say: Callable[[str], None],
        *,
        replace: frozenset[str] = frozenset(),
        skip: tuple[str, ...] = (),
        looks: bool = False,
    ) -> Applied:
        """Make or change the stack: see :class:`~.applying.Applying`; with *looks*
        nothing is changed, and *ask* must raise.
        """
        stack = await self.stacks.find(self.desired.stack)
        network = await self._network(stack)
        parameters = self.desired.parameters(
            stack, "" if network is None else network.vpc_id
        )
        if parameters["SubnetId"] and network is None:
            raise Refused(
                "NoSubnet",
                f"cells.subnet_id: there is no {parameters['SubnetId']} in"
                f" {self.desired.region}; leave it empty, and the stack makes one",
            )
        done: tuple[Change, ...] = ()
        desired, templates = self.desired, self.templates
        named: Any = {"replace": replace, "skip": skip, "looks": looks}
        if desired.backup_bucket:
            backup = WantedStack(
                desired.backup_stack, templates.backup, desired.backup_parameters()
            )
            made = await self._applying(self.backups, say, named).apply(backup, ask)
            done = made.changes
        wanted = WantedStack(desired.stack, templates.account, parameters)
        made = await self._applying(self.stacks, say, named).apply(wanted, ask)
        return Applied(made.stack, (*done, *made.changes))

    def _applying(
        self, stacks: Stacks, say: Callable[[str], None], named: Mapping[str, Any]
    ) -> Applying:
        return Applying(stacks, self.channel.reactor, self.channel.rng, say, **named)

    async def _look(self) -> Observed:
        stack = await self.stacks.find(self.desired.stack)
        looks = self._looks(stack)
        outcomes = await DeferredList(
            [Deferred.fromCoroutine(look()) for look in looks.values()],
            consumeErrors=True,
        )
        failed = [_unwrap(o) for _, o in outcomes if isinstance(o, Failure)]
        refusals = [f.value for f in failed if isinstance(f.value, NotAllowed)]
        if refusals:
            raise NeedsPermissions(refusals)
        for failure in failed:
            failure.raiseException()
        found = {name: o for name, (_, o) in zip(looks, outcomes, strict=True)}
        network, capacity = found.pop("network and quotas")
        return Observed(stack=stack, network=network, capacity=capacity, **found)

    def _looks(
        self, stack: Stack | None
    ) -> dict[str, Callable[[], Coroutine[Any, Any, Any]]]:
        """Return the looks, by the name of what each one shows."""
        return {
            "template": lambda: self._its_template(stack),
            "drifted": lambda: self._drift(self.stacks, self.desired.stack, stack),
            "backup": self._look_at_backup,
            "boots": lambda: Amis(self._api).find(self.desired.ami),
            "repository": self._look_at_repository,
            "network and quotas": lambda: self._look_at_network(stack),
            "access_keys": self._access_keys,
        }

    @property
    def _api(self) -> AccountApi:
        return AccountApi(self.channel)

    async def _its_template(self, stack: Stack | None) -> str:
        return "" if stack is None else await self.stacks.template(self.desired.stack)

    async def _look_at_backup(self) -> SeenStack | None:
        if not self.desired.backup_bucket:
            return None
        stacks, name = self.backups, self.desired.backup_stack
        stack = await stacks.find(name)
        if stack is None:
            return SeenStack(None)
        drifted = await self._drift(stacks, name, stack)
        return SeenStack(stack, await stacks.template(name), drifted)

    async def _drift(
        self, stacks: Stacks, name: str, stack: Stack | None
    ) -> tuple[Drifted, ...]:
        """What CloudFormation finds; nothing of a stack that is not at rest."""
        if stack is None or not isinstance(next_move(stack.status), ChangeIt):
            return ()
        detection = await stacks.begin_drift(name)
        reactor: Any = self.channel.reactor
        deadline = reactor.seconds() + DRIFT_WITHIN
        while not await stacks.drift_is_known(detection):
            if reactor.seconds() >= deadline:
                raise TryLater("TooLong", "CloudFormation still compares the stack")
            await deferLater(reactor, DRIFT_LOOK)
        return await stacks.drift(name)

    async def _look_at_repository(self) -> Repository | None:
        image = self.desired.image
        if image is None:
            return None
        return await Repositories(self._api, self.desired.registry[1]).find(image)

    async def _network(self, stack: Stack | None) -> Subnet | None:
        outputs = {} if stack is None else stack.outputs
        subnet_id = self.desired.subnet_id or outputs.get("SubnetId", "")
        return await Subnets(self._api).find(subnet_id) if subnet_id else None

    async def _look_at_network(
        self, stack: Stack | None
    ) -> tuple[Subnet | None, Capacity]:
        outputs = {} if stack is None else stack.outputs
        zone_id = self.desired.dns_zone_id or outputs.get("HostedZoneId", "")
        network = await self._network(stack)
        capacity = await Quotas(self._api).capacity(
            self.desired.instance_type, zone_id, network
        )
        return network, capacity

    async def _access_keys(self) -> int | None:
        """How many active keys the daemon's user has; None for a role, or nobody."""
        if self.desired.daemon == "role":
            return None
        told = await none_on(
            _NO_USER,
            self._api.query(
                "iam", "ListAccessKeys", UserName=self.desired.daemons_name
            ),
        )
        if told is None:
            return None
        return sum(status.text == "Active" for status in told.iter("Status"))


def _unwrap(failure: Failure) -> Failure:
    """Unwrap the failures that ``gatherResults`` has wrapped."""
    inner = getattr(failure.value, "subFailure", None)
    return _unwrap(inner) if isinstance(inner, Failure) else failure
