"""A claim is believed of the instance that was launched alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lae_flapp.desk.claims import claim_text, is_signed, what_is_wrong
from tests.desk.claiming import claim_of, cloud_key, document_of
from tests.twins.ground import START

KEY = Ed25519PrivateKey.generate()
CLOUD, OTHER = cloud_key(), cloud_key()
KEYS = (OTHER.public_key(), CLOUD.public_key())
LAUNCHED = datetime.fromtimestamp(START, UTC)
HOST = SimpleNamespace(instance_id="i-1", launch_time=LAUNCHED)
GOOD = document_of(CLOUD)


def at(seconds: float) -> str:
    return datetime.fromtimestamp(START + seconds, UTC).isoformat()


def test_a_claim_is_signed_with_the_key_that_it_shows() -> None:
    """Nobody binds the key of another, nor a key that is none, nor another claim."""
    claim = claim_of(KEY)
    assert is_signed(claim)
    stranger = claim_of(Ed25519PrivateKey.generate()).public_key
    for changed in ({"public_key": stranger}, {"public_key": b"short"}):
        assert is_signed(evolve(claim, **changed)) is False
    for changed in ({"instance_id": "i-2"}, {"launch_time": ""}):
        assert is_signed(evolve(claim, **changed)) is False


def test_what_is_signed() -> None:
    """Agents of all releases sign the same text."""
    assert claim_text("i-1", "now") == b"s4 claim v1\0i-1\0now"


@pytest.mark.parametrize("document", [None, GOOD, document_of(OTHER)])
@pytest.mark.parametrize("keys", [(), KEYS])
def test_a_claim_of_the_launched_instance(document, keys) -> None:
    """Nothing is wrong with it; where the cloud signs documents it must have one."""
    wrong = what_is_wrong(claim_of(KEY, document=document), HOST, keys)
    needed = keys and document is None
    assert wrong == ("it has no identity document" if needed else None)


@pytest.mark.parametrize("seconds", [-86_400, -1.01, 0, 1.01, 86_400])
@pytest.mark.parametrize("keys", [(), KEYS])
def test_other_times_of_the_cloud_quarantine_nobody(seconds, keys) -> None:
    """Of one launch EC2's answer and document may say times that differ, also after
    a stop and a start: the instance's id decides.
    """
    document = document_of(CLOUD, at=at(seconds))
    for claim in (
        claim_of(KEY, launch_time=at(seconds), document=document),
        claim_of(KEY, launch_time="yesterday", document=document),
    ):
        assert what_is_wrong(claim, HOST, keys) is None


def with_(part: str, value: object) -> str:
    return json.dumps(json.loads(GOOD) | {part: value})


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("nonsense", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        (with_("document", "[]"), "cannot be read"),
        (with_("document", 3), "cannot be read"),
        (with_("document", '{"pendingTime": "now"}'), "cannot be read"),
        (with_("signature", json.loads(GOOD)["signature"] + "!"), "cannot be read"),
        (with_("signature", ""), "is not signed by the cloud"),
        (document_of(CLOUD, instance_id="i-2"), "is of another instance"),
        (document_of(cloud_key()), "is not signed by the cloud"),
    ],
)
def test_wrong_documents(document, why) -> None:
    """A document of another instance or not the cloud's is not believed."""
    wrong = what_is_wrong(claim_of(KEY, document=document), HOST, KEYS)
    assert wrong == f"its identity document {why}"


@pytest.mark.parametrize("document", [None, GOOD])
def test_another_instance(document) -> None:
    """Whoever names another instance is not asked for more."""
    claim = claim_of(KEY, instance_id="i-2", document=document)
    assert what_is_wrong(claim, HOST, ()) == "it names another instance"
