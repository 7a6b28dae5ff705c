"""How patient the routine is.  All in seconds, but for counts."""

from __future__ import annotations

from datetime import timedelta

from attrs import define

from lae_flapp.settings import DaemonSettings

HOUR = 3600.0


@define(frozen=True)
class Limits:
    """The defaults are for production."""

    #: One outside call, retries within the door included.
    call: float = 60.0
    #: Outside calls at the same time, over all signups.
    together: int = 16
    #: After a failure: exponential with jitter, between these.
    retry_base: float = 1.0
    retry_cap: float = 60.0
    #: While something is not visible, or has no address yet.
    look_again: float = 0.5
    look_again_cap: float = 5.0
    #: What a step needs (a host's public address) may take so long, and then it counts
    #: as a failure.
    not_yet: float = 60.0
    #: A change of a name may take so long until all name servers have it (Route 53 says
    #: a minute); then the step goes on all the same.
    naming: float = 90.0
    #: A failure that lasts so long is shown to the customer, and told to an operator.
    delayed_after: float = 10.0
    troubled_after: float = 600.0
    #: What is refused for good is tried again so seldom, unless an operator asks.
    refused_again: float = HOUR
    #: How long what was made, or asked for, may stay invisible.
    visibility: float = 60.0
    #: A bootstrap furl's life, so the time until a host must have claimed.
    claim: float = 1800.0
    #: A host that has not claimed so long after its launch is told to operators.
    late_claim: float = 300.0
    #: From the claim to the self-test's report.
    self_test: float = 600.0
    #: Hosts launched for one signup before an operator must look.
    hosts: int = 3
    #: A signup that is not served so long after its payment is refunded ...
    serve_within: float = 24 * HOUR
    #: ... but not before this daemon has tried for so long: who was away for a day, or
    #: whose clock somebody set a day forward, has not tried for a day.
    tries_at_least: float = HOUR

    @property
    def claim_span(self) -> timedelta:
        """A bootstrap furl's life."""
        return timedelta(seconds=self.claim)


def limits_of(settings: DaemonSettings) -> Limits:
    """What a daemon's settings say of them."""
    patience = settings.patience
    return Limits(
        together=settings.workers,
        claim=patience.claim,
        late_claim=patience.late_claim,
        serve_within=patience.give_up,
        troubled_after=patience.operator_alert,
        visibility=patience.visibility,
    )
