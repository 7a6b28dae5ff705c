"""The project's documents, read as reStructuredText."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import define
from docutils import nodes
from docutils.core import publish_doctree

ROOT = Path(__file__).resolve().parents[2]

DOCUMENTS = tuple(
    sorted([*ROOT.glob("*.rst"), *(ROOT / "docs").glob("**/*.rst")]),
)


@define(frozen=True)
class Block:
    """Commands of a document, under the section that they stand in."""

    section: str
    text: str

    @property
    def commands(self) -> list[str]:
        """One for each line, a backslash at the end joining two."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        return [line for line in joined.splitlines() if line.strip()]


def parse(path: Path) -> tuple[nodes.document, list[str]]:
    """The document, and all that docutils complains about."""
    complaints: list[str] = []

    class Ear:
        def write(self, text: str) -> None:
            complaints.append(text)

    tree = publish_doctree(
        path.read_text("utf-8"),
        source_path=str(path),
        settings_overrides={
            "report_level": 1,
            "halt_level": 5,
            "warning_stream": Ear(),
            "file_insertion_enabled": False,
            "raw_enabled": False,
        },
    )
    return tree, [c.strip() for c in complaints if c.strip()]


def blocks(path: Path, language: str = "shell") -> Iterator[Block]:
    """The ``code-block`` directives of one language, in their order."""
    tree, _ = parse(path)
    for block in tree.findall(nodes.literal_block):
        if language in block["classes"]:
            yield Block(_section_of(block), block.astext())


def literals(path: Path) -> Iterator[str]:
    """All that stands in double back-quotes."""
    tree, _ = parse(path)
    for literal in tree.findall(nodes.literal):
        yield literal.astext()


def links(path: Path) -> Iterator[str]:
    """All addresses that are referred to."""
    tree, _ = parse(path)
    for reference in tree.findall(nodes.reference):
        if "refuri" in reference:
            yield reference["refuri"]


def spelt_out(text: str) -> list[str]:
    """``a.{b,c}`` as ``a.b`` and ``a.c``."""
    match = re.fullmatch(r"([^{}]*)\{([^{}]+)\}([^{}]*)", text)
    if match is None:
        return [text]
    return [f"{match[1]}{one}{match[3]}" for one in match[2].split(",")]


def _section_of(node: nodes.Node) -> str:
    while node is not None and not isinstance(node, nodes.section):
        node = node.parent
    return "" if node is None else node[0].astext()
