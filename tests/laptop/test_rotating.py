"""A furl is rotated, and the answer is lost."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from lae_flapp.laptop.commands import operators
from lae_flapp.laptop.line import Away
from lae_protocol.furl import Furl
from tests.twins.journal import answer

MINE = Furl.parse(f"pb://{'a' * 32}@127.0.0.1:1/o{'a' * 52}")


class Lost:
    """A line that breaks once it was asked."""

    async def ask(self, question) -> None:
        self.asked = question
        raise Away("the daemon does not answer")


def test_a_furl_whose_answer_is_lost_stays_in_its_file(tmp_path) -> None:
    """The daemon may know it: the file has what was asked for, and the message says so."""
    path, line = tmp_path / "ann.furl", Lost()
    with pytest.raises(Away, match=f"It may know the furl in {path}"):
        answer(Deferred.fromCoroutine(operators._renew(line, MINE, "ann", path)))
    kept = Furl.parse(path.read_text().strip())
    assert kept.swissnum == line.asked.swissnum.reveal() != MINE.swissnum
