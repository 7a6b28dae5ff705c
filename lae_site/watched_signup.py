"""What the site knows of one signup, seen as its owner where the browser proves it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, field

from lae_protocol.furl import Furl
from lae_protocol.ids import SignupId
from lae_protocol.messages import (
    OWNED,
    Owner,
    Progress,
    Refused,
    SignupView,
    Watch,
)
from lae_site.description import Description, describe, find_offers
from lae_site.parts import Parts

#: The parts of the status page that live progress replaces.
REGIONS = ("grid", "progress", "join", "actions")


async def fetch_view(
    parts: Parts, owner: Owner, since: int, patience: int
) -> SignupView | Refused:
    """Ask the daemon for the signup after event *since*; raises DeskAway.

    With an owner's cookie that the daemon refuses, the answer is the public view.
    """
    seen = await parts.desk.ask(Watch(owner, since, patience))
    if (
        isinstance(seen, Refused)
        and seen.code == "unknown-signup"
        and owner.owner_secret is not None
    ):
        return await parts.desk.ask(Watch(Owner(owner.signup_id), since, patience))
    return seen


def read_owner(parts: Parts, request: Any, signup_id: SignupId) -> Owner:
    """Read the owner's secret that the browser sent, if any."""
    return Owner(signup_id, parts.cookies.owner(request, signup_id))


@define
class WatchedSignup:
    """A signup's latest view, and all of its events so far."""

    view: SignupView
    _events: dict[int, Progress] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.add(self.view)

    def add(self, view: SignupView) -> None:
        """Replace the view by a later one, and add its events."""
        self.view = view
        self._events |= {e.number: e for e in view.progress}

    @property
    def events(self) -> Sequence[Progress]:
        """All events, in order."""
        return [self._events[n] for n in sorted(self._events)]

    def description(self) -> Description:
        """Describe the signup to its customer."""
        return describe(self.view, self.events)

    def furl(self) -> str | None:
        """The grid's address, if there is one and the browser is the owner's."""
        owner = self.view.owner
        if owner is None or owner.introducer_furl is None:
            return None
        return Furl.parse(owner.introducer_furl).reveal()

    def values(self, parts: Parts, action: str) -> dict[str, Any]:
        """Return what the templates need; *action* is the token of the page's forms."""
        return {
            "view": self.view,
            "description": self.description(),
            "offers": find_offers(self.view),
            # Not only to the owner, who may have lost the browser.
            "offers_log_in": self.view.state in OWNED,
            "furl": self.furl(),
            "minutes": parts.settings.usual_build_minutes,
            "action": action,
        }
