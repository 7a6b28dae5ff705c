"""``twistd lae-site``."""

from __future__ import annotations

from twisted.application.service import ServiceMaker

lae_site = ServiceMaker(
    "S4's web site",
    "lae_site.service",
    "The web site of S4: pages, payment taken, live progress.",
    "lae-site",
)
