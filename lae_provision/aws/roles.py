"""Hosts' roles on IAM: role, inline policy and instance profile, of one name."""

from __future__ import annotations

from urllib.parse import unquote
from xml.etree.ElementTree import Element

from attrs import define

from lae_provision.aws.channel import Channel, unless
from lae_provision.aws.parameters import members
from lae_provision.aws.policies import INLINE, host_policy, same, trust_policy
from lae_provision.doors import IRoles, RoleRequest
from lae_provision.errors import AlreadyThere, Refused, TryLater

MISSING = frozenset({"NoSuchEntity"})
EXISTS = frozenset({"EntityAlreadyExists"})
#: An instance profile holds one role at most; a second one is this.
FULL = frozenset({"LimitExceeded"})


@define(frozen=True)
class IamRoles(IRoles):
    """See :class:`~lae_provision.doors.IRoles`.

    A new instance profile may be unknown to EC2 for some seconds; that is the
    launch's business (:class:`~lae_provision.aws.hosts.Ec2Hosts`).
    """

    channel: Channel

    async def _ask(self, action: str, **parameters: object) -> Element:
        return await self.channel.query("iam", action, members(parameters))

    async def _settled(self, action: str, **parameters: object) -> Element:
        """Ask about what was just made, until IAM knows it."""
        return await self.channel.settled(
            MISSING, lambda: self._ask(action, **parameters)
        )

    async def find(self, name: str) -> str | None:
        """The role's ARN, where all three parts exist."""
        profile = await unless(
            MISSING, self._ask("GetInstanceProfile", InstanceProfileName=name)
        )
        if profile is None:
            return None
        arn = _role_in(profile, name)
        policy = await unless(
            MISSING, self._ask("GetRolePolicy", RoleName=name, PolicyName=INLINE)
        )
        return None if policy is None else arn

    async def make(self, request: RoleRequest) -> str:
        """Whatever is missing of the three; AlreadyThere where a part is different."""
        tags = [{"Key": key, "Value": value} for key, value in request.tags]
        created = await unless(
            EXISTS,
            self._ask(
                "CreateRole",
                RoleName=request.name,
                Path=request.path,
                AssumeRolePolicyDocument=trust_policy(),
                PermissionsBoundary=request.boundary_arn,
                Tags=tags,
            ),
        )
        role = created if created is not None else await self._checked_role(request)
        # This one replaces itself.
        await self._settled(
            "PutRolePolicy",
            RoleName=request.name,
            PolicyName=INLINE,
            PolicyDocument=host_policy(request.bucket),
        )
        await self._make_profile(request, tags)
        return _text(role, "Arn")

    async def _checked_role(self, request: RoleRequest) -> Element:
        role = await self._ask("GetRole", RoleName=request.name)
        boundary = role.findtext(".//PermissionsBoundary/PermissionsBoundaryArn")
        trust = unquote(_text(role, "AssumeRolePolicyDocument"))
        if (
            _text(role, "Path") != request.path
            or boundary != request.boundary_arn
            or not same(trust, trust_policy())
        ):
            raise AlreadyThere("EntityAlreadyExists", f"another role {request.name}")
        return role

    async def _make_profile(
        self, request: RoleRequest, tags: list[dict[str, str]]
    ) -> None:
        name = request.name
        await unless(
            EXISTS,
            self._ask(
                "CreateInstanceProfile",
                InstanceProfileName=name,
                Path=request.path,
                Tags=tags,
            ),
        )
        profile = await self._settled("GetInstanceProfile", InstanceProfileName=name)
        if _role_in(profile, name) is not None:
            return
        added = await unless(
            FULL,
            self._settled(
                "AddRoleToInstanceProfile", InstanceProfileName=name, RoleName=name
            ),
        )
        if added is None:
            # Full already: by a request of ours that was thought lost, or not yet seen.
            profile = await self._ask("GetInstanceProfile", InstanceProfileName=name)
            if _role_in(profile, name) is None:
                raise TryLater("LimitExceeded", f"profile {name} is full, and empty")

    async def unmake(self, name: str) -> None:
        """All three, in the order that IAM wants."""
        # Looking first: of what is gone IAM does not say so, but that we may not touch
        # it, since a name without its path matches no policy of ours.
        named = {"InstanceProfileName": name}
        profile = await unless(MISSING, self._ask("GetInstanceProfile", **named))
        if profile is not None:
            if _role_in(profile, name) is not None:
                await self._gone(
                    "RemoveRoleFromInstanceProfile", RoleName=name, **named
                )
            await self._gone("DeleteInstanceProfile", **named)
        role = await unless(MISSING, self._ask("GetRole", RoleName=name))
        if role is not None:
            await self._gone("DeleteRolePolicy", RoleName=name, PolicyName=INLINE)
            await self._gone("DeleteRole", RoleName=name)

    async def _gone(self, action: str, **parameters: str) -> None:
        await unless(MISSING, self._ask(action, **parameters))


def _role_in(profile: Element, name: str) -> str | None:
    """The ARN of the role in an instance profile; AlreadyThere for another role."""
    role = profile.find(".//Roles/member")
    if role is None:
        return None
    if role.findtext("RoleName") != name:
        raise AlreadyThere("EntityAlreadyExists", f"profile {name} has another role")
    return role.findtext("Arn")


def _text(root: Element, tag: str) -> str:
    found = root.findtext(f".//Role/{tag}")
    if found is None:
        raise Refused("UnknownAnswer", f"an answer about a role without {tag}")
    return found
