"""What was changed behind the stack's back, and which of it matters.  Pure."""

from __future__ import annotations

from attrs import define

from lae_provision.account.difference import Difference

#: Properties that change nothing but how a thing is described.
_HARMLESS = ("/Tags", "/Description", "/HostedZoneTags", "/GroupDescription")
#: What follows from a change of each type of thing.
_MEANS = {
    "AWS::EC2::Route": "hosts may be cut off",
    "AWS::EC2::SecurityGroup": "ports are open or closed that should not be",
    "AWS::IAM::ManagedPolicy": "somebody may do more, or less, than is meant",
    "AWS::IAM::Role": "the daemon may do more, or less, than is meant",
    "AWS::IAM::User": "the daemon may do more, or less, than is meant",
    "AWS::KMS::Key": "what is sealed may be unreadable",
    "AWS::Route53::RecordSet": "a name leads elsewhere",
    "AWS::S3::Bucket": "data is less safe",
    "AWS::S3::BucketPolicy": "data is less safe",
}
_LONGEST = 160


@define(frozen=True)
class PropertyDrift:
    """One property: where it is, what the template says, and what it is."""

    path: str
    wanted: str
    found: str


@define(frozen=True)
class Drifted:
    """A thing that is not as the template says, or *gone*."""

    thing: str
    type: str
    physical: str
    gone: bool
    properties: tuple[PropertyDrift, ...] = ()


def find_differences(drifted: tuple[Drifted, ...]) -> tuple[Difference, ...]:
    """Name the drift that matters; ``apply`` puts all of it right."""
    made = (_difference(one) for one in drifted)
    return tuple(d for d in made if d is not None)


def _difference(drifted: Drifted) -> Difference | None:
    name = f"{drifted.thing} {drifted.physical}".strip()
    if drifted.gone:
        return Difference(_kind(drifted), name, "deleted", "there", "change")
    matters = [p for p in drifted.properties if not p.path.startswith(_HARMLESS)]
    if not matters:
        return None
    means = _MEANS.get(drifted.type)
    found = "changed by hand" if means is None else f"changed by hand: {means}"
    return Difference(
        _kind(drifted),
        name,
        found,
        "as the template says",
        "change",
        more=tuple(
            f"{p.path}: is {_short(p.found)}, not {_short(p.wanted)}" for p in matters
        ),
    )


def _kind(drifted: Drifted) -> str:
    return drifted.type.removeprefix("AWS::").replace("::", " ")


def _short(text: str) -> str:
    if not text or text == "null":
        return "absent"
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
