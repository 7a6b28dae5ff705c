"""Mail addresses, taken as they were typed and never mangled.

``o'neil+x&co@exämple.org`` is a good address.  Its local part belongs to the mail
server that receives it, so not one byte of it may change; its domain travels as the
IDNA 2008 A-label (``xn--exmple-cua.org``) and so passes servers without SMTPUTF8.
"""

from __future__ import annotations

import re

import idna
from attrs import define

#: RFC 5321: a path of 256 with its angle brackets; a local part of 64; RFC 1035: 253.
LONGEST, LONGEST_LOCAL, LONGEST_DOMAIN = 254, 64, 253

_LOCAL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z"
)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?\Z")
_ASCII_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class AddressRefused(ValueError):
    """The text cannot be used as an address; the sentence says why, for the person
    who typed it, and repeats nothing of it.  Do not try again with the same text.
    """


@define(frozen=True, repr=False)
class Address:
    """A mail address.  *domain_as_typed* is for people, *domain_a_label* for SMTP.

    Personal data, so its ``repr`` tells nothing.
    """

    local: str
    domain_as_typed: str
    domain_a_label: str

    @property
    def as_typed(self) -> str:
        """What the person wrote, and is shown."""
        return f"{self.local}@{self.domain_as_typed}"

    @property
    def for_smtp(self) -> str:
        """What goes into ``RCPT TO``: ASCII alone."""
        return f"{self.local}@{self.domain_a_label}"

    def __repr__(self) -> str:
        return "<Address>"

    __str__ = __repr__


def parse_address(text: str) -> Address:
    """Read an address; raises :class:`AddressRefused` with a sentence.

    Blanks around it (a paste brings them) are no part of it.  Pure: no DNS.
    """
    typed = text.strip(" \t\r\n")
    if not typed:
        raise AddressRefused("Please type your email address.")
    if len(typed) > LONGEST:
        raise AddressRefused("This address is too long: at most 254 characters.")
    if _ASCII_CONTROLS.search(typed):
        raise AddressRefused("An address cannot contain line breaks or tabs.")
    local, at, domain = typed.rpartition("@")
    if not at:
        raise AddressRefused("An address needs an @ sign, as in name@example.org.")
    _check_local(local)
    a_label = _a_label(domain)
    if len(local) + 1 + len(a_label) > LONGEST:
        raise AddressRefused("This address is too long: at most 254 characters.")
    return Address(local, domain, a_label)


def _check_local(local: str) -> None:
    if not local:
        raise AddressRefused("The part before the @ sign is missing.")
    if not local.isascii():
        raise AddressRefused(
            "The part before the @ sign has characters that many mail servers cannot"
            " deliver to (letters with accents or of other scripts). Please use an"
            " address with plain letters there; the part after the @ sign may have"
            " any letters."
        )
    if '"' in local or "\\" in local:
        raise AddressRefused("Addresses with quotation marks are not accepted here.")
    if "@" in local:
        raise AddressRefused("Please type one address, with one @ sign.")
    if len(local) > LONGEST_LOCAL:
        raise AddressRefused(
            "The part before the @ sign is too long: at most 64 characters."
        )
    if local.startswith(".") or local.endswith(".") or ".." in local:
        raise AddressRefused(
            "The part before the @ sign cannot begin or end with a dot,"
            " nor have two in a row."
        )
    if not _LOCAL.match(local):
        raise AddressRefused(
            "The part before the @ sign has a character that no address can have,"
            " such as a blank, a comma or a bracket."
        )


def _a_label(domain: str) -> str:
    """The domain as IDNA 2008 writes it in ASCII, mapped as UTS 46 says (so that
    capitals and composed letters are what browsers take them for).
    """
    if not domain:
        raise AddressRefused("The part after the @ sign is missing.")
    if domain.startswith("["):
        raise AddressRefused("Please use an address with a domain name after the @.")
    try:
        encoded = idna.encode(domain, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise AddressRefused(
            "The part after the @ sign is not a domain name."
        ) from None
    labels = encoded.split(".")
    if len(encoded) > LONGEST_DOMAIN or not all(map(_LABEL.match, labels)):
        raise AddressRefused("The part after the @ sign is not a domain name.")
    if len(labels) == 1:
        raise AddressRefused(
            "The part after the @ sign needs a dot, as in name@example.org."
        )
    if labels[-1].isdigit():
        raise AddressRefused("Please use an address with a domain name after the @.")
    return encoded
