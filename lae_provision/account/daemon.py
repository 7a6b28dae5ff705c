"""The daemon's identity in AWS: a role of its instance, or a user with a key."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from attrs import define

from lae_provision.account.api import AccountApi
from lae_provision.account.difference import Difference, missing, tags_of
from lae_provision.aws.channel import none_on
from lae_provision.aws.policies import same_policy, trust_policy

THING = "daemon"
#: Not the path under which the daemon makes roles: it must not change its own role.
PATH = "/s4-daemon/"
_MISSING = frozenset({"NoSuchEntity"})
_EXISTS = frozenset({"EntityAlreadyExists", "LimitExceeded"})


@define(frozen=True)
class Daemon:
    """The wanted role or user, with this policy and no other."""

    name: str
    kind: Literal["role", "user"]
    policy_arn: str
    deployment: str


@define(frozen=True)
class Nobody:
    """There is no such role, or user."""


@define(frozen=True)
class DaemonSeen:
    """*profile* and *trusted* are a role's, *keys* a user's active access keys."""

    attached: frozenset[str]
    inline: frozenset[str] = frozenset()
    trusted: bool = True
    profile: bool = True
    keys: int = 1


Seen = Nobody | DaemonSeen


def find_differences(wanted: Daemon, seen: Seen) -> tuple[Difference, ...]:
    """Find what differs, in the order in which it is changed.  Pure."""
    name = f"{wanted.kind} {wanted.name}"
    if isinstance(seen, Nobody):
        return (missing(THING, name, "made, with the daemon's policy"),)
    made = []

    def differs(found: str, want: str, step: str | None, remedy: str = "") -> None:
        made.append(Difference(THING, name, found, want, step, remedy))

    if wanted.policy_arn not in seen.attached:
        differs("without the daemon's policy", "with it", "attach")
    of = f"--{wanted.kind}-name {wanted.name}"
    for arn in sorted(seen.attached - {wanted.policy_arn}):
        remedy = f"aws iam detach-{wanted.kind}-policy {of} --policy-arn {arn}"
        differs(f"also has {arn}", "with its own policy alone", None, remedy)
    for inline in sorted(seen.inline):
        remedy = f"aws iam delete-{wanted.kind}-policy {of} --policy-name {inline}"
        differs(f"also has the policy {inline}", "its own policy alone", None, remedy)
    if wanted.kind == "user":
        if not seen.keys:
            remedy = (
                f"aws iam create-access-key --user-name {wanted.name}, and put both"
                " halves into the files that aws.access_key and aws.secret_key name"
            )
            differs("without an access key", "with one", None, remedy)
        return tuple(made)
    if not seen.trusted:
        remedy = (
            f"aws iam update-assume-role-policy {of} --policy-document"
            f" '{trust_policy()}'"
        )
        differs("may be assumed by others", "by EC2 alone", None, remedy)
    if not seen.profile:
        differs("without its instance profile", "with it", "profile")
    return tuple(made)


@define(frozen=True)
class Daemons:
    """Finds and makes the daemon's role or user."""

    api: AccountApi
    wanted: Daemon

    async def find(self) -> Seen:
        """Find the daemon's role or user."""
        kind, name = self.wanted.kind.title(), self._named()
        told = await none_on(_MISSING, self._ask(f"Get{kind}", **name))
        if told is None:
            return Nobody()
        attached = await self._ask(f"ListAttached{kind}Policies", **name)
        inline = await self._ask(f"List{kind}Policies", **name)
        seen = DaemonSeen(
            frozenset(a.text or "" for a in attached.iter("PolicyArn")),
            frozenset(m.text or "" for m in inline.findall(".//PolicyNames/member")),
            keys=0,
        )
        if self.wanted.kind == "user":
            keys = await self._ask("ListAccessKeys", **name)
            active = [s for s in keys.iter("Status") if s.text == "Active"]
            return DaemonSeen(seen.attached, seen.inline, keys=len(active))
        trust = unquote(told.findtext(".//AssumeRolePolicyDocument") or "")
        return DaemonSeen(
            seen.attached,
            seen.inline,
            trusted=same_policy(trust, trust_policy()),
            profile=await self._profile() is not None,
        )

    async def make(self, step: str) -> None:
        """Do one step of :func:`find_differences`; safe to repeat."""
        if step == "create":
            await self._create()
        if step in ("create", "attach"):
            await self._retry_while_missing(
                f"Attach{self.wanted.kind.title()}Policy",
                PolicyArn=self.wanted.policy_arn,
                **self._named(),
            )
        if self.wanted.kind == "role" and step in ("create", "profile"):
            await self._make_profile()

    async def _create(self) -> None:
        wanted = self.wanted
        tags = tags_of(wanted.deployment, "daemon").items()
        more = {}
        if wanted.kind == "role":
            more = {"AssumeRolePolicyDocument": trust_policy()}
        await none_on(
            _EXISTS,
            self._ask(
                f"Create{wanted.kind.title()}",
                Path=PATH,
                Tags=[{"Key": k, "Value": v} for k, v in tags],
                **self._named(),
                **more,
            ),
        )

    async def _make_profile(self) -> None:
        name = self.wanted.name
        await none_on(
            _EXISTS,
            self._ask("CreateInstanceProfile", InstanceProfileName=name, Path=PATH),
        )
        await none_on(
            _EXISTS,
            self._retry_while_missing(
                "AddRoleToInstanceProfile", InstanceProfileName=name, RoleName=name
            ),
        )

    async def _profile(self) -> Element | None:
        """Find the role in the instance profile of the same name."""
        told = await none_on(
            _MISSING,
            self._ask("GetInstanceProfile", InstanceProfileName=self.wanted.name),
        )
        if told is None:
            return None
        roles = told.findall(".//Roles/member")
        return next(
            (r for r in roles if r.findtext("RoleName") == self.wanted.name), None
        )

    def _named(self) -> dict[str, str]:
        return {f"{self.wanted.kind.title()}Name": self.wanted.name}

    async def _ask(self, action: str, **parameters: Any) -> Element:
        return await self.api.query("iam", action, **parameters)

    async def _retry_while_missing(self, action: str, **parameters: Any) -> Element:
        return await self.api.channel.retry_while_missing(
            _MISSING, lambda: self._ask(action, **parameters)
        )
