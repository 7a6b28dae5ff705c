from __future__ import annotations

import base64
import secrets

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lae_protocol.secret import Secret
from lae_provision.aws.key_file import FileDataKeys
from lae_provision.errors import Refused

CONTEXT = (("purpose", "identity"), ("signup", "su1"))


def fresh() -> Secret:
    return Secret(base64.b64encode(secrets.token_bytes(32)).decode())


class FileDataKeysTests(SynchronousTestCase):
    def test_keys_are_rotated(self) -> None:
        """The first key wraps; keys wrapped under a former one still open, until it
        leaves the list.
        """
        old, new = fresh(), fresh()
        made = self.successResultOf(FileDataKeys((old,)).generate(CONTEXT))
        key, wrapped, key_id = made
        both = FileDataKeys((new, old))
        opened = self.successResultOf(both.unwrap(wrapped, key_id, CONTEXT))
        self.assertEqual(opened, key)
        self.assertNotEqual(self.successResultOf(both.generate(CONTEXT))[2], key_id)
        alone = FileDataKeys((new,))
        self.failureResultOf(alone.unwrap(wrapped, key_id, CONTEXT), Refused)

    def test_damage_is_noticed(self) -> None:
        """A wrapped key with one bit changed, or cut, opens nothing."""
        keys = FileDataKeys((fresh(),))
        _, wrapped, key_id = self.successResultOf(keys.generate(CONTEXT))
        for bad in (
            wrapped[:-1],
            wrapped[:5],
            b"",
            bytes([wrapped[0] ^ 1]) + wrapped[1:],
        ):
            self.failureResultOf(keys.unwrap(bad, key_id, CONTEXT), Refused)

    def test_order_of_the_context_means_nothing(self) -> None:
        """The context is a set of pairs, as KMS has it."""
        keys = FileDataKeys((fresh(),))
        key, wrapped, key_id = self.successResultOf(keys.generate(CONTEXT))
        turned = keys.unwrap(wrapped, key_id, CONTEXT[::-1])
        self.assertEqual(self.successResultOf(turned), key)


def test_bad_keys() -> None:
    """A wrapping key that is no 32 bytes in base64 is refused, and not shown."""
    for text in ("short", "A" * 44, "%%%"):
        with pytest.raises(ValueError, match="32 bytes") as caught:
            FileDataKeys((Secret(text),))
        assert text not in str(caught.value)
    with pytest.raises(ValueError, match="at least one"):
        FileDataKeys(())
