"""The daemon's settings: what ships can be read, and production is production."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import CertificateBuilder, Name, NameAttribute
from cryptography.x509.oid import NameOID

from lae_flapp.desk.claims import load_cloud_keys
from lae_flapp.journal.copies import copies_of
from lae_flapp.settings import DaemonSettings, OperatorRights, SecondFurl
from lae_localcloud.booter.signer import IdentitySigner
from lae_protocol.process.settings import SettingsError, load

CONFIG = Path(__file__).parents[2] / "config"
EXAMPLE = CONFIG / "daemon.example.yaml"
#: What the example for AWS leaves to those who need it.
ELSEWHERE = {
    "aws": {"endpoint", "s3_endpoint", "access_key", "secret_key"},
    "stripe": {"endpoint", "account"},
    "sealing": {"identity_keys"},
    "mail": {"trust_root"},
    "cells": {
        *("host_name", "listen", "s3_endpoint", "metadata_url", "volume_kms_key"),
    },
}


@pytest.mark.parametrize("name", ["daemon.example.yaml", "daemon.localcloud.yaml"])
def test_examples(name) -> None:
    """The examples that ship can be read."""
    assert load(CONFIG / name, DaemonSettings).process == "daemon"


def test_the_example_watches_the_folder_of_the_copies() -> None:
    """As shipped, the age that is watched is that of `lae journal backup`'s copies."""
    settings = load(EXAMPLE, DaemonSettings)
    assert settings.journal_backups == copies_of(settings).folder


def test_without_a_second_furl_something_is_open() -> None:
    """Without a second furl ``lae config check`` says what is open; with one, nothing."""
    settings = load(EXAMPLE, DaemonSettings)
    (said,) = settings.what_is_open()
    assert "delete data and give money back" in said
    one = OperatorRights(second_furls=(SecondFurl("ann", "0" * 64),))
    assert attrs.evolve(settings, operators=one).what_is_open() == ()
    with pytest.raises(ValueError, match="sha256"):
        SecondFurl("ann", "the furl itself")


def test_the_example_has_every_key() -> None:
    """What a daemon on AWS may be told stands in the example."""
    settings = load(EXAMPLE, DaemonSettings)
    shown = yaml.safe_load(EXAMPLE.read_text())
    assert set(shown) == set(attrs.fields_dict(DaemonSettings))
    for part, elsewhere in ELSEWHERE.items():
        value, told = getattr(settings, part), shown[part]
        if part == "cells":
            value, told = value[0], told[0]
        assert set(told) | elsewhere >= set(attrs.fields_dict(type(value))), part


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ("mode: live", "mode: test", "stripe.mode"),
        ("  region: eu-west-1", "  region: x\n  endpoint: http://x", "aws.endpoint"),
        ("site_url: https://", "site_url: http://", "site_url"),
        ("host: smtp.example.org", "host: localhost", "mail.host"),
        ("    identity_certificates:", "    #", "identity_certificates"),
        ("metrics_listen: tcp:", "metrics_listen: tpc:", "metrics_listen: tcp:PORT"),
        ("reserve_mib: 256", "reserve_mib: -1", "cannot be negative"),
    ],
)
def test_production(tmp_path, line, instead, said) -> None:
    """Production takes no local endpoint, no test money, no claim unchecked,
    and nothing that cannot be."""
    text = EXAMPLE.read_text()
    assert text.count(line) == 1
    (tmp_path / "daemon.yaml").write_text(text.replace(line, instead))
    with pytest.raises(SettingsError, match=said):
        load(tmp_path / "daemon.yaml", DaemonSettings)


def test_certificates_of_the_cloud(tmp_path) -> None:
    """The certificates that are named are those that claims are checked with."""
    cell = load(EXAMPLE, DaemonSettings).cells[0]
    (tmp_path / "pem").write_bytes(IdentitySigner().certificate())
    (key,) = load_cloud_keys(
        attrs.evolve(cell, identity_certificates=(tmp_path / "pem",))
    )
    assert key.key_size == 2048


def test_a_certificate_of_another_kind_of_key_is_refused(tmp_path) -> None:
    """The cloud signs with RSA: a certificate of anything else is named as wrong."""
    name = Name([NameAttribute(NameOID.COMMON_NAME, "another")])
    key, day = generate_private_key(SECP256R1()), datetime(2026, 11, 1, tzinfo=UTC)
    made = CertificateBuilder(name, name, key.public_key(), 1, day, day)
    (tmp_path / "pem").write_bytes(made.sign(key, SHA256()).public_bytes(Encoding.PEM))
    cell = load(EXAMPLE, DaemonSettings).cells[0]
    with pytest.raises(ValueError, match="pem: not of an RSA key"):
        load_cloud_keys(attrs.evolve(cell, identity_certificates=(tmp_path / "pem",)))
