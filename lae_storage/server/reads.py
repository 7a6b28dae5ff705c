"""What is remembered of one share's reads."""

from __future__ import annotations

from collections import deque

from attrs import define, field

from lae_storage.server.span import Span

#: Bytes of a span that others have to wait for.
LARGE = 128 * 1024
#: Ends of recent reads that a run may go on from; most are of hashes.
RECENT = 64


@define(eq=False)
class Reads:
    """What is remembered of one share's reads."""

    spans: list[Span] = field(factory=list)
    #: Whether more is about to be fetched ahead.
    ahead: bool = False
    #: Up to where the last answer is that is read by pieces.
    wanted: int = 0
    #: The share's length, once something was fetched ahead.
    ahead_of: int | None = None
    #: Where recent reads ended, and how many bytes in order had been read by then.
    ends: deque[tuple[int, int]] = field(factory=lambda: deque(maxlen=RECENT))

    def run_up_to(self, offset: int) -> int:
        """How many bytes were read in order, ending at *offset*."""
        return max((run for end, run in self.ends if end == offset), default=0)

    def arriving(self) -> int:
        """How many large spans are on their way."""
        return sum(s.size > LARGE and not s.whole() for s in self.spans)

    def at(self, offset: int) -> Span | None:
        """A span that has the byte at *offset*."""
        for span in self.spans:
            if span.start <= offset < span.stop and span.error is None:
                return span
        return None
