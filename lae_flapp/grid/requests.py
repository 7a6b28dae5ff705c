"""Every request of the routine, rendered whole from the signup's row.

What is agreed and named stands in the row; what a cell offers stands in its settings.
The journal keeps what is rendered here, so a later configuration changes no request
that was begun.
"""

from __future__ import annotations

from attrs import define

from lae_flapp.cell_settings import CellSettings
from lae_flapp.journal.ports import allot
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import WriteTx
from lae_protocol.ids import Generation
from lae_protocol.messages import SignupState
from lae_protocol.secret import Secret
from lae_provision.doors import (
    BucketRequest,
    HostKey,
    IdentityRequest,
    LaunchRequest,
    RoleRequest,
    Tags,
)
from lae_provision.hosts.programs import ImageReference

#: The identity's own generation: it stays when hosts are replaced.
IDENTITY_GENERATION = 1


@define(frozen=True)
class Ports:
    """Where introducer and storage node of one customer listen."""

    introducer: int
    storage: int


def ports(tx: WriteTx, signup: Signup, cell: CellSettings) -> Ports:
    """Tell the customer's ports, and allot them where hosts share a machine."""
    if cell.ports.span is None:
        return Ports(cell.ports.introducer or 0, cell.ports.storage or 0)
    purposes = ("introducer", "storage")
    allotted = allot(tx, signup.signup_id, cell.name, cell.ports.span, purposes)
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
    """Name the grid as clients show it, and name a folder by it: a customer with two
    grids tells them apart by the last characters.
    """
    return f"S4 storage {signup.grid_label[1:5]}"


def resource_name(signup: Signup) -> str:
    """Name bucket, role and instance profile alike."""
    return f"{signup.cell.deployment}-{signup.grid_label}"


def host_name(signup: Signup, cell: CellSettings) -> str:
    """Tell the name in the customer's furl."""
    return cell.host_name or record_name(signup)


def record_name(signup: Signup) -> str:
    """Tell the grid's own name, whose record leads to its host."""
    return grid_name(signup.grid_label, signup.cell.dns_zone)


def grid_name(grid_label: str, dns_zone: str) -> str:
    """Tell the name of a grid in a zone."""
    return f"{grid_label}.{dns_zone}"


def host_key(signup: Signup, generation: int) -> HostKey:
    """Tell which host this is."""
    return HostKey(signup.cell.deployment, signup.signup_id, generation)


def bucket(signup: Signup, cell: CellSettings) -> BucketRequest:
    """Ask for the customer's bucket."""
    return BucketRequest(
        name=resource_name(signup),
        region=signup.cell.region,
        tags=tags(signup),
        tls_only=cell.s3_endpoint is None,
    )


def role(signup: Signup, cell: CellSettings) -> RoleRequest:
    """Ask for the role of the customer's host, which may write while it is paid for."""
    return RoleRequest(
        name=resource_name(signup),
        path=cell.role_path,
        boundary_arn=cell.boundary_arn,
        bucket=resource_name(signup),
        tags=tags(signup),
        writes=may_write(signup.state),
        repository=_repository(signup, cell),
    )


def _repository(signup: Signup, cell: CellSettings) -> str | None:
    """Tell where the host's image lies; None for a program that is there already."""
    if cell.program.image is None:
        return None
    image = ImageReference(cell.program.image)
    return image.repository_arn(signup.cell.account, signup.cell.region)


def may_write(state: SignupState) -> bool:
    """Whether the host of a signup in this state may change what it stores."""
    return state in {"paid", "active", "past-due"}


def identity(signup: Signup, cell: CellSettings, ports: Ports) -> IdentityRequest:
    """Ask for the keys of the customer's grid."""
    return IdentityRequest(
        signup_id=signup.signup_id,
        generation=IDENTITY_GENERATION,
        grid_label=signup.grid_label,
        nickname=nickname(signup),
        host=host_name(signup, cell),
        introducer_port=ports.introducer,
        storage_port=ports.storage,
        listen=cell.listen,
    )


def launch(
    signup: Signup,
    cell: CellSettings,
    generation: Generation,
    token: str,
    user_data: Secret,
) -> LaunchRequest:
    """Ask for the customer's host; *token* is the journaled effect's."""
    name = f"{resource_name(signup)}-{generation}"
    return LaunchRequest(
        key=host_key(signup, generation),
        client_token=token,
        image_id=cell.image_id,
        instance_type=cell.instance_type,
        subnet_id=cell.subnet_id,
        security_group_ids=cell.security_groups,
        instance_profile=resource_name(signup),
        volume_gib=cell.volume_gib,
        volume_kms_key=cell.volume_kms_key,
        user_data=user_data,
        tags=(
            ("Name", name),
            ("s4:generation", str(generation)),
            *tags(signup),
        ),
    )
