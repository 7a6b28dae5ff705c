"""Hosts' roles on IAM: a role, an inline policy and an instance profile."""

from __future__ import annotations

from urllib.parse import unquote
from xml.etree.ElementTree import Element

from attrs import define

from lae_provision.aws.channel import Channel, none_on
from lae_provision.aws.parameters import members
from lae_provision.aws.policies import (
    INLINE,
    host_policy,
    may_write,
    same_policy,
    trust_policy,
)
from lae_provision.doors import IRoles, Role, RoleRequest
from lae_provision.errors import AlreadyThere, Refused, TryLater

MISSING = frozenset({"NoSuchEntity"})
EXISTS = frozenset({"EntityAlreadyExists"})
#: The error for a second role in an instance profile.
FULL = frozenset({"LimitExceeded"})


@define(frozen=True)
class IamRoles(IRoles):
    """See :class:`~lae_provision.doors.IRoles`.

    EC2 may not know a new instance profile for some seconds; the launch waits
    (:class:`~lae_provision.aws.hosts.Ec2Hosts`).
    """

    channel: Channel

    async def _ask(self, action: str, **parameters: object) -> Element:
        return await self.channel.query("iam", action, members(parameters))

    async def _retry_while_missing(self, action: str, **parameters: object) -> Element:
        """Ask about something that was just made, until IAM knows it."""
        return await self.channel.retry_while_missing(
            MISSING, lambda: self._ask(action, **parameters)
        )

    async def find(self, name: str) -> Role | None:
        """Find the role, if all three parts exist."""
        profile = await none_on(
            MISSING, self._ask("GetInstanceProfile", InstanceProfileName=name)
        )
        if profile is None:
            return None
        arn = _role_in(profile, name)
        policy = await none_on(
            MISSING, self._ask("GetRolePolicy", RoleName=name, PolicyName=INLINE)
        )
        if policy is None or arn is None:
            return None
        document = unquote(policy.findtext(".//PolicyDocument") or "")
        return Role(arn, may_write(document))

    async def make(self, request: RoleRequest) -> str:
        """Make the missing parts; AlreadyThere if a part is different."""
        tags = [{"Key": key, "Value": value} for key, value in request.tags]
        created = await none_on(
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
        # PutRolePolicy replaces an existing policy.
        await self._retry_while_missing(
            "PutRolePolicy",
            RoleName=request.name,
            PolicyName=INLINE,
            PolicyDocument=host_policy(
                request.bucket, writes=request.writes, repository=request.repository
            ),
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
            or not same_policy(trust, trust_policy())
        ):
            raise AlreadyThere("EntityAlreadyExists", f"another role {request.name}")
        return role

    async def _make_profile(
        self, request: RoleRequest, tags: list[dict[str, str]]
    ) -> None:
        name = request.name
        await none_on(
            EXISTS,
            self._ask(
                "CreateInstanceProfile",
                InstanceProfileName=name,
                Path=request.path,
                Tags=tags,
            ),
        )
        profile = await self._retry_while_missing(
            "GetInstanceProfile", InstanceProfileName=name
        )
        if _role_in(profile, name) is not None:
            return
        added = await none_on(
            FULL,
            self._retry_while_missing(
                "AddRoleToInstanceProfile", InstanceProfileName=name, RoleName=name
            ),
        )
        if added is None:
            # An earlier request, whose answer was lost, may have added the role.
            profile = await self._ask("GetInstanceProfile", InstanceProfileName=name)
            if _role_in(profile, name) is None:
                raise TryLater(
                    "LimitExceeded",
                    f"the profile {name} has a role that is not visible yet",
                )

    async def unmake(self, name: str) -> None:
        """Remove all three parts, in the order that IAM requires."""
        # Look first: deleting a missing role is answered with "access denied", since a
        # name without a path does not match our policy.
        named = {"InstanceProfileName": name}
        profile = await none_on(MISSING, self._ask("GetInstanceProfile", **named))
        if profile is not None:
            if _role_in(profile, name) is not None:
                await self._gone(
                    "RemoveRoleFromInstanceProfile", RoleName=name, **named
                )
            await self._gone("DeleteInstanceProfile", **named)
        role = await none_on(MISSING, self._ask("GetRole", RoleName=name))
        if role is not None:
            await self._gone("DeleteRolePolicy", RoleName=name, PolicyName=INLINE)
            await self._gone("DeleteRole", RoleName=name)

    async def _gone(self, action: str, **parameters: str) -> None:
        await none_on(MISSING, self._ask(action, **parameters))


def _role_in(profile: Element, name: str) -> str | None:
    """Find the role's ARN in an instance profile; AlreadyThere for another role."""
    role = profile.find(".//Roles/member")
    if role is None:
        return None
    if role.findtext("RoleName") != name:
        raise AlreadyThere("EntityAlreadyExists", f"profile {name} has another role")
    return role.findtext("Arn")


def _text(root: Element, tag: str) -> str:
    found = root.findtext(f".//Role/{tag}")
    if found is None:
        raise Refused("UnknownAnswer", f"the answer about a role has no {tag}")
    return found
