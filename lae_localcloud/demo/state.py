"""``STATE/demo.json``: where everything of a running demo is, for people and tests."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
from attrs import define, field

from lae_localcloud.state_folder import write_private


@define(frozen=True)
class Timeline:
    """Seconds since the payment (the local Stripe's clock when the pay button's POST
    was accepted) until each thing was so.
    """

    journaled: float
    furl_on_page: float
    instance_launched: float
    claimed: float
    self_test_passed: float
    mail_accepted: float


@define(frozen=True)
class DemoSignup:
    """One signup, whole.  The furl is the customer's secret: the file is 0600."""

    signup_id: str
    introducer_furl: str = field(repr=False)
    bucket: str
    instance_id: str
    timeline: Timeline


@define(frozen=True)
class Endpoints:
    """Every endpoint of the demo.  The keys are the account's administrator's.
    *customer* goes before what runs on a customer's laptop (metal level).
    """

    site_url: str
    aws_endpoint: str
    s3_endpoint: str
    stripe_endpoint: str
    maildir: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str
    operator_furl_file: str
    state_dir: str
    customer: tuple[str, ...] = ()


class DemoState:
    """Keeps the file true.  Each change replaces it whole, so a reader never meets
    half of one; an entry comes once its mail is accepted, and never changes.
    """

    def __init__(self, path: Path, endpoints: Endpoints) -> None:
        self.path, self._endpoints = path, endpoints
        self._signups: dict[str, DemoSignup] = {}
        self._more: dict[str, object] = {}

    def write(self, **more: object) -> None:
        """Write it, with further facts (``control_url=…``) beside the endpoints."""
        self._more.update(more)
        document = {
            **self._more,
            **attrs.asdict(self._endpoints),
            "signups": [attrs.asdict(s) for s in self._signups.values()],
        }
        write_private(self.path, json.dumps(document, indent=1) + "\n")

    def add(self, signup: DemoSignup) -> None:
        """A signup whose mail is accepted; the same one again changes nothing."""
        if signup.signup_id not in self._signups:
            self._signups[signup.signup_id] = signup
            self.write()
