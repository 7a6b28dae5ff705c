"""The small callables that steps are given."""

from __future__ import annotations

from typing import Protocol

from lae_protocol.furl import Furl
from lae_protocol.secret import Secret
from lae_provision.doors import HostKey


class NewBootstrap(Protocol):
    """Make the furl of one launch: a fresh swissnum on the hosts' Tub; no effect.

    The routine journals the swissnum's hash (``hosts.issue_bootstrap``) together with
    the launch's effect, so that no launch has a furl that nobody knows.
    """

    def __call__(self) -> Furl:
        """The furl, which only the user-data of this launch will hold."""


class RenderUserData(Protocol):
    """Ignition JSON for a host (:mod:`lae_provision.hosts`); pure."""

    def __call__(self, key: HostKey, bootstrap: Furl) -> Secret:
        """The user-data, at most 16,384 bytes."""
