"""What a new host is told, from the settings of its cell."""

from __future__ import annotations

from lae_flapp.settings import AwsSettings, CellSettings
from lae_protocol.furl import Furl
from lae_protocol.secret import Secret
from lae_provision.hosts.user_data import (
    CommandLaunch,
    HostSettings,
    ImageLaunch,
    user_data,
)


def render_user_data(aws: AwsSettings, cell: CellSettings, bootstrap: Furl) -> Secret:
    """Render the Ignition JSON of a host, which alone will know its bootstrap furl."""
    program = cell.program
    launch = (
        ImageLaunch(program.image, program.log_in)
        if program.image is not None
        else CommandLaunch(program.command)
    )
    host = HostSettings(
        metadata_url=cell.metadata_url,
        aws_region=aws.region,
        s3_endpoint=cell.s3_endpoint,
        log_format="json",
        expire_leases_after_days=cell.node.expire_leases_after_days,
        connections=cell.node.connections,
        connections_per_address=cell.node.connections_per_address,
    )
    return user_data(host, Secret(bootstrap.reveal()), launch)
