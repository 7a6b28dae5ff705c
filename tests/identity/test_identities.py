"""Identities sealed and opened again."""

from __future__ import annotations

import base64
import json
import os

import pyrage
import pytest
from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lae_protocol.secret import Secret
from lae_provision.doors import MadeIdentity, Sealed
from lae_provision.errors import Refused
from lae_provision.identity.identities import (
    CANARY_KEY,
    Identities,
    recover_identity,
)
from lae_provision.identity.journal_sealer import JournalSealer
from lae_provision.identity.pool import KeyPool


@pytest.mark.usefixtures("doubles", "a_request")
class IdentitiesTests(TestCase):
    def setUp(self) -> None:
        self.offline = pyrage.x25519.Identity.generate()
        self.pool = KeyPool(reactor, 1)
        self.pool.startService()
        self.addCleanup(self.pool.stopService)
        self.keys = self.data_keys()
        self.identities = self.with_keys(self.keys)

    def with_keys(self, keys: object) -> Identities:
        return Identities(keys, (str(self.offline.to_public()),), self.pool)

    async def made(self) -> MadeIdentity:
        return await self.identities.make(self.a_request)

    async def assert_refused(self, sealed: Sealed, code: str) -> None:
        with self.assertRaises(Refused) as caught:
            await self.identities.open(sealed)
        self.assertEqual(caught.exception.code, code)

    async def test_opens_what_it_sealed(self) -> None:
        """A sealed identity opens to the same identity."""
        made = await self.made()
        self.assertEqual(await self.identities.open(made.sealed), made.identity)
        self.assertEqual(made.sealed.key, f"identities/{'su' + 'a' * 20}/1.sealed")

    async def test_tells_nothing(self) -> None:
        """No secret of the identity stands in the sealed document."""
        made = await self.made()
        for secret in (made.identity.signing_key, made.identity.introducer.swissnum):
            self.assertNotIn(secret.reveal().encode(), made.sealed.body)

    async def test_other_signups_place(self) -> None:
        """A document put in the place of another signup is refused."""
        made = await self.made()
        moved = Sealed("identities/su" + "z" * 20 + "/1.sealed", made.sealed.body)
        await self.assert_refused(moved, "seal-context")

    async def test_other_generations_place(self) -> None:
        """A document put in the place of another generation is refused."""
        made = await self.made()
        moved = Sealed(made.sealed.key.replace("/1.", "/2."), made.sealed.body)
        await self.assert_refused(moved, "seal-context")

    async def test_relabelled(self) -> None:
        """Changing what a document says that it is does not make it so."""
        made = await self.made()
        fields = json.loads(made.sealed.body)
        fields["context"][2][1] = "2"
        moved = Sealed(
            made.sealed.key.replace("/1.", "/2."), json.dumps(fields).encode()
        )
        await self.assert_refused(moved, "data-key")

    async def test_key_id_is_bound(self) -> None:
        """Another key id in the clear is noticed even where the key unwraps."""
        made = await self.made()
        fields = json.loads(made.sealed.body) | {"key_id": "memory-2"}
        await self.assert_refused(
            Sealed(made.sealed.key, json.dumps(fields).encode()), "seal"
        )

    async def test_later_format(self) -> None:
        """A document of a later format is refused by name, not misread."""
        made = await self.made()
        fields = json.loads(made.sealed.body) | {"format": 2}
        await self.assert_refused(
            Sealed(made.sealed.key, json.dumps(fields).encode()), "seal-format"
        )

    async def test_damage(self) -> None:
        """One changed bit, or a cut, is refused."""
        made = await self.made()
        fields = json.loads(made.sealed.body)
        cipher = bytearray(base64.b64decode(fields["ciphertext"]))
        cipher[7] ^= 1
        fields["ciphertext"] = base64.b64encode(bytes(cipher)).decode()
        await self.assert_refused(
            Sealed(made.sealed.key, json.dumps(fields).encode()), "seal"
        )
        await self.assert_refused(
            Sealed(made.sealed.key, made.sealed.body[:-9]), "seal"
        )

    async def test_offline_key_alone(self) -> None:
        """The offline recovery key opens a document without the running key."""
        made = await self.made()
        recovered = recover_identity(made.sealed, Secret(str(self.offline)))
        self.assertEqual(recovered, made.identity)

    async def test_other_recovery_key(self) -> None:
        """Another recovery key opens nothing, and the error tells no secret."""
        made = await self.made()
        other = pyrage.x25519.Identity.generate()
        with self.assertRaises(Refused) as caught:
            recover_identity(made.sealed, Secret(str(other)))
        self.assertNotIn(str(other), str(caught.exception))

    async def test_canary(self) -> None:
        """The canary is sealed once and opens at each later start."""
        vault = self.vault()
        await self.identities.check_canary(vault)
        first = vault.kept[CANARY_KEY]
        await self.with_keys(self.keys).check_canary(vault)
        self.assertIs(vault.kept[CANARY_KEY], first)

    async def test_canary_dies_with_its_key(self) -> None:
        """A start with another wrapping key is refused by the canary."""
        vault = self.vault()
        await self.identities.check_canary(vault)
        with self.assertRaises(Refused):
            await self.with_keys(self.data_keys()).check_canary(vault)


def a_key() -> Secret:
    return Secret(base64.b64encode(os.urandom(32)).decode())


class JournalSealerTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        """What is sealed for a row opens for that row."""
        sealer = JournalSealer((a_key(),))
        sealed = sealer.seal(b"request", "effect 7")
        self.assertNotIn(b"request", sealed)
        self.assertEqual(sealer.unseal(sealed, "effect 7"), b"request")

    def test_other_row(self) -> None:
        """What is sealed for one row is refused for another."""
        sealer = JournalSealer((a_key(),))
        with self.assertRaises(Refused):
            sealer.unseal(sealer.seal(b"request", "effect 7"), "effect 8")

    def test_rotation(self) -> None:
        """After a new key is put first, the previous one still opens, until removed."""
        old, new = a_key(), a_key()
        sealed = JournalSealer((old,)).seal(b"request", "effect 7")
        rotated = JournalSealer((new, old))
        self.assertEqual(rotated.unseal(sealed, "effect 7"), b"request")
        again = rotated.seal(b"request", "effect 7")
        self.assertEqual(JournalSealer((new,)).unseal(again, "effect 7"), b"request")
        with self.assertRaises(Refused):
            JournalSealer((new,)).unseal(sealed, "effect 7")

    def test_every_cut_and_bit(self) -> None:
        """A sealed value that is cut, or has one bit changed, is refused."""
        sealer = JournalSealer((a_key(),))
        sealed = sealer.seal(b"x", "row")
        for length in range(len(sealed)):
            self.assertRaises(Refused, sealer.unseal, sealed[:length], "row")
        for place in range(len(sealed)):
            changed = bytearray(sealed)
            changed[place] ^= 4
            self.assertRaises(Refused, sealer.unseal, bytes(changed), "row")

    def test_weak_key(self) -> None:
        """A key that is not 32 bytes in base64 is refused before it seals anything."""
        for text in ("", "short", base64.b64encode(bytes(16)).decode()):
            self.assertRaises(ValueError, JournalSealer, (Secret(text),))
        self.assertRaises(ValueError, JournalSealer, ())
