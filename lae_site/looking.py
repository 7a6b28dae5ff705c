"""Looking at one signup, as its owner where the browser can prove it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, field

from lae_protocol.furl import Furl
from lae_protocol.grid_file import SHARES
from lae_protocol.ids import SignupId
from lae_protocol.messages import (
    Owner,
    Progress,
    Refused,
    SignupView,
    Watch,
)
from lae_site.parts import Parts
from lae_site.picture import Picture, offers, picture

#: The parts of the status page that change while one watches.
REGIONS = ("grid", "progress", "join", "actions")


async def look(
    parts: Parts, owner: Owner, since: int, patience: int
) -> SignupView | Refused:
    """What there is to see after event *since*; raises DeskAway.

    A cookie that the daemon does not believe gives what anybody may see.
    """
    seen = await parts.desk.ask(Watch(owner, since, patience))
    if (
        isinstance(seen, Refused)
        and seen.code == "unknown-signup"
        and owner.owner_secret is not None
    ):
        return await parts.desk.ask(Watch(Owner(owner.signup_id), since, patience))
    return seen


def owner_of(parts: Parts, request: Any, signup_id: SignupId) -> Owner:
    """Who asks, with the proof that the browser brought, if any."""
    return Owner(signup_id, parts.cookies.owner(request, signup_id))


@define
class Sight:
    """A signup's latest view, and all its events as far as they were told."""

    view: SignupView
    _events: dict[int, Progress] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.add(self.view)

    def add(self, view: SignupView) -> None:
        """Take up a later view."""
        self.view = view
        self._events |= {e.number: e for e in view.progress}

    @property
    def events(self) -> Sequence[Progress]:
        """In order."""
        return [self._events[n] for n in sorted(self._events)]

    def picture(self) -> Picture:
        """What to tell."""
        return picture(self.view, self.events)

    def furl(self) -> str | None:
        """The grid's address, where the browser is the owner's and there is one."""
        owner = self.view.owner
        if owner is None or owner.introducer_furl is None:
            return None
        return Furl.parse(owner.introducer_furl).reveal()

    def values(self, parts: Parts, action: str) -> dict[str, Any]:
        """What the templates need; *action* is the token of the page's forms."""
        return {
            "view": self.view,
            "picture": self.picture(),
            "offers": offers(self.view),
            "furl": self.furl(),
            "shares": SHARES,
            "minutes": parts.settings.usual_build_minutes,
            "action": action,
        }
