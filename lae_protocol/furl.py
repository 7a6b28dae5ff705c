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
