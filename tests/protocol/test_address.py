"""Addresses are taken as typed, or refused in a sentence."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lae_protocol.address import AddressRefused, parse_address

ATEXT = string.ascii_letters + string.digits + "!#$%&'*+/=?^_`{|}~-"


def test_not_mangled() -> None:
    """The address that the first S4 mangled keeps its local part byte for byte."""
    address = parse_address("o'neil+x&co@exämple.org")
    assert address.local == "o'neil+x&co"
    assert address.as_typed == "o'neil+x&co@exämple.org"
    assert address.for_smtp == "o'neil+x&co@xn--exmple-cua.org"


@pytest.mark.parametrize(
    ("domain", "a_label"),
    [
        ("faß.de", "xn--fa-hia.de"),  # IDNA 2003 made another domain of it: fass.de
        ("EXAMPLE.Org", "example.org"),
        ("exa\u0308mple.org", "xn--exmple-cua.org"),  # a and its dots apart
        ("xn--exmple-cua.org", "xn--exmple-cua.org"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("a-b.c2.museum", "a-b.c2.museum"),
    ],
)
def test_domains(domain: str, a_label: str) -> None:
    """A domain is shown as typed and travels as its IDNA 2008 A-label."""
    address = parse_address(f"Ann@{domain}")
    assert (address.domain_as_typed, address.domain_a_label) == (domain, a_label)
    assert address.local == "Ann"


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "Please type"),
        ("  \n", "Please type"),
        ("ann", "needs an @"),
        ("@example.org", "before the @ sign is missing"),
        ("ann@", "after the @ sign is missing"),
        ("änn@example.org", "plain letters"),
        ("ann@bob@example.org", "one @ sign"),
        ('"a b"@example.org', "quotation marks"),
        ("a b@example.org", "a blank"),
        ("ann,bob@example.org", "a comma"),
        (".ann@example.org", "a dot"),
        ("ann.@example.org", "a dot"),
        ("a..b@example.org", "a dot"),
        ("a" * 65 + "@example.org", "at most 64"),
        ("ann@" + "a" * 260 + ".org", "at most 254"),
        ("ann@" + "ä" * 80 + ".org", "not a domain name"),
        ("ann@localhost", "needs a dot"),
        ("ann@[127.0.0.1]", "domain name"),
        ("ann@127.0.0.1", "domain name"),
        ("ann@exa mple.org", "not a domain name"),
        ("ann@exa_mple.org", "not a domain name"),
        ("ann@-example.org", "not a domain name"),
        ("ann@example..org", "not a domain name"),
        ("ann@example.org.", "not a domain name"),
        ("ann@xn--zzzzzz-.org", "not a domain name"),
        ("ann@example.org\r\nBcc: bob@example.org", "line breaks"),
        ("ann\x00@example.org", "line breaks"),
        ("<ann@example.org>", "a bracket"),
    ],
)
def test_refused_with_a_sentence(typed: str, says: str) -> None:
    """What cannot be an address is refused, and the sentence says what is wrong."""
    with pytest.raises(AddressRefused) as caught:
        parse_address(typed)
    assert says in str(caught.value)
    if len(typed) > 30:
        assert typed not in str(caught.value)


def test_blanks_around_a_paste_are_no_part_of_it() -> None:
    """Blanks that a paste brings along do not refuse the address."""
    assert parse_address(" ann@example.org\n").as_typed == "ann@example.org"


def test_nothing_prints_it() -> None:
    """An address is personal data, so printing one tells nothing."""
    address = parse_address("ann@example.org")
    assert "ann" not in f"{address} {address!r}"


@settings(max_examples=100)
@given(st.lists(st.text(ATEXT, min_size=1, max_size=12), min_size=1, max_size=4))
def test_any_local_part_of_rfc_5322_survives(atoms: list[str]) -> None:
    """Every dot-atom is taken and given back byte for byte."""
    local = ".".join(atoms)
    assert parse_address(f"{local}@exämple.org").for_smtp == (
        f"{local}@xn--exmple-cua.org"
    )


@settings(max_examples=100)
@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    """Any text is an address in printable ASCII on one line, or is refused."""
    try:
        address = parse_address(text)
    except AddressRefused:
        return
    assert address.for_smtp.isascii()
    assert address.for_smtp.isprintable()
    assert " " not in address.for_smtp
