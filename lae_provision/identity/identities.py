"""Identities of nodes: made from the pool, sealed, opened; and the canary."""

from __future__ import annotations

from attrs import define

from lae_protocol import wire
from lae_protocol.host_messages import NodeIdentity
from lae_protocol.secret import Secret
from lae_provision.doors import (
    IDataKeys,
    IdentityRequest,
    IIdentities,
    IVault,
    MadeIdentity,
    Sealed,
    identity_key,
)
from lae_provision.errors import Refused
from lae_provision.identity.keys import new_identity
from lae_provision.identity.pool import KeyPool
from lae_provision.identity.sealing import (
    Context,
    open_envelope,
    read_envelope,
    recover,
    seal,
)

CANARY_KEY = "canary.sealed"
_CANARY_CONTEXT: Context = (("kind", "canary"),)
_CANARY_SONG = b"these identities can be opened"


@define(frozen=True)
class Identities(IIdentities):
    """The door to identities.

    *recovery_recipients* are public ``age`` keys (``age1…``) whose private halves are
    offline.
    """

    data_keys: IDataKeys
    recovery_recipients: tuple[str, ...]
    pool: KeyPool

    async def check_canary(self, vault: IVault) -> None:
        """See that what was sealed long ago can be opened today.

        The first daemon of a deployment leaves a sealed document in the vault; each
        start opens it.  A lost or exchanged key is so found before a customer is
        taken, and not when a host must be replaced.  Raises
        :class:`~lae_provision.errors.Refused`.
        """
        found = await vault.get(CANARY_KEY)
        if found is None:
            found = Sealed(
                CANARY_KEY, await self._sealed(_CANARY_SONG, _CANARY_CONTEXT)
            )
            await vault.put(found)
        if await self._opened(found.body, _CANARY_CONTEXT) != _CANARY_SONG:
            raise Refused("canary", "the canary sings another song")

    async def make(self, request: IdentityRequest) -> MadeIdentity:
        """See :meth:`~lae_provision.doors.IIdentities.make`."""
        introducer, storage = self.pool.take(), self.pool.take()
        return await self._seal(new_identity(request, await introducer, await storage))

    async def _seal(self, identity: NodeIdentity) -> MadeIdentity:
        body = await self._sealed(wire.encode(identity), _context_of(identity))
        key = identity_key(identity.signup_id, identity.generation)
        return MadeIdentity(identity, Sealed(key, body))

    async def open(self, sealed: Sealed) -> NodeIdentity:
        """See :meth:`~lae_provision.doors.IIdentities.open`."""
        context = _context_of_key(sealed.key)
        return _read(await self._opened(sealed.body, context), context)

    async def _sealed(self, plain: bytes, context: Context) -> bytes:
        data_key = await self.data_keys.generate(context)
        return seal(plain, context, data_key, self.recovery_recipients)

    async def _opened(self, body: bytes, context: Context) -> bytes:
        envelope = read_envelope(body, context)
        key = await self.data_keys.unwrap(envelope.wrapped, envelope.key_id, context)
        return open_envelope(envelope, key)


def read_identity(plain: bytes, key: str) -> NodeIdentity:
    """What was sealed in the document of this name in the vault, opened elsewhere.

    Raises :class:`~lae_provision.errors.Refused` for anything else.
    """
    return _read(plain, _context_of_key(key))


def recover_identity(sealed: Sealed, recovery_key: Secret) -> NodeIdentity:
    """Open a document with the offline key alone: no daemon, no KMS, no network."""
    context = _context_of_key(sealed.key)
    return _read(recover(sealed.body, context, recovery_key), context)


def _read(plain: bytes, context: Context) -> NodeIdentity:
    try:
        identity: NodeIdentity = wire.decode(NodeIdentity, plain)
    except wire.MalformedMessage as e:
        raise Refused("identity", f"a sealed identity cannot be read: {e}") from None
    if _context_of(identity) != context:
        raise Refused("identity", "an identity of another signup or generation")
    return identity


def _context_of(identity: NodeIdentity) -> Context:
    return _context(identity.signup_id, str(identity.generation))


def _context_of_key(key: str) -> Context:
    """What the document's place in the vault says that it is."""
    folder, _, name = key.rpartition("/")
    prefix, _, signup_id = folder.rpartition("/")
    generation, _, ending = name.partition(".")
    if prefix != "identities" or ending != "sealed":
        raise Refused("identity", "no place of an identity in the vault")
    return _context(signup_id, generation)


def _context(signup_id: str, generation: str) -> Context:
    return (
        ("kind", "identity"),
        ("signup_id", signup_id),
        ("generation", generation),
    )
