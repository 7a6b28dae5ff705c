"""``twistd lae-flapp``."""

from twisted.application.service import ServiceMaker

lae_flapp = ServiceMaker(
    "lae-flapp", "lae_flapp.service", "The signup daemon of S4.", "lae-flapp"
)
