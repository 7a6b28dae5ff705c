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

from lae_flapp.cell_settings import CellSettings
from lae_flapp.desk.claims import load_cloud_keys
from lae_flapp.grid.ignition import load_renderer
from lae_flapp.settings import DaemonSettings, OperatorRights, SecondFurl
from lae_localcloud.booter.signer import IdentitySigner
from lae_protocol.furl import Furl
from lae_protocol.ids import new_grid_label
from lae_protocol.process.settings import SettingsError, load
from lae_provision.hosts.programs import ImageLaunch, ImageReference
from tests.hosts.launches import FIRST_KEY

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


def test_without_a_second_furl_something_is_open() -> None:
    """Without a second furl ``lae config check`` says what is open; with one, nothing."""
    settings = load(EXAMPLE, DaemonSettings)
    (said,) = settings.what_is_open()
    assert "delete data and give money back" in said
    one = OperatorRights(second_furls=(SecondFurl("ann", "0" * 64),))
    assert attrs.evolve(settings, operators=one).what_is_open() == ()


def test_a_way_into_hosts_is_told() -> None:
    """``lae config check`` tells that somebody can log in to hosts."""
    settings = load(EXAMPLE, DaemonSettings)
    cell = attrs.evolve(settings.cells[0], break_glass_key=Path("key.pub"))
    told = attrs.evolve(settings, cells=(cell,)).what_is_open()
    assert [line for line in told if "break_glass_key" in line] == [told[-1]]
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
        ("  region: eu-west-1", "  region: us-gov-east-1", "us-gov-east-1 is not in"),
        ("  region: eu-west-1", "  region: cn-north-1", "GovCloud, China"),
        ("boundary_arn: arn:aws:", "boundary_arn: arn:aws-cn:", "standard partition"),
        (
            "kms_key: alias/",
            "kms_key: arn:aws-us-gov:kms:x:1:alias/",
            "standard partition",
        ),
        ("ecr.eu-west-1.amazonaws", "ecr.us-gov-west-1.amazonaws", "us-gov-west-1 is"),
        ("volume_gib: 10", "volume_gib: 9", "9 GiB do not hold the image"),
        ("volume_gib: 10", "volume_kms_key: alias/volumes", "no alias: the daemon's"),
        ("site_url: https://", "site_url: http://", "site_url"),
        ("host: smtp.example.org", "host: localhost", "mail.host"),
        ("    identity_certificates:", "    #", "identity_certificates"),
        ("    program:", "    program:\n      ecr_endpoint: http://x", "ecr_endpoint"),
        ("    program:", "    program:\n      registry_ca: x.pem", "registry_ca"),
        ("      signing_keys:", "      # :", "one or two keys"),
        ("amazonaws.com/s4-prod", "example/s4-prod", "not a registry of ECR"),
        ("/node@sha256:", "/node:v1@sha256:", "REGISTRY/NAME@sha256:DIGEST"),
        ("metrics_listen: tcp:", "metrics_listen: tpc:", "metrics_listen: tcp:PORT"),
        ("reserve_mib: 256", "reserve_mib: -1", "cannot be negative"),
        ("late_claim: 300", "late_claim: 1800", "late_claim: shorter than claim"),
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


def keyed_cell(folder: Path) -> CellSettings:
    """The example's, with a key to check signatures that is really there."""
    (folder / "image.pem").write_text(FIRST_KEY)
    cell = load(EXAMPLE, DaemonSettings).cells[0]
    program = attrs.evolve(cell.program, signing_keys=(folder / "image.pem",))
    return attrs.evolve(cell, program=program)


def test_hosts_get_the_keys_that_the_settings_name(tmp_path) -> None:
    """The public keys are read at start, and are in what a host is told."""
    aws = load(EXAMPLE, DaemonSettings).aws
    renderer = load_renderer(aws, keyed_cell(tmp_path))
    assert isinstance(renderer.launch, ImageLaunch)
    assert renderer.launch.signing_keys == (FIRST_KEY,)
    assert renderer.launch.ecr.region == "eu-west-1"
    assert renderer.launch.break_glass_key is None


def test_new_hosts_run_the_image_that_a_rollout_has_brought(tmp_path) -> None:
    """What is named at the launch stands in the user-data, in the settings' place."""
    aws = load(EXAMPLE, DaemonSettings).aws
    renderer = load_renderer(aws, keyed_cell(tmp_path))
    assert isinstance(renderer.launch, ImageLaunch)
    configured = renderer.launch.image.text
    brought = f"{renderer.launch.image.repository}@sha256:{'b' * 64}"
    furl, label = Furl("a" * 32, ("h:1",), "b" * 52), new_grid_label()
    launch = attrs.evolve(renderer.launch, image=ImageReference(brought))
    changed = attrs.evolve(renderer, launch=launch)
    told = [renderer(furl, label, one).reveal() for one in (None, configured, brought)]
    assert told[0] == told[1] != told[2]
    assert told[2] == changed(furl, label, None).reveal()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("image.pem", "no key", "signing_keys: .*image.pem: not a public key"),
        ("image.pem", None, "image.pem: No such file"),
        ("glass.pub", "no key", "break_glass_key: .*glass.pub: not one public key"),
        ("glass.pub", None, "glass.pub: No such file"),
        ("ca.pem", None, "ca.pem: No such file"),
        ("ca.pem", "x" * 20_000, "cells.program: user-data is"),
    ],
)
def test_what_hosts_could_not_use_is_told_at_start(tmp_path, name, text, said) -> None:
    """A key that is none, and user-data that EC2 would refuse, are told by ``lae config
    check`` and at the daemon's start, and not by the first launch.
    """
    aws, cell = load(EXAMPLE, DaemonSettings).aws, keyed_cell(tmp_path)
    if text is None:
        (tmp_path / name).unlink(missing_ok=True)
    else:
        (tmp_path / name).write_text(text)
    if name == "glass.pub":
        cell = attrs.evolve(cell, break_glass_key=tmp_path / name)
    if name == "ca.pem":
        local = attrs.evolve(cell.program, registry_ca=tmp_path / name)
        cell = attrs.evolve(cell, program=local)
    with pytest.raises(SettingsError, match=said):
        load_renderer(aws, cell)


@pytest.mark.parametrize("key", ["subnet_id", "dns_zone_id", "security_groups"])
def test_ids_that_are_still_to_be_learnt(tmp_path, key):
    """Settings may leave open what the account will say; a daemon does not start so."""
    text = EXAMPLE.read_text()
    (line,) = [one for one in text.splitlines() if one.startswith(f"    {key}: ")]
    empty = "[]" if key == "security_groups" else '""'
    path = tmp_path / "daemon.yaml"
    path.write_text(text.replace(line, f"    {key}: {empty}"))
    settings = load(path, DaemonSettings)
    with pytest.raises(ValueError, match=rf"cells.{key}: empty; .lae account apply"):
        settings.raise_if_unfilled()
    load(EXAMPLE, DaemonSettings).raise_if_unfilled()


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ("spf: v=spf1", "spf: spf1", "spf"),
        ("dmarc: v=DMARC1;", "dmarc: DMARC1;", "dmarc"),
        ("operators_from: 203.0.113.0/24", "operators_from: office", "operators_from"),
        ("  domain: s4.example.org", "  domain: S4", "not a domain name in lower case"),
        ("log_days: 90", "log_days: 0", "log_days"),
    ],
)
def test_an_account_that_cannot_be(tmp_path, line, instead, said):
    """A record, a network or a name that AWS would refuse is refused with its line."""
    text = EXAMPLE.read_text()
    assert text.count(line) == 1
    path = tmp_path / "daemon.yaml"
    path.write_text(text.replace(line, instead))
    with pytest.raises(SettingsError, match=said):
        load(path, DaemonSettings)
