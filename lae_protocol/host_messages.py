"""What a customer's host says to the daemon, and what it is told.

The identity's fields are what makes a grid *this* grid; all are byte-equal after the
host is replaced, but for the announcement's sequence number.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar, Literal

from attrs import define

from lae_protocol.messages import Requests
from lae_protocol.question import KB, Question
from lae_protocol.secret import Secret


@define(frozen=True)
class TubIdentity:
    """One Foolscap Tub: certificate and key in one PEM text, and where it listens.

    *location* is what stands in furls (``tcp:HOST:PORT``), *port* what is bound
    (``tcp:PORT`` or ``tcp:PORT:interface=127.0.0.1``).
    """

    tub_id: str
    pem: Secret
    swissnum: Secret
    location: str
    port: str


@define(frozen=True)
class NodeIdentity:
    """A customer's grid, whole.

    *permutation_seed* is base32; *signing_key* is Tahoe's ``priv-v0-…`` text;
    *announcement_seqnum* is generation * 2**32.
    """

    format: Literal[1]
    signup_id: str
    generation: int
    grid_label: str
    nickname: str
    introducer: TubIdentity
    storage: TubIdentity
    permutation_seed: str
    signing_key: Secret
    announcement_seqnum: int
    lease_secret: Secret

    def introducer_furl(self) -> str:
        """Tell the customer's furl: plain HOST:PORT, which Gridsync insists on."""
        hint = self.introducer.location.removeprefix("tcp:")
        return (
            f"pb://{self.introducer.tub_id}@{hint}/{self.introducer.swissnum.reveal()}"
        )


@define(frozen=True)
class StoragePlace:
    """Where the shares lie.  *credentials* are the instance profile's, from the
    metadata service; *endpoint* is None for AWS itself.
    """

    bucket: str
    region: str
    endpoint: str | None
    quota: int


@define(frozen=True)
class Claimed:
    """Yours: the identity, where to store, and the furl to report to."""

    identity: NodeIdentity
    storage: StoragePlace
    host_furl: Secret


@define(frozen=True)
class Claim(Question[Claimed]):
    r"""A host asks for its identity.

    *public_key* is an Ed25519 key (32 bytes) that the agent made on its volume;
    *signature* signs ``b"s4 claim v1\0" + instance_id + b"\0" + launch_time``.
    *identity_document* is, where the cloud has one, JSON with two texts: ``document``
    as the metadata service gave it, and ``signature`` (base64, RSA PKCS #1 v1.5 with
    SHA-256 over the document).
    """

    LARGEST: ClassVar[int] = 32 * KB

    public_key: bytes
    signature: bytes
    instance_id: str
    launch_time: str
    identity_document: str | None


@define(frozen=True)
class Desired:
    """What the host shall be: serving, read only, or about to be stopped.

    *traffic* is the bytes to clients in a calendar month (UTC) beyond which it slows
    down; None is no limit.  *program* is the whole reference of what it shall run
    (``REGISTRY/NAME@sha256:…``); empty is no wish.  A release below *floor* never runs
    again; 0 is no floor.
    """

    OMITS_DEFAULTS: ClassVar[bool] = True  # an older host knows no program

    state: Literal["serving", "suspended", "stopping"]
    quota: int
    traffic: int | None = None
    program: str = ""
    floor: int = 0


@define(frozen=True)
class DayCounts:
    """What was counted on a day (UTC) until now: bytes from and to clients, operations
    of the bucket by kind.  A day that is told again is told whole.
    """

    day: date
    received: int
    sent: int
    requests: tuple[Requests, ...]


#: Why a host does not run what it shall run; empty is no trouble.
ProgramTrouble = Literal[
    "",
    "other-repository",
    "below-floor",
    "cannot-pull",
    "not-signed",
    "did-not-start",
]


@define(frozen=True)
class Report(Question[Desired]):
    """A host says how it is.  *phase* grows; ``ready`` means the self-test passed.

    *used_bytes* is what shares take in the bucket, *noncurrent_bytes* what versions
    take that are not current (None: not known); *days* are today and yesterday;
    *slowed* says that the month's traffic is used up.  *problem* is a sentence for the
    operator, without secrets; *capped* says that it is a bound which a client met.
    *program* is the reference that runs and has proved itself, of the number *release*;
    empty and 0 where the host does not know.  *program_trouble* says why the reference
    *program_refused* does not run in its place.
    """

    LARGEST: ClassVar[int] = 8 * KB
    OMITS_DEFAULTS: ClassVar[bool] = True  # an older daemon knows no program

    phase: Literal["starting", "serving", "self-test-passed", "ready", "failing"]
    at: datetime
    used_bytes: int
    share_count: int
    advisories: int
    problem: str | None
    # With defaults, since the journal keeps reports that older hosts made.
    noncurrent_bytes: int | None = None
    days: tuple[DayCounts, ...] = ()
    slowed: bool = False
    capped: bool = False
    program: str = ""
    release: int = 0
    program_trouble: ProgramTrouble = ""
    program_refused: str = ""


BootstrapQuestion = Claim
HostQuestion = Report
