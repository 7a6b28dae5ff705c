"""Which images podman accepts on a host."""

from __future__ import annotations

import json

import yaml
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import ec

from lae_provision.hosts.signatures import policy, registries, signature_files
from tests.hosts.launches import FIRST_KEY, IMAGE, LARGEST, REFERENCE, public_pem
from tests.identity.test_user_data import FURL, LABEL, SETTINGS, files, user_data


def rendered(launch: object) -> dict[str, str]:
    return files(user_data(SETTINGS, FURL, launch, LABEL))


def test_what_no_rule_names_is_rejected() -> None:
    """One repository is accepted, signed; all others, and all other transports, are
    rejected.
    """
    rules = json.loads(rendered(IMAGE)["/etc/containers/policy.json"])
    assert rules["default"] == [{"type": "reject"}]
    assert list(rules["transports"]) == ["docker"]
    ((repository, (rule,)),) = rules["transports"]["docker"].items()
    assert repository == REFERENCE.repository
    assert rule["type"] == "sigstoreSigned"


def test_a_signature_of_another_repository_does_not_count() -> None:
    """The identity in the signature must be the repository's own."""
    rules = json.loads(policy(REFERENCE.repository, ("/k",)))
    ((rule,),) = rules["transports"]["docker"].values()
    assert rule["signedIdentity"] == {"type": "matchRepository"}


def test_any_of_two_keys_is_enough() -> None:
    """Both keys are on the host, where the policy looks for them."""
    other = public_pem(ec.SECP256R1())
    found = rendered(evolve(IMAGE, signing_keys=(FIRST_KEY, other)))
    rules = json.loads(found["/etc/containers/policy.json"])
    ((rule,),) = rules["transports"]["docker"].values()
    assert [found[path] for path in rule["keyPaths"]] == [FIRST_KEY, other]


def test_signatures_are_read_from_the_repository() -> None:
    """podman looks for cosign's signatures in this repository."""
    told = yaml.safe_load(registries(REFERENCE.repository))
    assert told == {
        "docker": {REFERENCE.repository: {"use-sigstore-attachments": True}}
    }


def test_an_authority_of_the_local_cloud_is_believed_for_its_registry() -> None:
    """It is written for podman and for curl; on AWS there is none."""
    paths = {entry["path"] for entry in signature_files(LARGEST)}
    assert "/etc/containers/certs.d/127.0.0.1:65535/ca.crt" in paths
    assert "/etc/pki/s4/registry-ca.pem" in paths
    assert not any("ca" in path.split("/")[-1] for path in rendered(IMAGE))
