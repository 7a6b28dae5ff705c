"""The doors of the signup routine: what it can ask of a cloud.

Each door can *find* what it would make (by a deterministic name or a tag), *make* it
and *unmake* it.  All of them are idempotent: making what is there already, of the
same shape, is success; unmaking what is gone is success.  A door retries what is safe
to retry (throttling, 5xx, lost connections) within its deadline and then raises one
of :mod:`lae_provision.errors`; the routine decides what that means for the signup.

The daemon puts a gate and a deadline around each door once, where it builds them
(:func:`lae_flapp.effects.bounded.bounded`).

Every door has an in-memory twin in :mod:`tests.twins`, and one contract suite
(``tests/provision/contracts``) runs against both.

Requests are frozen, whole and encodable by :mod:`lae_protocol.wire`: the journal
keeps them before the call, so that a repeat after a crash is byte-identical.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol

from attrs import define

from lae_protocol.host_messages import NodeIdentity
from lae_protocol.secret import Secret

Tags = tuple[tuple[str, str], ...]
#: What a wrapped key is bound to.
Context = tuple[tuple[str, str], ...]


@define(frozen=True)
class BucketRequest:
    """A private bucket: encrypted, versioned with a lifecycle (noncurrent versions
    and unfinished uploads expire), no public access, TLS only where *tls_only*.
    """

    name: str
    region: str
    tags: Tags
    tls_only: bool
    noncurrent_days: int = 30
    unfinished_upload_days: int = 1


@define(frozen=True)
class RoleRequest:
    """A role with an inline policy limited to one bucket, and an instance profile of
    the same name, under *path* and the permissions boundary.

    Without *writes* the policy lets the host read shares and keep its own records.
    With *repository*, an ARN, it lets the host pull from there.
    """

    name: str
    path: str
    boundary_arn: str
    bucket: str
    tags: Tags
    # The journal has requests of releases in which every role might write, and none
    # might pull.
    writes: bool = True
    repository: str | None = None


@define(frozen=True)
class Role:
    """A role with its policy and instance profile; *writes*: it may change shares."""

    arn: str
    writes: bool


@define(frozen=True)
class HostKey:
    """Which host: found again by these tags, whatever became of the reply."""

    deployment: str
    signup_id: str
    generation: int


@define(frozen=True)
class LaunchRequest:
    """One RunInstances, whole; a repeat with the same token must be byte-identical.

    *user_data* is Ignition JSON and holds the bootstrap furl, so a secret.
    *client_token* is at most 64 ASCII characters.
    """

    key: HostKey
    client_token: str
    image_id: str
    instance_type: str
    subnet_id: str
    security_group_ids: tuple[str, ...]
    instance_profile: str
    volume_gib: int
    volume_kms_key: str | None
    user_data: Secret
    tags: Tags


@define(frozen=True)
class Host:
    """An instance as the cloud shows it.

    *address* is public, or None: the cloud shows it some seconds after the instance
    runs, and gives another one after a stop and a start.
    """

    key: HostKey
    instance_id: str
    state: Literal["pending", "running", "stopping", "stopped", "terminated"]
    address: str | None
    launch_time: datetime


@define(frozen=True)
class ConsoleOutput:
    """The end of what an instance wrote to its console, and when the cloud copied it.

    *text* is empty where there is nothing yet.
    """

    text: str
    at: datetime


@define(frozen=True)
class Sealed:
    """A sealed document in the state bucket."""

    key: str
    body: bytes


class IBuckets(Protocol):
    """Customers' buckets."""

    async def find(self, name: str) -> str | None:
        """The name, where the bucket exists and is ours; else None."""

    async def make(self, request: BucketRequest) -> None:
        """Make it, set everything the request says, and read it back."""

    async def unmake(self, name: str) -> None:
        """Delete every version of every object, then the bucket."""


class IRoles(Protocol):
    """The roles of customers' hosts."""

    async def find(self, name: str) -> Role | None:
        """The role; None unless role, policy and instance profile all exist."""

    async def make(self, request: RoleRequest) -> str:
        """Make whatever of the three is missing; the role's ARN.

        A policy that lets the host do more, or less, is replaced: making is also how a
        right is taken and given back.
        """

    async def unmake(self, name: str) -> None:
        """Remove instance profile, inline policy and role."""


class IHosts(Protocol):
    """Customers' hosts: EC2 instances, or one day pods."""

    async def find(self, key: HostKey) -> Host | None:
        """The live host with these tags (terminated ones are not found).

        A host made a moment ago may not be visible yet (eventual consistency): the
        caller waits and looks again, and never makes a second one.
        """

    async def make(self, request: LaunchRequest) -> Host:
        """Launch.  After a lost reply the same request is safe to send again.

        Raises :class:`~lae_provision.errors.TokenSpent` when the first instance of
        this token is gone, and :class:`~lae_provision.errors.NoCapacity`, after which
        a new token is needed.
        """

    async def unmake(self, instance_id: str) -> None:
        """Terminate."""

    async def list(self, deployment: str) -> tuple[Host, ...]:
        """All live hosts of the deployment, by tag, through all pages."""

    async def console(self, instance_id: str) -> ConsoleOutput | None:
        """What it wrote to its console; None where the cloud knows no such instance.

        May hold secrets of the host: whoever shows it redacts it.
        """


class IAddresses(Protocol):
    """Names of hosts in the deployment's DNS zone."""

    async def find(self, name: str) -> str | None:
        """The address that the name's own record has (a wildcard is not the name's)."""

    async def make(self, name: str, address: str) -> str:
        """Create or change the record; the change, for :meth:`is_served`."""

    async def unmake(self, name: str) -> str | None:
        """Delete the record; the change, or None where there was nothing to delete."""

    async def is_served(self, change: str) -> bool:
        """Whether by now every name server answers as the change has it."""

    async def list(self) -> Mapping[str, str]:
        """Every name in the zone that has an address of its own, with that address."""


class IVault(Protocol):
    """Sealed documents in the deployment's state bucket; never overwritten."""

    async def put(self, document: Sealed) -> None:
        """Write it, If-None-Match.

        The same key with the same bytes is success; with other bytes
        :class:`~lae_provision.errors.AlreadyThere`.
        """

    async def get(self, key: str) -> Sealed | None:
        """Read it."""


class IDataKeys(Protocol):
    """Data keys: a KMS key, or a key file, wraps them."""

    async def generate(self, context: Context) -> tuple[Secret, bytes, str]:
        """A fresh 256-bit key (base64 in the Secret), the same wrapped, and the id of
        the wrapping key.  *context* is bound in: unwrapping with another one fails.
        """

    async def unwrap(self, wrapped: bytes, key_id: str, context: Context) -> Secret:
        """The key again (base64); raises :class:`~lae_provision.errors.Refused`."""


@define(frozen=True)
class IdentityRequest:
    """What a grid's identity is made for.

    *host* is the name in its furls; *listen* is what the Tubs bind, None for all
    interfaces.
    """

    signup_id: str
    generation: int
    grid_label: str
    nickname: str
    host: str
    introducer_port: int
    storage_port: int
    listen: str | None


@define(frozen=True)
class MadeIdentity:
    """A fresh identity and the same, sealed under :func:`identity_key`."""

    identity: NodeIdentity
    sealed: Sealed


def identity_key(signup_id: str, generation: int) -> str:
    """Where a sealed identity lies in the state bucket."""
    return f"identities/{signup_id}/{generation}.sealed"


class IIdentities(Protocol):
    """Makes identities of nodes, seals them, and opens them again."""

    async def make(self, request: IdentityRequest) -> MadeIdentity:
        """Fresh keys, from a pool made ahead.

        **Not** idempotent: each call is another grid.  The caller journals the sealed
        document and puts it into the vault (If-None-Match) before anybody sees the
        furl, and looks there before calling again.
        """

    async def open(self, sealed: Sealed) -> NodeIdentity:
        """The identity again.

        Raises :class:`~lae_provision.errors.Refused` when it is not one of ours:
        damaged, another signup's, or under a key that is gone.
        """


class Sealer(Protocol):
    """Seals what the journal keeps of a request with secrets in it.

    Local and quick (AES-GCM under the journal's own key; tens of microseconds), so
    not a Deferred.  *context* names the row and is bound in.
    """

    def seal(self, plain: bytes, context: str) -> bytes:
        """Encrypt; not deterministic."""

    def unseal(self, sealed: bytes, context: str) -> bytes:
        """Decrypt; raises :class:`~lae_provision.errors.Refused`."""

    def is_newest(self, sealed: bytes) -> bool:
        """Whether the newest key sealed it: older ones are not needed for it."""
