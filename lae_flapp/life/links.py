"""Links in mails: who holds one may do that one thing, with no cookie.

The token stands behind the ``#`` of the address, which no browser sends and no log
has; a form posts it.  It is bound to the signup, to its purpose, to the payment that
the mail was about (it is worth nothing for a later subscription), and to the email
address that the mail went to: once that is corrected, whoever got the earlier mails can
do nothing with their links.
"""

from __future__ import annotations

import base64
import binascii
from typing import Literal

from attrs import define

from lae_flapp.journal.sealed import context_of
from lae_flapp.journal.signups import SIGNUPS, Signup
from lae_protocol.secret import Secret
from lae_provision.doors import Sealer
from lae_provision.errors import Refused

Purpose = Literal["cancel", "return"]
#: Longer is none of ours.
LONGEST = 300


@define(frozen=True)
class Links:
    """Makes and checks them; the journal's keys seal, the previous ones open."""

    sealer: Sealer
    site_url: str

    def url(self, signup: Signup, purpose: Purpose, contact: int) -> str:
        """The whole address, for a mail that is rendered now; *contact* is the number
        of the email address that it goes to.
        """
        sealed = self.sealer.seal(purpose.encode(), _context(signup, purpose, contact))
        token = base64.urlsafe_b64encode(sealed).decode("ascii").rstrip("=")
        return f"{self.site_url}/signup/{signup.signup_id}/{purpose}#{token}"

    def holds(
        self, signup: Signup, purpose: Purpose, contact: int, token: Secret
    ) -> bool:
        """Whether this token is of that signup's present payment and email address
        (of the number *contact*), and of this use.
        """
        text = token.reveal()
        if len(text) > LONGEST:
            return False
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            plain = self.sealer.unseal(sealed, _context(signup, purpose, contact))
        except (binascii.Error, ValueError, Refused):
            return False
        return plain == purpose.encode()


def _context(signup: Signup, purpose: Purpose, contact: int) -> str:
    paid = "" if signup.payment is None else signup.payment.session
    return context_of(SIGNUPS, signup.signup_id, purpose, paid, f"{contact}")
