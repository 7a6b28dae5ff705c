"""Keys of a node, made without Tahoe-LAFS, read by Tahoe-LAFS."""

from __future__ import annotations

import pytest
from allmydata.crypto import ed25519
from allmydata.util import base32 as tahoe_base32
from attrs import asdict, evolve
from foolscap.api import Tub
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lae_protocol import wire
from lae_protocol.furl import Furl
from lae_protocol.host_messages import NodeIdentity
from lae_provision.identity.keys import (
    at_generation,
    first_announcement,
    make_tub_key,
    new_identity,
)


@pytest.mark.usefixtures("a_request")
class KeysTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.keys = make_tub_key(), make_tub_key()
        self.identity = new_identity(self.a_request, *self.keys)

    def test_tub_takes_the_key_over(self) -> None:
        """A Tub started on our PEM has the TubID that the furl names."""
        for tub in (self.identity.introducer, self.identity.storage):
            started = Tub(certData=tub.pem.reveal().encode())
            self.assertEqual(started.getTubID(), tub.tub_id)

    def test_signing_key_is_tahoes(self) -> None:
        """Tahoe-LAFS reads our signing key and writes it byte-equal."""
        text = self.identity.signing_key.reveal().encode()
        private, public = ed25519.signing_keypair_from_string(text)
        self.assertEqual(ed25519.string_from_signing_key(private), text)
        seed = ed25519.string_from_verifying_key(public).removeprefix(b"pub-v0-")
        self.assertEqual(self.identity.permutation_seed.encode(), seed)

    def test_lease_secret_is_tahoes(self) -> None:
        """Tahoe-LAFS reads the lease secret as 32 bytes."""
        text = self.identity.lease_secret.reveal().encode()
        self.assertEqual(len(tahoe_base32.a2b(text)), 32)

    def test_furl_is_what_gridsync_takes(self) -> None:
        """The customer's furl is of the plain form, with host and port."""
        furl = Furl.parse(self.identity.introducer_furl())
        self.assertEqual(furl.hints, ("gbbbbbbbbbbbbbbb.grids.example:3456",))
        self.assertEqual(furl.tub_id, self.keys[0].tub_id)

    def test_nothing_is_shared(self) -> None:
        """Introducer and storage have swissnums of their own, and so has each grid."""
        other = new_identity(self.a_request, *self.keys)
        swissnums = {
            tub.swissnum.reveal()
            for identity in (self.identity, other)
            for tub in (identity.introducer, identity.storage)
        }
        self.assertEqual(len(swissnums), 4)

    def test_successor_is_the_same_grid(self) -> None:
        """The next generation differs in generation and announcement number alone."""
        successor = at_generation(self.identity, self.identity.generation + 1)
        self.assertEqual(successor.generation, 2)
        self.assertEqual(successor.announcement_seqnum, 2 * 2**32)
        back = evolve(successor, generation=1, announcement_seqnum=2**32)
        self.assertEqual(asdict(back), asdict(self.identity))

    def test_any_later_generation(self) -> None:
        """The host of generation n gets the same as n - 1 successions would give."""
        third = at_generation(self.identity, self.identity.generation + 2)
        self.assertEqual(at_generation(self.identity, 3), third)

    def test_listens_where_asked(self) -> None:
        """With an interface asked for, the Tubs bind that interface alone."""
        local = new_identity(evolve(self.a_request, listen="127.0.0.1"), *self.keys)
        self.assertEqual(local.storage.port, "tcp:3457:interface=127.0.0.1")
        self.assertEqual(self.identity.storage.port, "tcp:3457")

    def test_travels(self) -> None:
        """An identity is the same after a journey over the wire, and fits a claim."""
        data = wire.encode(self.identity)
        self.assertEqual(wire.decode(NodeIdentity, data), self.identity)
        self.assertLess(len(data), 16 * 1024)

    def test_prints_no_secret(self) -> None:
        """The repr of an identity tells none of its five secrets."""
        shown = repr(self.identity)
        for secret in (
            self.identity.introducer.pem,
            self.identity.introducer.swissnum,
            self.identity.storage.swissnum,
            self.identity.signing_key,
            self.identity.lease_secret,
        ):
            self.assertNotIn(secret.reveal(), shown)

    @settings(max_examples=50)
    @given(st.integers(0, 2**20), st.integers(0, 2**32 - 1))
    def test_later_generation_wins(self, generation: int, announcements: int) -> None:
        """However often a host announced itself, its successor's number is higher."""
        spoken = first_announcement(generation) + announcements
        self.assertGreater(first_announcement(generation + 1), spoken)
