"""Which images a host runs: those that one of the deployment's keys has signed.

podman checks when it pulls.  What no rule names is rejected, from wherever it comes.
Updates of Fedora CoreOS itself are not meant: rpm-ostree brings a policy of its own.
"""

from __future__ import annotations

import json

import yaml

from lae_provision.hosts.entries import Entry, file
from lae_provision.hosts.programs import ImageLaunch

POLICY = "/etc/containers/policy.json"
REGISTRIES = "/etc/containers/registries.d/s4.yaml"
KEYS = "/etc/pki/s4"
#: Of the local cloud's registry and front alone.
CA = f"{KEYS}/registry-ca.pem"


def signature_files(launch: ImageLaunch) -> list[Entry]:
    """The policy, where signatures are kept, and the public keys."""
    keys = {
        f"{KEYS}/signing-{number}.pem": key
        for number, key in enumerate(launch.signing_keys, start=1)
    }
    repository = launch.image.repository
    files = [
        file(POLICY, policy(repository, tuple(keys))),
        file(REGISTRIES, registries(repository)),
        *(file(path, key) for path, key in keys.items()),
    ]
    if launch.registry_ca is not None:
        place = f"/etc/containers/certs.d/{launch.image.registry}/ca.crt"
        files += [file(CA, launch.registry_ca), file(place, launch.registry_ca)]
    return files


def policy(repository: str, key_paths: tuple[str, ...]) -> str:
    """``policy.json``: reject all but *repository*, signed by any of the keys.

    ``matchRepository``: a signature for another repository's image is not accepted.
    """
    signed = {
        "type": "sigstoreSigned",
        "keyPaths": list(key_paths),
        "signedIdentity": {"type": "matchRepository"},
    }
    rules = {
        "default": [{"type": "reject"}],
        "transports": {"docker": {repository: [signed]}},
    }
    return json.dumps(rules) + "\n"


def registries(repository: str) -> str:
    """``registries.d``: signatures are in the repository itself, as cosign has them."""
    attached = {"docker": {repository: {"use-sigstore-attachments": True}}}
    return yaml.safe_dump(attached)
