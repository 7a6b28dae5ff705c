"""Who holds a key and what a bucket's own policy says, remembered until it changes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lae_localcloud.account.moto import ACCOUNT_ID, Moto
from lae_localcloud.account.policy import Ask, Policy, is_allowed
from lae_localcloud.account.principals import (
    Principal,
    find_principal,
    seen_by,
)


class Permissions:
    """Asks the account only after something changed there: objects come quickly."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        self._principals: dict[str, Principal] = {}
        self._policies: dict[str, Policy | None] = {}
        self._changes = 0

    def forget(self) -> None:
        """Something changed."""
        self._changes += 1
        self._principals.clear()
        self._policies.clear()

    async def principal(self, access_key: str) -> Principal:
        """The holder of a key; raises :class:`ApiError`."""
        held = self._principals.get(access_key)
        if held is None:
            before = self._changes
            held = await self._moto.run(find_principal, self._moto, access_key)
            if before == self._changes:
                self._principals[access_key] = held
        return held

    async def require(
        self, principal: Principal, bucket: str, asks: Sequence[Ask]
    ) -> None:
        """Raise :class:`ApiError` unless all is allowed, by role and by bucket."""
        policy = self._policies.get(bucket)
        if bucket and bucket not in self._policies:
            before = self._changes
            policy = await self._moto.run(_bucket_policy, self._moto, bucket)
            if before == self._changes:
                self._policies[bucket] = policy
        own = () if policy is None else (seen_by(principal, policy),)
        for ask in asks:
            # In one account a bucket's policy can allow as well as deny.
            principal.require([ask], also=own)

    def may(self, principal: Principal, action: str, bucket: str) -> bool:
        """Tell whether the principal's own policies allow it on the bucket."""
        ask = Ask(
            action,
            f"arn:aws:s3:::{bucket}",
            {"s3:prefix": ("",), "s3:resourceaccount": (ACCOUNT_ID,)},
        )
        return is_allowed(ask, principal.policies, principal.boundary)


def _bucket_policy(moto: Moto, bucket: str) -> Policy | None:
    held = moto.backend("s3").buckets.get(bucket)
    if held is None or not held.policy:
        return None
    text = held.policy
    policy: Policy = json.loads(text)
    return policy
