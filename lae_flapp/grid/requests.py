"""Every request of the routine, rendered whole from the signup's row.

What is agreed and named stands in the row; what a cell offers stands in
:class:`Ground`.  The journal keeps what is rendered here, so a later configuration
changes no request that was begun.
"""

from __future__ import annotations

from attrs import define

from lae_flapp.journal.ports import allot
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import WriteTx
from lae_protocol.ids import Generation
from lae_protocol.secret import Secret
from lae_provision.doors import (
    BucketRequest,
    HostKey,
    IdentityRequest,
    LaunchRequest,
    RoleRequest,
    Tags,
)

#: The identity's own generation: it stays when hosts are replaced.
IDENTITY_GENERATION = 1


@define(frozen=True)
class Ground:
    """What a cell offers to build on.

    The local cloud has no DNS and one machine: *fixed_host* is the name of all hosts
    there, *listen* the interface that they bind, and *port_span* (first, last) the
    range from which each signup gets ports of its own.  *tls_only* is for buckets.
    """

    image_id: str
    instance_type: str
    subnet_id: str
    security_group_ids: tuple[str, ...]
    volume_gib: int
    volume_kms_key: str | None
    boundary_arn: str
    role_path: str
    tls_only: bool = True
    introducer_port: int = 3456
    storage_port: int = 3457
    fixed_host: str | None = None
    listen: str | None = None
    port_span: tuple[int, int] | None = None


@define(frozen=True)
class Ports:
    """Where introducer and storage node of one customer listen."""

    introducer: int
    storage: int


def ports(tx: WriteTx, signup: Signup, ground: Ground) -> Ports:
    """Tell the customer's ports, and allot them where hosts share a machine."""
    if ground.port_span is None:
        return Ports(ground.introducer_port, ground.storage_port)
    first, last = ground.port_span
    purposes = ("introducer", "storage")
    span = range(first, last + 1)
    allotted = allot(tx, signup.signup_id, signup.cell.name, span, purposes)
    return Ports(**allotted)


def tags(signup: Signup) -> Tags:
    """What everything of a signup is tagged with, to be found again."""
    cell = signup.cell
    return (
        ("s4:deployment", cell.deployment),
        ("s4:cell", cell.name),
        ("s4:signup", signup.signup_id),
        ("s4:label", signup.grid_label),
    )


def nickname(signup: Signup) -> str:
    """Name the grid as clients show it: unique for each."""
    return f"S4 {signup.grid_label}"


def resource_name(signup: Signup) -> str:
    """Name bucket, role and instance profile alike."""
    return f"{signup.cell.deployment}-{signup.grid_label}"


def host_name(signup: Signup, ground: Ground) -> str:
    """Tell the name in the customer's furl."""
    return ground.fixed_host or f"{signup.grid_label}.{signup.cell.dns_zone}"


def host_key(signup: Signup, generation: int) -> HostKey:
    """Tell which host this is."""
    return HostKey(signup.cell.deployment, signup.signup_id, generation)


def bucket(signup: Signup, ground: Ground) -> BucketRequest:
    """Ask for the customer's bucket."""
    return BucketRequest(
        name=resource_name(signup),
        region=signup.cell.region,
        tags=tags(signup),
        tls_only=ground.tls_only,
    )


def role(signup: Signup, ground: Ground) -> RoleRequest:
    """Ask for the role of the customer's host."""
    return RoleRequest(
        name=resource_name(signup),
        path=ground.role_path,
        boundary_arn=ground.boundary_arn,
        bucket=resource_name(signup),
        tags=tags(signup),
    )


def identity(signup: Signup, ground: Ground, ports: Ports) -> IdentityRequest:
    """Ask for the keys of the customer's grid."""
    return IdentityRequest(
        signup_id=signup.signup_id,
        generation=IDENTITY_GENERATION,
        grid_label=signup.grid_label,
        nickname=nickname(signup),
        host=host_name(signup, ground),
        introducer_port=ports.introducer,
        storage_port=ports.storage,
        listen=ground.listen,
    )


def launch(
    signup: Signup,
    ground: Ground,
    generation: Generation,
    token: str,
    user_data: Secret,
) -> LaunchRequest:
    """Ask for the customer's host; *token* is the journaled effect's."""
    name = f"{resource_name(signup)}-{generation}"
    return LaunchRequest(
        key=host_key(signup, generation),
        client_token=token,
        image_id=ground.image_id,
        instance_type=ground.instance_type,
        subnet_id=ground.subnet_id,
        security_group_ids=ground.security_group_ids,
        instance_profile=resource_name(signup),
        volume_gib=ground.volume_gib,
        volume_kms_key=ground.volume_kms_key,
        user_data=user_data,
        tags=(
            ("Name", name),
            ("s4:generation", str(generation)),
            *tags(signup),
        ),
    )
