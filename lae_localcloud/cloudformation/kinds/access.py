"""IAM: roles, instance profiles, policies."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from lae_localcloud.cloudformation.calls_signed import Services, as_json
from lae_localcloud.cloudformation.evaluation import Known
from lae_localcloud.cloudformation.kinds.kind import (
    Kind,
    Properties,
    Spot,
    differs,
    found_or_none,
    gone_is_done,
    only_if,
    read_tags,
    tags_to_change,
)

_GONE = frozenset({"NoSuchEntity"})
#: How many versions a managed policy keeps.
_VERSIONS = 5


def _document(found: Any) -> Any:
    return json.loads(unquote(found)) if isinstance(found, str) else found


async def _retag(
    services: Services,
    noun: str,
    named: dict[str, str],
    before: Properties,
    after: Properties,
) -> None:
    gone, new = tags_to_change(before, after)
    if gone:
        await services("iam", f"Untag{noun}", **named, TagKeys=gone)
    if new:
        await services("iam", f"Tag{noun}", **named, Tags=new)


class _Holder(Kind):
    """A role or a user: whoever holds policies."""

    noun = ""
    of_iam, gone = True, _GONE

    def _named(self, name: str) -> dict[str, str]:
        return {f"{self.noun}Name": name}

    async def _grant(
        self, services: Services, name: str, before: Properties, after: Properties
    ) -> None:
        named = self._named(name)
        old = {p["PolicyName"]: p["PolicyDocument"] for p in before.get("Policies", [])}
        new = {p["PolicyName"]: p["PolicyDocument"] for p in after.get("Policies", [])}
        for policy, document in new.items():
            if old.get(policy) != document:
                await services(
                    "iam",
                    f"Put{self.noun}Policy",
                    **named,
                    PolicyName=policy,
                    PolicyDocument=as_json(document),
                )
        for policy in old.keys() - new.keys():
            said = {**named, "PolicyName": policy}
            call = ("iam", f"Delete{self.noun}Policy", said)
            await gone_is_done(services, _GONE, *call)
        held = set(before.get("ManagedPolicyArns", []))
        wanted = set(after.get("ManagedPolicyArns", []))
        for arn in sorted(wanted - held):
            call_name = f"Attach{self.noun}Policy"
            await services("iam", call_name, **named, PolicyArn=arn)
        for arn in sorted(held - wanted):
            said = {**named, "PolicyArn": arn}
            call = ("iam", f"Detach{self.noun}Policy", said)
            await gone_is_done(services, _GONE, *call)

    async def _bound(self, services: Services, name: str, after: Properties) -> None:
        named = self._named(name)
        call_name = f"{self.noun}PermissionsBoundary"
        if "PermissionsBoundary" in after:
            bound = only_if(after, "PermissionsBoundary")
            await services("iam", f"Put{call_name}", **named, **bound)
        else:
            await services("iam", f"Delete{call_name}", **named)

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        named = self._named(known.physical_id)
        call = ("iam", f"List{self.noun}Policies", named)
        told = await found_or_none(services, _GONE, *call)
        if told is None:
            return
        for policy in told["PolicyNames"]:
            call_name = f"Delete{self.noun}Policy"
            await services("iam", call_name, **named, PolicyName=policy)
        told = await services("iam", f"ListAttached{self.noun}Policies", **named)
        for policy in told["AttachedPolicies"]:
            arn = policy["PolicyArn"]
            call_name = f"Detach{self.noun}Policy"
            await services("iam", call_name, **named, PolicyArn=arn)
        await gone_is_done(services, _GONE, "iam", f"Delete{self.noun}", named)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        named = self._named(known.physical_id)
        call = ("iam", f"Get{self.noun}", named)
        told = await found_or_none(services, _GONE, *call)
        if told is None:
            return None
        holder = told[self.noun]
        bound = holder.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        seen = {
            "Path": holder["Path"],
            "PermissionsBoundary": bound,
            **read_tags(said, holder.get("Tags", [])),
        }
        if "AssumeRolePolicyDocument" in holder:
            trust = _document(holder["AssumeRolePolicyDocument"])
            seen["AssumeRolePolicyDocument"] = trust
        attached = await services("iam", f"ListAttached{self.noun}Policies", **named)
        arns = {p["PolicyArn"] for p in attached["AttachedPolicies"]}
        wanted = said.get("ManagedPolicyArns", [])
        seen["ManagedPolicyArns"] = wanted if arns == set(wanted) else sorted(arns)
        seen["Policies"] = await self._inline(services, named, said)
        return seen

    async def _inline(
        self, services: Services, named: dict[str, str], said: Properties
    ) -> list[dict[str, Any]]:
        told = await services("iam", f"List{self.noun}Policies", **named)
        order = [p["PolicyName"] for p in said.get("Policies", [])]
        names = [n for n in order if n in told["PolicyNames"]]
        names += sorted(set(told["PolicyNames"]) - set(order))
        seen = []
        for policy in names:
            call_name = f"Get{self.noun}Policy"
            found = await services("iam", call_name, **named, PolicyName=policy)
            document = _document(found["PolicyDocument"])
            seen.append({"PolicyName": policy, "PolicyDocument": document})
        return seen


class IamRole(_Holder):
    """AWS::IAM::Role."""

    takes = (
        *("RoleName", "Path", "Description", "MaxSessionDuration", "Tags"),
        *("PermissionsBoundary", "AssumeRolePolicyDocument", "Policies"),
        "ManagedPolicyArns",
    )
    attributes = ("Arn", "RoleId")
    names, noun = "RoleName", "Role"

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        name = said.get("RoleName") or spot.own_name()
        more = only_if(
            said, "Path", "Description", "MaxSessionDuration", "PermissionsBoundary"
        )
        made = await services(
            "iam",
            "CreateRole",
            RoleName=name,
            AssumeRolePolicyDocument=as_json(said["AssumeRolePolicyDocument"]),
            **more,
            **({"Tags": said["Tags"]} if said.get("Tags") else {}),
        )
        spot.tell(name)
        await self._grant(services, name, {}, said)
        return Known(name, only_if(made["Role"], "Arn", "RoleId"))

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        name = known.physical_id
        if differs(before, after, "AssumeRolePolicyDocument"):
            document = as_json(after["AssumeRolePolicyDocument"])
            await services(
                "iam", "UpdateAssumeRolePolicy", RoleName=name, PolicyDocument=document
            )
        if differs(before, after, "Description", "MaxSessionDuration"):
            more = only_if(after, "Description", "MaxSessionDuration")
            await services("iam", "UpdateRole", RoleName=name, **more)
        if differs(before, after, "PermissionsBoundary"):
            await self._bound(services, name, after)
        await self._grant(services, name, before, after)
        await _retag(services, self.noun, self._named(name), before, after)
        return known


class IamUser(_Holder):
    """AWS::IAM::User."""

    takes = (
        *("UserName", "Path", "PermissionsBoundary", "Policies", "Tags"),
        "ManagedPolicyArns",
    )
    attributes = ("Arn",)
    names, noun = "UserName", "User"

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        name = said.get("UserName") or spot.own_name()
        more = only_if(said, "Path", "PermissionsBoundary")
        tags = {"Tags": said["Tags"]} if said.get("Tags") else {}
        made = await services("iam", "CreateUser", UserName=name, **more, **tags)
        spot.tell(name)
        await self._grant(services, name, {}, said)
        return Known(name, only_if(made["User"], "Arn"))

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        name = known.physical_id
        if differs(before, after, "PermissionsBoundary"):
            await self._bound(services, name, after)
        await self._grant(services, name, before, after)
        await _retag(services, self.noun, self._named(name), before, after)
        return known


class InstanceProfile(Kind):
    """AWS::IAM::InstanceProfile."""

    takes = ("InstanceProfileName", "Path", "Roles")
    attributes = ("Arn",)
    names, of_iam, gone = "InstanceProfileName", True, _GONE

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        name = said.get("InstanceProfileName") or spot.own_name()
        made = await services(
            "iam",
            "CreateInstanceProfile",
            InstanceProfileName=name,
            **only_if(said, "Path"),
        )
        spot.tell(name)
        await self._fill(services, name, [], said["Roles"])
        return Known(name, only_if(made["InstanceProfile"], "Arn"))

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        await self._fill(services, known.physical_id, before["Roles"], after["Roles"])
        return known

    async def _fill(
        self, services: Services, name: str, before: list[str], after: list[str]
    ) -> None:
        named = {"InstanceProfileName": name}
        for role in before:
            if role not in after:
                said = {**named, "RoleName": role}
                call = ("iam", "RemoveRoleFromInstanceProfile", said)
                await gone_is_done(services, _GONE, *call)
        for role in after:
            if role not in before:
                await services(
                    "iam", "AddRoleToInstanceProfile", **named, RoleName=role
                )

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        named = {"InstanceProfileName": known.physical_id}
        told = await found_or_none(services, _GONE, "iam", "GetInstanceProfile", named)
        if told is None:
            return
        for role in told["InstanceProfile"]["Roles"]:
            more = {**named, "RoleName": role["RoleName"]}
            await services("iam", "RemoveRoleFromInstanceProfile", **more)
        await gone_is_done(services, _GONE, "iam", "DeleteInstanceProfile", named)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        named = {"InstanceProfileName": known.physical_id}
        told = await found_or_none(services, _GONE, "iam", "GetInstanceProfile", named)
        if told is None:
            return None
        roles = [role["RoleName"] for role in told["InstanceProfile"]["Roles"]]
        return {"Roles": roles, "Path": told["InstanceProfile"]["Path"]}


class ManagedPolicy(Kind):
    """AWS::IAM::ManagedPolicy."""

    takes = (
        *("ManagedPolicyName", "Path", "Description", "PolicyDocument"),
        *("Roles", "Users", "Groups"),
    )
    attributes = ("PolicyArn", "PolicyId")
    names, of_iam, gone = "ManagedPolicyName", True, _GONE

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        made = await services(
            "iam",
            "CreatePolicy",
            PolicyName=said.get("ManagedPolicyName") or spot.own_name(128),
            PolicyDocument=as_json(said["PolicyDocument"]),
            **only_if(said, "Path", "Description"),
        )
        arn = made["Policy"]["Arn"]
        spot.tell(arn)
        await self._attach(services, arn, {}, said)
        return Known(arn, {"PolicyArn": arn, "PolicyId": made["Policy"]["PolicyId"]})

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        arn = known.physical_id
        if differs(before, after, "PolicyDocument"):
            await self._forget_oldest(services, arn)
            await services(
                "iam",
                "CreatePolicyVersion",
                PolicyArn=arn,
                PolicyDocument=as_json(after["PolicyDocument"]),
                SetAsDefault=True,
            )
        await self._attach(services, arn, before, after)
        return known

    async def _forget_oldest(self, services: Services, arn: str) -> None:
        told = await services("iam", "ListPolicyVersions", PolicyArn=arn)
        others = [v for v in told["Versions"] if not v["IsDefaultVersion"]]
        if len(told["Versions"]) >= _VERSIONS:
            oldest = min(others, key=lambda v: int(v["VersionId"][1:]))["VersionId"]
            await services(
                "iam", "DeletePolicyVersion", PolicyArn=arn, VersionId=oldest
            )

    async def _attach(
        self, services: Services, arn: str, before: Properties, after: Properties
    ) -> None:
        for kind in ("Role", "User", "Group"):
            old, new = before.get(f"{kind}s", []), after.get(f"{kind}s", [])
            for name in new:
                if name not in old:
                    said = {f"{kind}Name": name, "PolicyArn": arn}
                    await services("iam", f"Attach{kind}Policy", **said)
            for name in old:
                if name not in new:
                    said = {f"{kind}Name": name, "PolicyArn": arn}
                    call = ("iam", f"Detach{kind}Policy", said)
                    await gone_is_done(services, _GONE, *call)

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        arn = known.physical_id
        await self._attach(services, arn, said, {})
        named = {"PolicyArn": arn}
        told = await found_or_none(services, _GONE, "iam", "ListPolicyVersions", named)
        for version in [] if told is None else told["Versions"]:
            if not version["IsDefaultVersion"]:
                more = {**named, "VersionId": version["VersionId"]}
                await services("iam", "DeletePolicyVersion", **more)
        await gone_is_done(services, _GONE, "iam", "DeletePolicy", named)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        named = {"PolicyArn": known.physical_id}
        told = await found_or_none(services, _GONE, "iam", "GetPolicy", named)
        if told is None:
            return None
        version = told["Policy"]["DefaultVersionId"]
        found = await services("iam", "GetPolicyVersion", **named, VersionId=version)
        return {"PolicyDocument": _document(found["PolicyVersion"]["Document"])}
