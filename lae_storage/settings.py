"""The settings of ``lae-node``, which the Ignition user-data writes at launch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from attrs import define, field, validators

from lae_protocol.process.crowd import CrowdLimits
from lae_protocol.process.settings import SecretSource


@define(frozen=True)
class NodeSettings:
    """One customer's host.  No setting is secret; the bootstrap furl has its own file.

    *metadata_url* is the instance metadata service; the standard variable
    ``AWS_EC2_METADATA_SERVICE_ENDPOINT`` overrides it.  *s3_endpoint* is None for AWS
    itself.  *report_seconds* is the pause between two reports.  A share that no lease
    held for *expire_leases_after_days* is deleted; None deletes no share.  Choose more
    days than any of the customer's devices may be offline.  Each of the two ports takes
    *connections* at the same time, and *connections_per_address* from one address.
    """

    process: Literal["node"]
    bootstrap_furl: SecretSource
    state_folder: Path
    metadata_url: str
    aws_region: str
    s3_endpoint: str | None = None
    log_format: Literal["json", "text"] = "json"
    report_seconds: int = field(default=60, validator=validators.ge(1))
    expire_leases_after_days: int | None = field(
        default=None, validator=validators.optional(validators.ge(7))
    )
    connections: int = field(default=2000, validator=validators.ge(10))
    connections_per_address: int = field(default=1000, validator=validators.ge(10))

    def crowd(self) -> CrowdLimits:
        """Return the limits of each port."""
        return CrowdLimits(self.connections, self.connections_per_address)
