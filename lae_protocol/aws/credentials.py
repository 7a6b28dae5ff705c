"""Where an AWS access key comes from: the settings, or the instance's own role."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from attrs import define
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_protocol.aws.metadata import MetadataService, MetadataUnavailable
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret

#: AWS gives new session keys at least this long before the old ones end.
REFRESH_BEFORE = timedelta(minutes=5)
#: After a failed refresh, keys that still hold are used so long before the next try.
HOLD_OFF = timedelta(seconds=20)
ROLE_PATH = "/latest/meta-data/iam/security-credentials/"


class CredentialsSource(Protocol):
    """Gives the keys to sign with now; asked before every request."""

    def current(self) -> Deferred[Credentials]:
        """Keys that hold for a while yet.

        Raises what the source's own calls raise; trying again is safe.
        """
        ...


class NoRole(Exception):
    """The instance has no role (yet).  Try again: a profile may arrive late."""


@define(frozen=True)
class StaticCredentials:
    """The same keys always: from the settings."""

    credentials: Credentials

    def current(self) -> Deferred[Credentials]:
        """The keys, at once."""
        return succeed(self.credentials)


class InstanceProfileCredentials:
    """The keys of the instance's role, fetched when first asked for and again from
    five minutes before they end.  Whoever asks meanwhile waits for the same fetch.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        metadata: MetadataService,
        wall: Callable[[], float] | None = None,
    ) -> None:
        self._metadata = metadata
        # The true time: the keys end by AWS' clock.
        self._wall = wall or reactor.seconds
        self._held: Credentials | None = None
        self._refresh_at = datetime.min.replace(tzinfo=UTC)
        self._waiting: list[Deferred[Credentials]] = []
        self._fetching = False

    def current(self) -> Deferred[Credentials]:
        """Held keys, or fetched ones; cancelling one caller disturbs no other."""
        if self._held is not None and self._now() < self._refresh_at:
            return succeed(self._held)
        waiter: Deferred[Credentials] = Deferred(self._forget)
        self._waiting.append(waiter)
        if not self._fetching:
            self._fetching = True
            Deferred.fromCoroutine(self._fetch()).addBoth(self._fetched)
        return waiter

    def _forget(self, waiter: Deferred[Credentials]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC)

    def _fetched(self, outcome: Credentials | Failure) -> None:
        self._fetching = False
        waiting, self._waiting = self._waiting, []
        if isinstance(outcome, Failure):
            outcome = self._still_good() or outcome
        else:
            self._held = outcome
            self._refresh_at = self._refresh_time(outcome)
        for waiter in waiting:
            waiter.callback(outcome)  # a Failure makes it an errback

    def _refresh_time(self, fetched: Credentials) -> datetime:
        if fetched.expires is None:
            return datetime.max.replace(tzinfo=UTC)
        # Keys already within the margin (AWS had no new ones yet) are used as they
        # are for a little while, not fetched before every single request.
        return max(fetched.expires - REFRESH_BEFORE, self._now() + HOLD_OFF)

    def _still_good(self) -> Credentials | None:
        held = self._held
        if held is None or held.expires is None or held.expires <= self._now():
            return None
        self._refresh_at = min(held.expires, self._now() + HOLD_OFF)
        self._log.warn("no new keys of the instance's role; the old ones still hold")
        return held

    async def _fetch(self) -> Credentials:
        roles = await self._metadata.get(ROLE_PATH)
        role = (roles or b"").decode("ascii", "replace").strip().partition("\n")[0]
        if not role:
            raise NoRole("the metadata service names no role")
        document = await self._metadata.get(ROLE_PATH + role)
        if document is None:
            raise NoRole(f"the metadata service has no keys for {role!r}")
        return parse_document(document)


def parse_document(document: bytes) -> Credentials:
    """The metadata service's JSON; raises :class:`MetadataUnavailable`, value-free."""
    try:
        fields = json.loads(document)
        if fields.get("Code", "Success") != "Success":
            raise MetadataUnavailable(f"the role's keys: {fields['Code']}")
        return Credentials(
            fields["AccessKeyId"],
            Secret(fields["SecretAccessKey"]),
            Secret(fields["Token"]),
            datetime.fromisoformat(fields["Expiration"]).astimezone(UTC),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        kind = type(e).__name__
        raise MetadataUnavailable(f"not a document of keys: {kind}") from None
