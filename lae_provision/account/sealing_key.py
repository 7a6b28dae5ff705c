"""The KMS key that seals identities: it has an alias, and KMS rotates it yearly."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve

from lae_provision.account.api import AccountApi
from lae_provision.account.difference import Difference, missing, tags_of
from lae_provision.aws.channel import none_on
from lae_provision.aws.faults import Throttled
from lae_provision.errors import TryLater

THING = "sealing key"
_MISSING = frozenset({"NotFoundException"})
_EXISTS = frozenset({"AlreadyExistsException"})
_PAGE = 1000


@define(frozen=True)
class SealingKey:
    """The wanted key: the one that *configured* names, with the alias."""

    configured: str
    deployment: str

    @property
    def alias(self) -> str:
        """The alias of that key: the configured one, or one of the deployment."""
        name = self.configured.rpartition(":")[2]
        return name if name.startswith("alias/") else f"alias/{self.deployment}"

    @property
    def by_alias(self) -> bool:
        """Whether the settings name an alias: then ``apply`` may make the key."""
        return self.configured.rpartition(":")[2].startswith("alias/")


@define(frozen=True)
class NoKey:
    """There is no such key; *half_made* is a key of ours without an alias, if any."""

    half_made: str | None = None


@define(frozen=True)
class Key:
    """The configured key."""

    arn: str
    state: str = "Enabled"
    spec: str = "SYMMETRIC_DEFAULT"
    rotated: bool = True
    has_alias: bool = True


KeySeen = NoKey | Key


def find_differences(wanted: SealingKey, seen: KeySeen) -> tuple[Difference, ...]:
    """Find what differs, in the order in which it is changed.  Pure."""
    match seen:
        case NoKey(half_made=None) if wanted.by_alias:
            words = f"made, under {wanted.alias}, rotated each year"
            return (missing(THING, wanted.configured, words),)
        case NoKey() if wanted.by_alias:
            return (
                Difference(
                    THING,
                    wanted.configured,
                    f"{seen.half_made} is made but has no alias",
                    f"under {wanted.alias}",
                    "alias",
                ),
            )
        case NoKey():
            return (
                Difference(
                    THING,
                    wanted.configured,
                    "missing",
                    "a key of this account and region",
                    remedy=f"correct sealing.kms_key; alias/{wanted.deployment} there"
                    " lets apply make one",
                ),
            )
        case Key():
            return tuple(_of_key(wanted, seen))


def _of_key(wanted: SealingKey, seen: Key) -> list[Difference]:
    name = seen.arn
    if seen.spec != "SYMMETRIC_DEFAULT":
        want = "a symmetric key"
        return [Difference(THING, name, seen.spec, want, None, "name another key")]
    if seen.state != "Enabled":
        remedy = f"aws kms enable-key --key-id {name}"
        if seen.state == "PendingDeletion":
            remedy = f"aws kms cancel-key-deletion --key-id {name}, then enable it"
        return [Difference(THING, name, seen.state, "Enabled", None, remedy)]
    made = []
    if not seen.has_alias:
        want = f"under {wanted.alias}"
        made.append(Difference(THING, name, "without its alias", want, "alias"))
    if not seen.rotated:
        want = "rotated each year"
        made.append(Difference(THING, name, "not rotated", want, "rotation"))
    return made


@define(frozen=True)
class SealingKeys:
    """Finds and makes the sealing key."""

    api: AccountApi
    wanted: SealingKey

    async def find(self) -> KeySeen:
        """Find the sealing key."""
        told = await self._describe(self.wanted.configured)
        if told is None:
            return NoKey(await self._half_made() if self.wanted.by_alias else None)
        arn = told["Arn"]
        rotation: dict[str, Any] = {"KeyRotationEnabled": True}
        if told["KeyState"] == "Enabled" and _spec(told) == "SYMMETRIC_DEFAULT":
            rotation = await self._ask("GetKeyRotationStatus", KeyId=arn)
        aliases = await self._ask("ListAliases", KeyId=arn)
        return Key(
            arn=arn,
            state=told["KeyState"],
            spec=_spec(told),
            rotated=bool(rotation["KeyRotationEnabled"]),
            has_alias=any(
                a["AliasName"] == self.wanted.alias for a in aliases["Aliases"]
            ),
        )

    async def make(self, step: str, seen: KeySeen) -> None:
        """Do one step of :func:`find_differences`.

        KMS takes no token for a new key, so a key that a crash left without its alias
        is found by its tags, rather than made again.
        """
        match step:
            case "create":
                arn = await self._create()
                if arn is not None:
                    await self._name(arn)
                    await self._rotate(arn)
            case "alias":
                arn = seen.arn if isinstance(seen, Key) else seen.half_made or ""
                await self._name(arn)
            case _:
                assert isinstance(seen, Key)
                await self._rotate(seen.arn)

    async def _create(self) -> str | None:
        """Make the key; None if the answer was lost, so that the next look finds it."""
        channel = self.api.channel
        once = evolve(channel, patience=evolve(channel.patience, attempts=1))
        tags = tags_of(self.wanted.deployment, "sealing").items()
        try:
            made = await AccountApi(once).json(
                "kms",
                "CreateKey",
                Description=f"S4 {self.wanted.deployment}: seals identities",
                Tags=[{"TagKey": k, "TagValue": v} for k, v in tags],
            )
        except Throttled:
            raise
        except TryLater:
            return None
        return str(made["KeyMetadata"]["Arn"])

    async def _ask(self, action: str, **fields: Any) -> dict[str, Any]:
        return await self.api.json("kms", action, **fields)

    async def _describe(self, key_id: str) -> dict[str, Any] | None:
        told = await none_on(_MISSING, self._ask("DescribeKey", KeyId=key_id))
        found: dict[str, Any] | None = None if told is None else told["KeyMetadata"]
        return found

    async def _name(self, arn: str) -> None:
        alias = self.wanted.alias
        await self.api.channel.retry_while_missing(
            _MISSING,
            lambda: none_on(
                _EXISTS, self._ask("CreateAlias", AliasName=alias, TargetKeyId=arn)
            ),
        )

    async def _rotate(self, arn: str) -> None:
        await self.api.channel.retry_while_missing(
            _MISSING, lambda: self._ask("EnableKeyRotation", KeyId=arn)
        )

    async def _half_made(self) -> str | None:
        """Find an enabled key with our tags, through all pages of keys."""
        wanted = tags_of(self.wanted.deployment, "sealing")
        marker: dict[str, str] = {}
        while True:
            page = await self._ask("ListKeys", Limit=_PAGE, **marker)
            for key in page["Keys"]:
                told = await self._ask("ListResourceTags", KeyId=key["KeyId"])
                tags = {t["TagKey"]: t["TagValue"] for t in told["Tags"]}
                if wanted.items() <= tags.items():
                    described = await self._describe(key["KeyArn"])
                    if described and described["KeyState"] == "Enabled":
                        return str(key["KeyArn"])
            if not page.get("Truncated"):
                return None
            marker = {"Marker": page["NextMarker"]}


def _spec(told: dict[str, Any]) -> str:
    return str(told.get("KeySpec") or told.get("CustomerMasterKeySpec") or "")
