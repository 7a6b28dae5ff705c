"""Foolscap's addresses: ``pb://TUBID@HOST:PORT/SWISSNUM``."""

from __future__ import annotations

import re

from attrs import define, field

from lae_protocol.secret import digest

#: What Gridsync accepts; Foolscap itself writes ``tcp:HOST:PORT`` for a hint, which
#: Tahoe-LAFS clients take too.  A furl that we mail must match this.
PLAIN = re.compile(
    r"^pb://(?P<tub>[a-z2-7]{32})@(?P<hints>[a-zA-Z0-9.:,\-]+:\d+)/(?P<swissnum>[a-z2-7]+)$",
    re.ASCII,
)
LONGEST = 512


class NotAFurl(ValueError):
    """The text is no furl of the plain form.  Do not try again with the same text."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"not a furl of the form pb://TUBID@HOST:PORT/NAME: {digest(text)}"
        )


@define(frozen=True, repr=False)
class Furl:
    """A furl: the right to reach an object, so a secret; its ``repr`` is a digest."""

    tub_id: str
    hints: tuple[str, ...]
    swissnum: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Furl:
        """Read one; raises :class:`NotAFurl`."""
        match = PLAIN.fullmatch(text.strip()) if len(text) <= LONGEST else None
        if match is None:
            raise NotAFurl(text)
        return cls(match["tub"], tuple(match["hints"].split(",")), match["swissnum"])

    def reveal(self) -> str:
        """The furl as text."""
        return f"pb://{self.tub_id}@{','.join(self.hints)}/{self.swissnum}"

    def __repr__(self) -> str:
        return f"<Furl {self.tub_id[:6]}… {digest(self.reveal())}>"

    __str__ = __repr__


#: What the names of the daemon's facets begin with, before 256 bits in base32.
FACETS = {
    "b": "a host's bootstrap furl",
    "f": "the front desk's furl",
    "h": "a host's furl",
    "o": "an operator's furl",
}
_FACET_NAME = re.compile(r"(?P<kind>[bfho])[a-z2-7]{52}")


class WrongFurl(ValueError):
    """A furl of another kind than is needed.  Find the right one; do not try again."""


def facet_kind(name: str) -> str | None:
    """The letter of :data:`FACETS` that a name begins with; None for other names."""
    match = _FACET_NAME.fullmatch(name)
    return match["kind"] if match else None


def parse_facet_furl(text: str, kind: str) -> Furl:
    """Read the furl of one kind of facet; raises :class:`NotAFurl`, and
    :class:`WrongFurl` where it plainly is of another kind.
    """
    furl = Furl.parse(text)
    found = facet_kind(furl.swissnum)
    if found not in (None, kind):
        raise WrongFurl(f"this is {FACETS[str(found)]}; {FACETS[kind]} is needed")
    return furl
