"""What a host may be told to run."""

from __future__ import annotations

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from lae_provision.hosts.programs import ImageReference
from tests.hosts.launches import FIRST_KEY, IMAGE, SSH_KEY, public_pem

DIGEST = "@sha256:" + "0" * 64


@pytest.mark.parametrize(
    "text",
    [
        "registry.example/s4/node:latest",
        "registry.example/s4/node",
        "node" + DIGEST,
        "registry.example/s4/node@sha256:" + "0" * 63,
        "registry.example/S4/node" + DIGEST,
        "registry.example/s4/node --privileged" + DIGEST,
        f"registry.example/s4/node{DIGEST}\n",
    ],
)
def test_an_image_has_a_digest(text: str) -> None:
    """An image that is named by a tag, or with anything else in its name, is
    refused."""
    with pytest.raises(ValueError, match="@sha256:DIGEST"):
        ImageReference(text)


@pytest.mark.parametrize(
    ("registry", "endpoint", "region"),
    [
        ("eu-west-1.amazonaws.com", "https://api.ecr.eu-west-1.amazonaws.com/", ""),
        ("us-gov-west-1.amazonaws.com", "", "us-gov-west-1"),
        (
            "cn-north-1.amazonaws.com.cn",
            "https://api.ecr.cn-north-1.amazonaws.com.cn/",
            "cn-north-1",
        ),
    ],
)
def test_the_endpoint_is_of_the_registrys_partition(
    registry: str, endpoint: str, region: str
) -> None:
    """A registry's name tells the region and the domain of its partition."""
    place = ImageReference(f"123456789012.dkr.ecr.{registry}/s4/node{DIGEST}").ecr()
    assert endpoint in ("", place.endpoint)
    assert region in ("", place.region)


@pytest.mark.parametrize(
    "registry",
    [
        "quay.io",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
        "12345.dkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com:444",
    ],
)
def test_another_registry_has_no_endpoint(registry: str) -> None:
    """The role's signature is sent to AWS alone."""
    with pytest.raises(ValueError, match="not a registry of ECR"):
        ImageReference(f"{registry}/s4/node{DIGEST}").ecr()


@pytest.mark.parametrize(
    ("registry", "account", "region"),
    [
        ("210987654321.dkr.ecr.us-east-1.amazonaws.com", "210987654321", "us-east-1"),
        ("127.0.0.1:5000", "123456789012", "eu-west-1"),
    ],
)
def test_the_repository_is_named_for_policies(
    registry: str, account: str, region: str
) -> None:
    """An ECR registry says which account and region it is of; any other stands for that
    of the cell.
    """
    image = ImageReference(f"{registry}/s4-prod/node{DIGEST}")
    arn = f"arn:aws:ecr:{region}:{account}:repository/s4-prod/node"
    assert image.repository_arn("123456789012", "eu-west-1") == arn
    assert image.digest == DIGEST[1:]
    assert image.signature_tag == f"sha256-{'0' * 64}.sig"


def test_one_or_two_keys() -> None:
    """Any of two keys may have signed, so that one can be replaced; three are none."""
    other = public_pem(ec.SECP256R1())
    assert evolve(IMAGE, signing_keys=(FIRST_KEY, other)).signing_keys[1] == other
    for keys in ((), (FIRST_KEY, other, FIRST_KEY)):
        with pytest.raises(ValueError, match="one or two"):
            evolve(IMAGE, signing_keys=keys)


def test_a_key_of_another_kind_is_refused() -> None:
    """KMS signs with P-256: what cannot check that is refused, before a host boots."""
    for text in (public_pem(ec.SECP384R1()), "", "key"):
        with pytest.raises(ValueError, match="not a"):
            evolve(IMAGE, signing_keys=(text,))


def test_a_private_key_is_refused_and_not_repeated() -> None:
    """Whoever names the private half by mistake reads so, without the key."""
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(ValueError, match="not a public key") as caught:
        evolve(IMAGE, signing_keys=(pem.decode(),))
    assert pem.decode()[40:60] not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "-----BEGIN OPENSSH PRIVATE KEY-----", f"{SSH_KEY}\n{SSH_KEY}", "ssh-ed25519"],
)
def test_the_break_glass_key_is_one_public_key(text: str) -> None:
    """Anything but one line of OpenSSH's is refused."""
    with pytest.raises(ValueError, match="OpenSSH"):
        evolve(IMAGE, break_glass_key=text)


def test_a_name_that_only_begins_like_ecrs_is_another_registry() -> None:
    """The rights to pull are in the cell's own account, whatever a name begins with."""
    image = ImageReference(
        f"999999999999.dkr.ecr.eu-west-1.amazonaws.com.example/s4/node{DIGEST}"
    )
    arn = "arn:aws:ecr:eu-central-1:123456789012:repository/s4/node"
    assert image.repository_arn("123456789012", "eu-central-1") == arn
