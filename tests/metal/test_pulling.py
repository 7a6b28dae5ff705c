"""A real host takes images that are signed for it, and no other; and what it does when
the pull goes wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lae_protocol.secret import Secret
from lae_provision.hosts.programs import EcrPlace, ImageLaunch, ImageReference
from lae_provision.hosts.user_data import HostSettings, user_data
from tests.end_to_end.process import until
from tests.end_to_end.stack import Stack
from tests.localcloud.conftest import CloudClients
from tests.metal.instance import Instance, Launcher, wish
from tests.metal.shelf import RELEASE

_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
_PULLS = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Resource": "arn:aws:ecr:*:*:repository/shelf/*",
        },
        {
            "Effect": "Allow",
            "Action": "ecr:GetAuthorizationToken",
            "Resource": "*",
        },
    ],
}


@pytest.fixture(scope="module")
def shelf(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Names of images, by what is right or wrong with them."""
    folder = tmp_path_factory.mktemp("shelf")
    facts = stack.layout.aws / "aws.json"
    argv = [sys.executable, "-m", "tests.metal.shelf", str(facts), str(folder)]
    told = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    said: dict[str, Any] = json.loads(told.stdout)
    return said


@pytest.fixture(scope="module")
def profile(metal: CloudClients) -> str:
    """An instance profile whose role may pull what is on the shelf."""
    iam = metal.client("iam")
    iam.create_role(RoleName="shelf", AssumeRolePolicyDocument=json.dumps(_TRUST))
    iam.put_role_policy(
        RoleName="shelf", PolicyName="pulls", PolicyDocument=json.dumps(_PULLS)
    )
    iam.create_instance_profile(InstanceProfileName="shelf")
    iam.add_role_to_instance_profile(InstanceProfileName="shelf", RoleName="shelf")
    return "shelf"


@pytest.fixture(scope="module")
def host(
    metal: CloudClients, shelf: dict[str, Any], profile: str
) -> Iterator[Instance]:
    """With the user-data of a customer's host; its unit has tried to run the image."""
    facts = metal.facts
    launch = ImageLaunch(
        ImageReference(shelf["by the old key"]),
        EcrPlace(f"{facts['inside']['aws_endpoint']}/", facts["region"]),
        tuple(shelf["keys"]),
        registry_ca=Path(facts["registry"]["authority"]).read_text(),
    )
    settings = HostSettings(
        "http://169.254.169.254",
        facts["region"],
        facts["inside"]["s3_endpoint"],
        "text",
    )
    launching = Launcher(metal)
    made = launching.launch(
        user_data(settings, Secret("pb://nobody"), launch, "label").reveal(),
        IamInstanceProfile={"Name": profile},
    )
    until(lambda: made.listed["enter"], "it is on", 30)
    until(lambda: has(made, shelf["by the old key"]), "it has pulled", 60)
    # The image has no program: from here on the tests pull by hand.
    made.run("systemctl", "stop", "s4-node")
    made.run("podman", "rmi", "--force", shelf["by the old key"])
    yield made
    launching.end()


def has(host: Instance, image: str) -> bool:
    asked = f"podman image exists {image} && echo yes || echo no"
    return host.run("sh", "-c", asked, check=False).strip() == "yes"


def pull(host: Instance, image: str) -> str:
    """What podman says when it refuses; nothing where it takes the image."""
    words = (
        "s4-log-in /run/auth.json &&"
        f" podman pull -q --retry 0 --authfile /run/auth.json {image} 2>&1 >/dev/null"
        " || true"
    )
    return host.run("sh", "-c", words)


@pytest.mark.parametrize("what", ["by the old key", "by the new key", "by both keys"])
def test_taken(host: Instance, shelf: dict[str, Any], what: str) -> None:
    """Either of two keys is enough, so that a key can be exchanged."""
    assert pull(host, shelf[what]) == ""
    assert has(host, shelf[what])


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("unsigned", "A signature was required, but no signature exists"),
        ("by a stranger", "cryptographic signature verification failed"),
        ("of another digest", "does not match"),
        ("of another repository", "is not accepted"),
        ("outside the policy", "is rejected by policy"),
    ],
)
def test_refused(host: Instance, shelf: dict[str, Any], what: str, words: str) -> None:
    """Nothing else runs: podman itself refuses, and says why."""
    assert words in pull(host, shelf[what])
    assert not has(host, shelf[what])


def test_changed_layer(host: Instance, shelf: dict[str, Any], stack: Stack) -> None:
    """A layer whose bytes were changed in the registry's own store is not taken, though
    its image is signed.
    """
    blobs = stack.layout.aws / "registry" / "docker" / "data"

    def stored_as(digest: str) -> Path:
        (found,) = blobs.glob(f"**/blobs/sha256/*/{digest.partition(':')[2]}/data")
        return found

    manifest = json.loads(stored_as(shelf["changed"].partition("@")[2]).read_bytes())
    stored = stored_as(manifest["layers"][0]["digest"])
    data = bytearray(stored.read_bytes())
    data[len(data) // 2] ^= 1
    stored.write_bytes(bytes(data))
    assert pull(host, shelf["changed"]) != ""
    assert not has(host, shelf["changed"])


def test_token_that_ends(
    host: Instance, shelf: dict[str, Any], metal: CloudClients
) -> None:
    """A token that ends while the host pulls fails that pull; the unit logs in again,
    and pulls.
    """
    image = shelf["by the old key"]
    host.run("podman", "rmi", "--force", image, check=False)
    metal.control("DELETE", "faults")
    with metal.slow(token=1.0):
        # Several, because another host's pull may take one.
        metal.fault("registry", "BatchGetImage", "delay", seconds=1.5, times=3)
        refused = pull(host, image)
    metal.control("DELETE", "faults")
    assert "expired" in refused
    host.run("systemctl", "start", "--no-block", "s4-node")
    until(lambda: has(host, image), "it has pulled", 60)
    host.run("systemctl", "stop", "s4-node")


def test_full_disk(host: Instance, shelf: dict[str, Any]) -> None:
    """A pull that fills the disk fails and leaves no half of an image; once there is
    room the same pull is taken.
    """
    fill = "fallocate -l $(($(df --output=avail -B1 / | tail -1) - 8000000)) /root/fat"
    host.run("sh", "-c", fill)
    assert "no space left on device" in pull(host, shelf["fat"])
    assert not has(host, shelf["fat"])
    host.run("rm", "/root/fat")
    assert pull(host, shelf["fat"]) == ""


def test_registry_away(
    host: Instance, shelf: dict[str, Any], metal: CloudClients
) -> None:
    """While the registry answers with errors a pull fails, and says so; once it is
    back the same pull is taken.
    """
    image = shelf["by the new key"]
    host.run("podman", "rmi", "--force", image, check=False)
    metal.fault("registry", "*", "error-before", times=1000, status=500)
    said = pull(host, image)
    metal.control("DELETE", "faults")
    assert "500" in said or "unknown" in said
    assert pull(host, image) == ""


def outcome(host: Instance) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(host.run("cat", "/etc/s4/program.json"))
    return told


def test_what_is_wished_and_does_not_run(host: Instance, shelf: dict[str, Any]) -> None:
    """A real host judges: an image of another repository, an old one with a good
    signature below the floor, one that is not signed, and one whose unit does not start
    leave what stands, each by its name; and an image that goes is no longer there.
    """
    stands = shelf["by the old key"]
    pull(host, stands)
    pull(host, shelf["by both keys"])
    until(lambda: outcome(host)["release"] == RELEASE, "its release is known", 60)
    assert outcome(host)["program"] == stands
    for what, trouble in (
        ("outside the policy", "other-repository"),
        ("unsigned", "not-signed"),
        ("by a stranger", "not-signed"),
        ("of another repository", "not-signed"),
        ("older", "below-floor"),
        ("by the new key", "did-not-start"),
    ):
        wish(host, shelf[what], RELEASE)
        until(lambda w=what: outcome(host)["refused"] == shelf[w], f"{what}: told", 60)
        assert outcome(host) == {
            "program": stands,
            "release": RELEASE,
            "trouble": trouble,
            "refused": shelf[what],
        }
        assert has(host, shelf[what]) == (what in {"older", "by the new key"})
        assert has(host, stands)
    assert not has(host, shelf["by both keys"])
    assert "is wished" in host.console
    started = f"cat /run/s4/program.env | grep -q {stands.rpartition(':')[2]} && echo y"
    until(lambda: host.run("sh", "-c", started, check=False), "it has gone back", 60)
    host.run("systemctl", "stop", "s4-node")
