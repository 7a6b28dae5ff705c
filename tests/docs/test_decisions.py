"""Each decision says whether it still holds."""

from __future__ import annotations

import re

import pytest
from docutils import nodes

from tests.docs.reading import ROOT, parse

DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.rst"))


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_a_decision_has_a_status(path) -> None:
    """A decision is accepted, or superseded by another that is there."""
    tree, _ = parse(path)
    (status,) = [node.astext() for node in tree.findall(nodes.status)]
    by = re.fullmatch(r"superseded by ([\w-]+\.rst)", status)
    assert status == "accepted" or (by and (path.parent / by[1]).exists())


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_a_decision_has_a_date(path) -> None:
    """A decision says when it was made."""
    tree, _ = parse(path)
    (date,) = [node.astext() for node in tree.findall(nodes.date)]
    assert re.match(r"[A-Z][a-z]+ 20\d\d", date)
