"""The glossary's words are in use, and one name has one meaning."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache

import pytest
from docutils import nodes

from tests.docs.reading import DOCUMENTS, ROOT, parse

GLOSSARY = ROOT / "docs" / "glossary.rst"
PACKAGES = ("lae_flapp", "lae_site", "lae_provision", "lae_storage", "lae_protocol")


def words() -> dict[str, str]:
    tree, _ = parse(GLOSSARY)
    return {
        item[0].astext(): item[-1].astext()
        for item in tree.findall(nodes.definition_list_item)
    }


@cache
def everything() -> str:
    """All of the product's code and of the other documents."""
    paths = [path for name in PACKAGES for path in ROOT.glob(f"{name}/**/*.py")]
    paths += [path for path in DOCUMENTS if path != GLOSSARY]
    return "\n".join(path.read_text("utf-8") for path in paths)


@pytest.mark.parametrize("word", sorted(words()))
def test_a_word_is_in_use(word: str) -> None:
    """Each word of the glossary stands in the code or in another document."""
    spelt = re.escape(word).replace(r"\ ", r"[\s_-]+").replace(r"\-", "[-_]")
    assert re.search(rf"(?<![a-z]){spelt}", everything(), re.IGNORECASE), word


def test_a_word_has_one_line() -> None:
    """Each word stands once, in one line, and the line ends."""
    source = GLOSSARY.read_text("utf-8")
    lines = re.findall(r"^   (\S.*)$", source, re.MULTILINE)
    assert len(lines) == len(words())
    assert all(line.endswith((".", ")")) for line in lines)


#: Names of modules that stand in several packages and mean the same there: a noun, and
#: its part in each process or layer (``hosts``: rows, facet, command, door).
PARTS_OF_ONE = {
    *("boxes", "command", "effects", "errors", "events", "figures", "front_desk"),
    *(
        "health",
        "helping",
        "host",
        "hosts",
        "identities",
        "journal",
        "keys",
        "layout",
        "limits",
    ),
    *("meter", "operators", "pages", "remote", "schema", "service", "settings"),
    *("status", "steps", "subscriptions", "switches", "threads", "tub", "doors"),
}
#: Names that still mean several things; none may be added.
MEAN_SEVERAL_THINGS = {
    *("answer", "calls", "checking", "columns", "daemon", "looking"),
    *("plan", "sending", "telling"),
}


def test_a_modules_name_means_one_thing() -> None:
    """No two modules of the product have one name, but parts of one thing."""
    named = defaultdict(list)
    for name in PACKAGES:
        for path in ROOT.glob(f"{name}/**/*.py"):
            named[path.stem].append(str(path.relative_to(ROOT)))
    several = {name for name, paths in named.items() if len(paths) > 1}
    new = several - PARTS_OF_ONE - MEAN_SEVERAL_THINGS - {"__init__"}
    assert new == set(), {name: named[name] for name in new}


#: Classes of one name in several modules; none may be added.
CLASSES_OF_ONE_NAME = {
    *("Accepted", "Asked", "BackUp", "Daemon", "Desired", "Endpoints", "Envelope"),
    *("Figures", "FrontDesk", "GiveBack", "Held", "Host", "Limits", "Listed", "Look"),
    *("Meter", "Observed", "Options", "Order", "Patience", "Pause", "Plan"),
    *("Record", "Refusal", "Refused", "Running", "Sending", "SomebodyElses", "Step"),
    *("Watch", "Found", "Asker", "Page", "Noun", "Question"),
}


def test_a_class_means_one_thing() -> None:
    """No two public classes of the product have one name, but those that are listed."""
    named = defaultdict(list)
    for name in PACKAGES:
        for path in ROOT.glob(f"{name}/**/*.py"):
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef) and node.name[0] != "_":
                    named[node.name].append(str(path.relative_to(ROOT)))
    new = {n for n, paths in named.items() if len(paths) > 1} - CLASSES_OF_ONE_NAME
    assert new == set(), {name: named[name] for name in new}
