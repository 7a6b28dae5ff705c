"""Each promise names the tests that keep it."""

from __future__ import annotations

from docutils import nodes

from tests.docs.reading import ROOT, parse

PROMISES = 9


def test_each_promise_names_its_tests():
    """There are nine promises, in order, and each has tests beside it."""
    tree, _ = parse(ROOT / "docs" / "promises.rst")
    sections = list(tree.findall(nodes.section))
    titles = [section[0].astext() for section in sections]
    numbered = [title for title in titles if title[0].isdigit()]
    assert [int(t.split(".")[0]) for t in numbered] == list(range(1, PROMISES + 1))
    for section in sections:
        if section[0].astext() in numbered:
            named = [n.astext() for n in section.findall(nodes.literal)]
            assert [n for n in named if n.startswith("tests/")], section[0].astext()
