"""What a host runs: a program that it has already, or a signed image."""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import define, field
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.serialization import load_pem_public_key

_REFERENCE = re.compile(
    r"(?P<repository>(?P<registry>[a-z0-9.-]+(?::\d{1,5})?)"
    r"/[a-z0-9]+(?:[._/-][a-z0-9]+)*)@sha256:[0-9a-f]{64}"
)
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.(?P<suffix>amazonaws\.com(?:\.cn)?)"
)
_SSH_KEY = re.compile(
    r"(?:ssh-ed25519|ecdsa-sha2-nistp256|ssh-rsa) [A-Za-z0-9+/]+=*(?: [ -~]*)?"
)
#: The label of an image that tells the number of its release.  It is in the
#: configuration that the digest is of, and so what is signed binds it.
RELEASE_LABEL = "s4.release"
#: An old and a new key, while one is replaced by the other.
MOST_KEYS = 2


@define(frozen=True)
class CommandLaunch:
    """Run a program that the host has already (the process-level local cloud).

    *command* is a list of words; the first is a path.  It runs with ``/`` as its
    working directory and gets ``--config etc/s4/node.yaml`` after it.
    """

    command: tuple[str, ...]


@define(frozen=True)
class EcrPlace:
    """Where a registry's tokens are given out: *endpoint* is a URL, *region* the one
    that requests are signed for.
    """

    endpoint: str
    region: str


def is_reference(text: str) -> bool:
    """Whether it names an image by its digest, as hosts are told one."""
    return _REFERENCE.fullmatch(text) is not None


@define(frozen=True)
class ImageReference:
    """An image by its digest: ``REGISTRY/NAME@sha256:…``."""

    text: str

    def __attrs_post_init__(self) -> None:
        if not is_reference(self.text):
            raise ValueError(
                f"{self.text}: an image is named REGISTRY/NAME@sha256:DIGEST"
            )

    @property
    def registry(self) -> str:
        """The registry's host, with its port where it has one."""
        return self._part("registry")

    @property
    def repository(self) -> str:
        """``REGISTRY/NAME``."""
        return self._part("repository")

    @property
    def name(self) -> str:
        """The repository's name in its registry."""
        return self.repository.partition("/")[2]

    @property
    def digest(self) -> str:
        """``sha256:…``."""
        return self.text.partition("@")[2]

    @property
    def signature_tag(self) -> str:
        """The tag, in the same repository, of the image's signature."""
        return self.digest.replace(":", "-") + ".sig"

    def repository_arn(self, account: str, region: str) -> str:
        """Name the repository as IAM does; *account* and *region* are those of a
        registry that stands for ECR.
        """
        found = _ECR.fullmatch(self.registry)
        if found is not None:
            account, region = found["account"], found["region"]
        return f"arn:aws:ecr:{region}:{account}:repository/{self.name}"

    def ecr(self) -> EcrPlace:
        """Return where ECR gives out tokens; ValueError for another registry.

        The registry's own name tells its region, and the domain of its partition.
        """
        found = _ECR.fullmatch(self.registry)
        if found is None:
            raise ValueError(
                f"{self.registry}: not a registry of ECR"
                " (ACCOUNT.dkr.ecr.REGION.amazonaws.com)"
            )
        region, suffix = found["region"], found["suffix"]
        return EcrPlace(f"https://api.ecr.{region}.{suffix}/", region)

    def _part(self, name: str) -> str:
        found = _REFERENCE.fullmatch(self.text)
        assert found is not None
        return found[name]


def _each(
    check: Callable[[str], None],
) -> Callable[[object, object, tuple[str, ...]], None]:
    def validate(_instance: object, _attribute: object, found: tuple[str, ...]) -> None:
        for text in found:
            check(text)

    return validate


def check_signing_key(text: str) -> None:
    """Raise ValueError unless *text* is a public key (PEM) of the curve P-256."""
    try:
        key = load_pem_public_key(text.encode())
    except ValueError:
        # The text may be a private key, so it is not repeated.
        raise ValueError("not a public key in PEM (BEGIN PUBLIC KEY)") from None
    is_p256 = isinstance(key, EllipticCurvePublicKey) and isinstance(
        key.curve, SECP256R1
    )
    if not is_p256:
        raise ValueError("not a key of the curve P-256, which signs images")


def check_ssh_key(text: str) -> None:
    """Raise ValueError unless *text* is one line with a public key of OpenSSH."""
    if not _SSH_KEY.fullmatch(text):
        raise ValueError("not one public key of OpenSSH (ssh-ed25519 AAAA… NAME)")


@define(frozen=True)
class ImageLaunch:
    """Run a signed image by its digest with podman, on Fedora CoreOS.

    Any one of the *signing_keys* (PEM) must have signed it.  *registry_ca* (PEM) is
    believed in the place of the system's authorities.  With a *break_glass_key* (a
    public key of OpenSSH) its owner can log in as ``core``; without one nobody can.
    """

    image: ImageReference
    ecr: EcrPlace
    signing_keys: tuple[str, ...] = field(validator=_each(check_signing_key))
    registry_ca: str | None = None
    break_glass_key: str | None = None

    def __attrs_post_init__(self) -> None:
        if not 1 <= len(self.signing_keys) <= MOST_KEYS:
            raise ValueError("one or two signing keys are needed")
        if self.break_glass_key is not None:
            check_ssh_key(self.break_glass_key)


Launch = CommandLaunch | ImageLaunch
