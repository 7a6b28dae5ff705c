"""The furls that customers are shown, opened from their sealed identities."""

from __future__ import annotations

from collections import OrderedDict

from lae_flapp.journal import identities
from lae_flapp.journal.identities import IDENTITIES, Identity
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.sealed import context_of
from lae_protocol.furl import Furl
from lae_protocol.host_messages import NodeIdentity
from lae_protocol.ids import SignupId
from lae_provision.doors import IIdentities, Sealed, Sealer
from lae_provision.identity.identities import read_identity

#: Furls kept in memory; a furl never changes, so none grows stale.
KEPT = 1000


class CustomerFurls:
    """Opens a signup's identity once, and remembers its introducer furl."""

    def __init__(self, journal: Journal, doors: IIdentities, sealer: Sealer) -> None:
        self._journal, self._doors, self._sealer = journal, doors, sealer
        self._known: OrderedDict[SignupId, Furl] = OrderedDict()

    async def of(self, signup_id: SignupId) -> Furl | None:
        """The furl; None before the identity is safe in the state bucket.

        Raises what :meth:`IIdentities.open` raises.
        """
        return await self.within(await self._journal.read(identities.latest, signup_id))

    async def within(self, row: Identity | None) -> Furl | None:
        """The furl that is sealed in *row*; see :meth:`of`."""
        if row is None or row.vaulted_at is None:
            return None
        if row.signup_id in self._known:
            self._known.move_to_end(row.signup_id)
            return self._known[row.signup_id]
        furl = Furl.parse((await self.open(row)).introducer_furl())
        self._known[row.signup_id] = furl
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return furl

    async def open(self, row: Identity) -> NodeIdentity:
        """The whole identity, for the host that has just claimed it."""
        if row.recovered is not None:
            context = context_of(IDENTITIES, row.signup_id, row.generation)
            plain = self._sealer.unseal(row.recovered, context)
            return read_identity(plain, row.vault_key)
        return await self._doors.open(Sealed(row.vault_key, row.sealed))
