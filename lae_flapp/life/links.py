"""Links in mails: who holds one may do that one thing, with no cookie.

The token stands behind the ``#`` of the address, which no browser sends and no log
has; a form posts it.  It is bound to the signup, to its purpose, to the payment that
the mail was about (it is worth nothing for a later subscription), and to the email
address that the mail went to: once that is corrected, whoever got the earlier mails can
do nothing with their links.  What no payment ends, a time does.  The link that makes a
browser the owner's is bound to the owner secret that it replaces, so it works once.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Literal

from attrs import define

from lae_flapp.journal.sealed import context_of
from lae_flapp.journal.signups import SIGNUPS, Signup
from lae_protocol.secret import Secret
from lae_provision.doors import Sealer
from lae_provision.errors import Refused

Purpose = Literal["cancel", "return", "confirm", "log-in"]
#: Longer is none of ours.
LONGEST = 300
#: How long after it was mailed a link is good; of the others, the payment decides.
GOOD_FOR: dict[Purpose, timedelta] = {
    "confirm": timedelta(days=14),
    "log-in": timedelta(hours=1),
}
#: Bound to the owner secret, too, which using them replaces: they are good once.
ONCE: frozenset[Purpose] = frozenset({"log-in"})


@define(frozen=True)
class Links:
    """Makes and checks them; the journal's keys seal, the previous ones open."""

    sealer: Sealer
    site_url: str

    def url(self, signup: Signup, purpose: Purpose, contact: int, now: datetime) -> str:
        """The whole address, for a mail that is rendered *now*; *contact* is the number
        of the email address that it goes to.
        """
        said = f"{int(now.timestamp())} {purpose}".encode()
        sealed = self.sealer.seal(said, _context(signup, purpose, contact))
        token = base64.urlsafe_b64encode(sealed).decode("ascii").rstrip("=")
        return f"{self.site_url}/signup/{signup.signup_id}/{purpose}#{token}"

    def holds(
        self,
        signup: Signup,
        purpose: Purpose,
        contact: int,
        token: Secret,
        now: datetime,
    ) -> bool:
        """Whether this token is of that signup's present payment and email address
        (of the number *contact*), of this use, and *now* not too old for it.
        """
        text = token.reveal()
        if len(text) > LONGEST:
            return False
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            plain = self.sealer.unseal(sealed, _context(signup, purpose, contact))
            seconds, _, said = plain.decode().rpartition(" ")
            mailed_at = datetime.fromtimestamp(int(seconds or 0), UTC)
        except (binascii.Error, ValueError, Refused):
            return False
        good_for = GOOD_FOR.get(purpose)
        return said == purpose and (good_for is None or now < mailed_at + good_for)


def _context(signup: Signup, purpose: Purpose, contact: int) -> str:
    paid = "" if signup.payment is None else signup.payment.session
    once = (signup.owner_hash,) if purpose in ONCE else ()
    return context_of(SIGNUPS, signup.signup_id, purpose, paid, f"{contact}", *once)
