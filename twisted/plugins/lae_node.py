"""``twistd lae-node``."""

from twisted.application.service import ServiceMaker

lae_node = ServiceMaker(
    "S4 node",
    "lae_storage.service",
    "One customer's introducer and storage node.",
    "lae-node",
)
