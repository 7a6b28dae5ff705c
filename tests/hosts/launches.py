"""Launches of an image, as the tests of the user-data render them."""

from __future__ import annotations

from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lae_provision.hosts.programs import EcrPlace, ImageLaunch, ImageReference


def public_pem(curve: ec.EllipticCurve) -> str:
    """A fresh public key."""
    key = ec.generate_private_key(curve).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode("ascii")


LABEL = "gaaaaaaaaaaaaaaa"
REGISTRY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
REFERENCE = ImageReference(f"{REGISTRY}/s4-prod/node@sha256:" + "0" * 64)
SSH_KEY = "ssh-ed25519 " + "A" * 68
FIRST_KEY = public_pem(ec.SECP256R1())

#: On AWS.
IMAGE = ImageLaunch(REFERENCE, REFERENCE.ecr(), (FIRST_KEY,))
#: All that can be configured.
LARGEST = evolve(
    IMAGE,
    image=ImageReference(f"127.0.0.1:65535/{'n' * 80}/node@sha256:" + "0" * 64),
    ecr=EcrPlace("https://api.ecr.ap-southeast-99.localcloud.test:65535/", "x" * 16),
    signing_keys=(FIRST_KEY, public_pem(ec.SECP256R1())),
    registry_ca="-----BEGIN CERTIFICATE-----\n" + "A" * 1200,
    break_glass_key=f"{SSH_KEY} somebody on call, whose name is rather long",
)
