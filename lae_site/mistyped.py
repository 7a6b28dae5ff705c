"""Domains of email addresses that are probably a slip: ``gmial.com`` for ``gmail.com``.

Nothing is refused for it: the visitor is asked, and may be right.
"""

from __future__ import annotations

#: Where many people have their mail.  One of these is never asked about.
KNOWN = (
    *("gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "hotmail.co.uk"),
    *("yahoo.com", "yahoo.co.uk", "icloud.com", "protonmail.com", "protonmail.ch"),
    *("proton.me", "fastmail.com", "posteo.de", "mailbox.org", "t-online.de"),
    *("freenet.de", "outlook.de", "hotmail.de", "hotmail.fr", "yahoo.fr", "live.com"),
    *("orange.fr", "free.fr", "libero.it", "comcast.net", "zoho.com", "yandex.com"),
    # They differ from another one by a letter, and are right.
    *("mail.com", "ymail.com", "email.com", "rocketmail.com", "gmx.com", "gmx.net"),
)
#: Shorter ones differ by a letter from too many that are right.
_SHORTEST = 8  # characters


def guess_domain(domain: str) -> str | None:
    """Find the domain that was probably meant; None where there is nothing to ask."""
    typed = domain.lower()
    if typed in KNOWN:
        return None
    near = (k for k in KNOWN if len(k) >= _SHORTEST and is_one_slip(typed, k))
    return next(near, None)


def is_one_slip(one: str, other: str) -> bool:
    """Whether one letter was left out, added, replaced, or changed places with the
    next.
    """
    if len(one) > len(other):
        one, other = other, one
    start = 0
    while start < len(one) and one[start] == other[start]:
        start += 1
    rest, other_rest = one[start:], other[start:]
    if len(one) < len(other):
        return rest == other_rest[1:]
    swapped = other_rest[1:2] + other_rest[:1] + other_rest[2:]
    return one != other and (rest[1:] == other_rest[1:] or rest == swapped)
