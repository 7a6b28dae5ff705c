"""The recipes name what is there, and what they add to is complete."""

from __future__ import annotations

import ast
import re
from importlib.metadata import entry_points
from itertools import pairwise
from typing import get_args

import pytest
from docutils import nodes

from lae_flapp.journal import signups
from lae_flapp.signs.standing import KINDS
from lae_protocol.messages import SignupState
from tests.docs.reading import ROOT, parse

DOCS = ROOT / "docs"
RECIPES = ("step", "mail", "state", "question", "door", "command", "alert")


def sections(name: str) -> dict[str, nodes.section]:
    tree, _ = parse(DOCS / name)
    return {one[0].astext(): one for one in tree.findall(nodes.section)}


@pytest.mark.parametrize("thing", RECIPES)
def test_there_is_a_recipe(thing: str) -> None:
    """How to add each of these is a section that names files or functions of ours."""
    title = re.compile(rf"Add an? {thing}\b")
    (found,) = [
        s for name, s in sections("development.rst").items() if title.match(name)
    ]
    named = [literal.astext() for literal in found.findall(nodes.literal)]
    assert [name for name in named if name.startswith(("lae_", "tests/"))]


def test_every_state_has_its_moves() -> None:
    """Each state says which may follow, and each but the first follows another."""
    states = set(get_args(SignupState))
    assert set(signups.MOVES) == states
    assert set().union(*signups.MOVES.values()) == states


def test_every_group_of_commands_is_on_a_page() -> None:
    """Each group of ``lae`` is shown in a document."""
    shown = "\n".join(path.read_text("utf-8") for path in DOCS.glob("**/*.rst"))
    groups = {point.name for point in entry_points(group="s4.commands")}
    assert {name for name in groups if f"lae {name}" not in shown} == set()


def test_every_cause_has_its_section() -> None:
    """Each kind of cause has the section in the manual that its mail points to."""
    titles = set(sections("alerts.rst"))
    assert {kind.section for kind in KINDS.values()} <= titles


def test_the_style_page_has_ten_lines() -> None:
    """The page of style is ten pairs of before and after."""
    rows = list(sections("development.rst")["Style"].findall(nodes.row))[1:]
    assert len(rows) == 10
    assert all(entry.astext().strip() for row in rows for entry in row)


def pointers() -> list[tuple[int, str, str]]:
    """Number of the question, file and function, for each pointer in the answers."""
    (answers,) = sections("architecture.rst")["Ten questions"].findall(
        nodes.enumerated_list
    )
    found = []
    for number, item in enumerate(answers, 1):
        text = [node.astext() for node in item.findall(nodes.literal)]
        for path, name in pairwise(text):
            if path.endswith(".py"):
                found.append((number, path, name))
    return found


def test_ten_questions_are_answered() -> None:
    """Each of the ten has at least one pointer."""
    assert {number for number, _, _ in pointers()} == set(range(1, 11))


@pytest.mark.parametrize(("path", "name"), [(p, n) for _, p, n in pointers()])
def test_a_pointer_leads_there(path: str, name: str) -> None:
    """The file has that function, in that class."""
    inside: list[ast.stmt] = ast.parse((ROOT / path).read_text("utf-8")).body
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for part in name.split("."):
        here = [n for n in inside if isinstance(n, kinds) and n.name == part]
        assert here, (path, name)
        inside = here[0].body
