"""The two policies: the boundary of hosts' roles, and the daemon's own policy."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from attrs import define

from lae_provision.account.api import AccountApi
from lae_provision.account.difference import Difference, missing, tags_of
from lae_provision.aws.channel import none_on
from lae_provision.aws.policies import same_policy
from lae_provision.errors import Refused

_MISSING = frozenset({"NoSuchEntity"})
_EXISTS = frozenset({"EntityAlreadyExists"})
#: How many versions of a policy IAM keeps.
VERSIONS = 5


@define(frozen=True)
class Policy:
    """The wanted policy; *document* is None until the key that it names exists."""

    thing: str
    arn: str
    document: str | None
    deployment: str

    @property
    def path_and_name(self) -> tuple[str, str]:
        """Of ``arn:aws:iam::1:policy/s4/x/boundary``: ``/s4/x/`` and ``boundary``."""
        path, _, name = self.arn.partition(":policy")[2].rpartition("/")
        return path + "/", name


@define(frozen=True)
class NoPolicy:
    """There is no policy of that name."""


@define(frozen=True)
class PolicySeen:
    """The current text of the policy, and its versions, the oldest last."""

    document: str
    versions: tuple[str, ...] = ("v1",)
    default: str = "v1"


Seen = NoPolicy | PolicySeen


def find_differences(wanted: Policy, seen: Seen) -> tuple[Difference, ...]:
    """Find what differs.  Pure."""
    if isinstance(seen, NoPolicy):
        return (missing(wanted.thing, wanted.arn, "made as it is shipped"),)
    if wanted.document is None or same_policy(wanted.document, seen.document):
        return ()
    found, want = "differs from the shipped one", "as it is shipped"
    more = explain_difference(wanted.document, seen.document)
    if len(seen.versions) < VERSIONS:
        return (
            Difference(wanted.thing, wanted.arn, found, want, "replace", more=more),
        )
    oldest = next(v for v in reversed(seen.versions) if v != seen.default)
    remedy = (
        f"aws iam delete-policy-version --policy-arn {wanted.arn}"
        f" --version-id {oldest}, then apply again (IAM keeps {VERSIONS} versions)"
    )
    return (Difference(wanted.thing, wanted.arn, found, want, None, remedy, more),)


def explain_difference(wanted: str, found: str) -> tuple[str, ...]:
    """Explain, statement by statement, how the found policy differs.  Pure."""
    ours, theirs = _by_name(wanted), _by_name(found)
    lines = [f"{name}: missing" for name in ours if name not in theirs]
    lines += [f"{name}: not ours" for name in theirs if name not in ours]
    for name in ours:
        if name in theirs and ours[name] != theirs[name]:
            lines += _elements(name, ours[name], theirs[name])
    return tuple(lines) or ("in another order, or of another version",)


def _by_name(policy: str) -> dict[str, dict[str, Any]]:
    statements = json.loads(policy).get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    return {str(s.get("Sid", f"statement {n}")): s for n, s in enumerate(listed, 1)}


def _elements(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    lines = []
    for key in sorted({*ours, *theirs}):
        want, have = ours.get(key), theirs.get(key)
        if want == have:
            continue
        if key in ("Action", "Resource"):
            wants, haves = _listed(want), _listed(have)
            lines += [
                f"{name}: {key} {v} is not wanted" for v in haves if v not in wants
            ]
            lines += [f"{name}: {key} {v} is missing" for v in wants if v not in haves]
        else:
            said = json.dumps(have)
            lines.append(f"{name}: {key} is {said}, not {json.dumps(want)}")
    return lines


def _listed(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else [value] if value else []


@define(frozen=True)
class Policies:
    """Finds and makes a policy."""

    api: AccountApi
    arn: str

    async def find(self) -> Seen:
        """Find a policy."""
        told = await none_on(_MISSING, self._ask("GetPolicy", PolicyArn=self.arn))
        if told is None:
            return NoPolicy()
        default = told.findtext(".//DefaultVersionId") or ""
        version = await self._ask(
            "GetPolicyVersion", PolicyArn=self.arn, VersionId=default
        )
        listed = await self._ask("ListPolicyVersions", PolicyArn=self.arn)
        ids = [v.text or "" for v in listed.iter("VersionId")]
        return PolicySeen(
            unquote(version.findtext(".//Document") or ""),
            tuple(sorted(ids, key=_number, reverse=True)),
            default,
        )

    async def make(self, step: str, wanted: Policy) -> None:
        """Make the policy, or a new version of it; older versions stay."""
        if wanted.document is None:
            raise Refused("NotYet", f"{wanted.thing}: the sealing key is not made yet")
        compact = json.dumps(json.loads(wanted.document), separators=(",", ":"))
        if step == "create":
            path, name = wanted.path_and_name
            tags = tags_of(wanted.deployment, wanted.thing.replace(" ", "-")).items()
            await none_on(
                _EXISTS,
                self._ask(
                    "CreatePolicy",
                    PolicyName=name,
                    Path=path,
                    PolicyDocument=compact,
                    Tags=[{"Key": k, "Value": v.replace("'", "")} for k, v in tags],
                ),
            )
            return
        await self._ask(
            "CreatePolicyVersion",
            PolicyArn=self.arn,
            PolicyDocument=compact,
            SetAsDefault="true",
        )

    async def _ask(self, action: str, **parameters: Any) -> Any:
        return await self.api.query("iam", action, **parameters)


def _number(version: str) -> int:
    digits = version.removeprefix("v")
    return int(digits) if digits.isdigit() else 0
