"""A Tub's certificate is kept, whole and private; its options are ours."""

from __future__ import annotations

import os
import stat

import pytest
from foolscap.api import Tub

from lae_protocol.process.tub import DISCONNECT, KEEPALIVE, make_tub


def test_kept(tmp_path) -> None:
    """The certificate is made once, for its owner alone, and is the same ever after."""
    file = tmp_path / "tub.pem"
    old = os.umask(0)
    try:
        first = make_tub(file)
    finally:
        os.umask(old)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_bytes()
    again = make_tub(file)
    assert again.getTubID() == first.getTubID()
    assert file.read_bytes() == text
    assert [p.name for p in tmp_path.iterdir()] == ["tub.pem"]


def test_exposed(tmp_path) -> None:
    """A certificate that others could read is closed to them."""
    file = tmp_path / "tub.pem"
    file.write_bytes(Tub().getCertData())
    file.chmod(0o644)
    make_tub(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_damaged(tmp_path) -> None:
    """A damaged certificate is an error, and is not replaced: furls name its Tub."""
    file = tmp_path / "tub.pem"
    file.write_bytes(b"half of a certif")
    with pytest.raises(Exception):  # noqa: B017  (whatever OpenSSL raises)
        make_tub(file)
    assert file.read_bytes() == b"half of a certif"


def test_ephemeral() -> None:
    """Without a file each Tub is another one; from PEM text it is the same."""
    one, two = make_tub(), make_tub()
    assert one.getTubID() != two.getTubID()
    assert make_tub(pem=one.getCertData()).getTubID() == one.getTubID()


def test_options() -> None:
    """Nothing of ours travels, no gifts are taken, and a dead peer is noticed."""
    tub = make_tub()
    assert not tub.unsafeTracebacks
    assert not tub.accept_gifts
    assert not tub._expose_remote_exception_types
    assert (tub.keepaliveTimeout, tub.disconnectTimeout) == (KEEPALIVE, DISCONNECT)
