"""What the pages and mails call things: one word for each."""

from __future__ import annotations

import re

import pytest

from lae_protocol.process.resources import template_folder
from lae_site.description import NOTES, STEPS

#: A word "address" that is about mail or about whoever reads a page.
_OF_MAIL = re.compile(
    r"(email|network) address(es)?|mail address|operator_address", re.IGNORECASE
)
#: What no visitor reads: names of files, of steps and of offers, and comments.
_NOT_READ = re.compile(r"{#.*?#}|{%.*?%}|{{.*?}}|<[^>]*>", re.DOTALL)
TEMPLATES = sorted(p for p in template_folder().glob("**/*.*") if p.suffix != ".png")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_an_address_is_one_of_mail(path) -> None:
    """What people read calls a grid's address its furl, and a mailbox's an email
    address, so that the two cannot be taken for each other.
    """
    words = _OF_MAIL.sub("", _NOT_READ.sub(" ", path.read_text("utf-8")))
    assert not re.search(r"\baddress(es)?\b", words, re.IGNORECASE)


def test_the_steps_name_no_bare_address() -> None:
    """The steps and notes do so, too."""
    told = [*(w for pair in STEPS.values() for w in pair), *NOTES.values()]
    for words in told:
        assert "address" not in _OF_MAIL.sub("", words)


@pytest.mark.parametrize(("minutes", "says"), [(1, "1 minute;"), (3, "3 minutes;")])
def test_how_long_it_takes(worlds, minutes, says) -> None:
    """One minute is not "1 minutes"."""
    world = worlds(usual_build_minutes=minutes)
    text = world.visitor.get("/how-it-works").text
    assert f"no more than {says.rstrip(';')}." in text
