"""Who holds an access key, and what they may do.  Read in moto's thread."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import define, field

from lae_localcloud.account.moto import ACCOUNT_ID, Moto
from lae_localcloud.account.policy import (
    Ask,
    Policy,
    UnknownPolicyElement,
    is_allowed,
)
from lae_localcloud.account.signature import Authorization, check_signature
from lae_localcloud.exchange import ApiError, ApiRequest


@define(frozen=True)
class Principal:
    """A user or a role's session: its key, and the policies that bind it."""

    arn: str
    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)
    expires: datetime | None
    policies: tuple[Policy, ...] = field(repr=False)
    boundary: Policy | None = field(repr=False)

    def check_token(self, request: ApiRequest, now: datetime) -> None:
        """A session must show its token, and in time; raises :class:`ApiError`."""
        shown = request.headers.get("x-amz-security-token")
        if shown != self.token:
            raise ApiError(403, "InvalidClientTokenId", "the security token is invalid")
        if self.expires is not None and self.expires <= now:
            raise ApiError(400, "ExpiredToken", "the security token has expired")

    def require(self, asks: Sequence[Ask], also: tuple[Policy, ...] = ()) -> None:
        """Raise :class:`ApiError` unless all of *asks* are allowed.

        *also*: what the resource's own policy says of this principal.
        """
        for ask in asks:
            try:
                allowed = is_allowed(ask, (*self.policies, *also), self.boundary)
            except UnknownPolicyElement as e:
                raise ApiError(
                    500, "UnjudgeablePolicy", f"the local cloud cannot judge: {e}"
                ) from None
            if not allowed:
                raise ApiError(
                    403,
                    "AccessDenied",
                    f"User: {self.arn} is not authorized to perform: {ask.action}"
                    f" on resource: {ask.resource}",
                )


def authenticate(
    principal: Principal, said: Authorization, request: ApiRequest, now: datetime
) -> None:
    """Raise :class:`ApiError` unless *principal* signed this request."""
    principal.check_token(request, now)
    check_signature(request, said, principal.secret_key, now)


def find_principal(moto: Moto, access_key: str) -> Principal:
    """The holder of a key, as of now; raises :class:`ApiError`."""
    found = _user(moto, access_key) or _session(moto, access_key)
    if found is None:
        raise ApiError(
            403, "InvalidClientTokenId", "The access key Id does not exist here."
        )
    return found


def _user(moto: Moto, access_key: str) -> Principal | None:
    iam = moto.backend("iam")
    for user in iam.users.values():
        for key in user.access_keys:
            if key.access_key_id == access_key and key.status == "Active":
                managed = [
                    iam.get_policy(p.arn) for p in user.managed_policies.values()
                ]
                return Principal(
                    user.arn,
                    access_key,
                    key.secret_access_key,
                    None,
                    None,
                    (*_inline(user.policies), *map(_document, managed)),
                    None,
                )
    return None


def _session(moto: Moto, access_key: str) -> Principal | None:
    iam = moto.backend("iam")
    for session in reversed(moto.backend("sts").assumed_roles):
        if session.access_key_id == access_key:
            role = next(
                (r for r in iam.roles.values() if r.arn == session.role_arn), None
            )
            return Principal(
                session.arn,
                access_key,
                session.secret_access_key,
                session.session_token,
                session.expiration.replace(tzinfo=UTC),
                () if role is None else _of_role(iam, role),
                None if role is None else _boundary(iam, role),
            )
    return None


def _of_role(iam: Any, role: Any) -> tuple[Policy, ...]:
    managed = [iam.get_policy(p.arn) for p in role.managed_policies.values()]
    return (*_inline(role.policies), *map(_document, managed))


def _boundary(iam: Any, role: Any) -> Policy | None:
    arn = role.permissions_boundary_arn
    return None if not arn else _document(iam.get_policy(arn))


def _inline(policies: dict[str, Any]) -> list[Policy]:
    return [p if isinstance(p, dict) else json.loads(p) for p in policies.values()]


def _document(managed: Any) -> Policy:
    version = next(v for v in managed.versions if v.is_default)
    text = version.document
    document: Policy = text if isinstance(text, dict) else json.loads(text)
    return document


def open_session(
    moto: Moto, profile: str, instance_id: str, seconds: int
) -> tuple[str, Any] | None:
    """New keys of the role behind an instance profile: its name, and moto's session.

    None where the profile or its role is gone, or the role does not trust EC2.
    """
    held = moto.backend("iam").instance_profiles.get(profile)
    role = held.roles[0] if held is not None and held.roles else None
    if role is None or not _trusts_ec2(role.assume_role_policy_document):
        return None
    session = moto.backend("sts").assume_role(
        moto.region, instance_id, role.arn, "", seconds, ""
    )
    return role.name, session


def _trusts_ec2(document: str) -> bool:
    ask = Ask("sts:AssumeRole", "*")
    statements = json.loads(document)["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        service = statement.get("Principal", {}).get("Service", [])
        if "ec2.amazonaws.com" in service and statement["Effect"] == "Allow":
            return ask.action in statement["Action"]
    return False


def check_trust(moto: Moto, principal: Principal, role_arn: str) -> None:
    """A role is assumed by those whom it trusts; raises :class:`ApiError`."""
    roles = moto.backend("iam").roles.values()
    role = next((r for r in roles if r.arn == role_arn), None)
    trust = {} if role is None else json.loads(role.assume_role_policy_document)
    about_us = seen_by(principal, trust)
    statements = [{"Resource": "*", **s} for s in about_us["Statement"]]
    if not is_allowed(Ask("sts:AssumeRole", role_arn), [{"Statement": statements}]):
        raise ApiError(
            403,
            "AccessDenied",
            f"User: {principal.arn} is not authorized to perform: sts:AssumeRole"
            f" on resource: {role_arn}",
        )


def seen_by(principal: Principal, policy: Policy) -> Policy:
    """A resource's policy: the statements about this principal, without saying so."""
    statements = policy.get("Statement", ())
    return {
        "Statement": [
            {k: v for k, v in statement.items() if k != "Principal"}
            for statement in (
                [statements] if isinstance(statements, dict) else statements
            )
            if _is_about(principal, statement.get("Principal"))
        ]
    }


def _is_about(principal: Principal, named: Any) -> bool:
    if named == "*":
        return True
    accounts = named.get("AWS", []) if isinstance(named, dict) else []
    names = accounts if isinstance(accounts, list) else [accounts]
    all_of_us = {"*", ACCOUNT_ID, f"arn:aws:iam::{ACCOUNT_ID}:root"}
    return bool(all_of_us & set(names)) or principal.arn in names


def arn(kind: str, name: str) -> str:
    """An IAM ARN of this account: ``arn("role", "/s4/x")``."""
    return f"arn:aws:iam::{ACCOUNT_ID}:{kind}{name}"
