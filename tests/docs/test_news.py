"""The news is made of fragments, and the version stands in one place."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.docs.reading import ROOT, parse

FRAGMENTS = sorted(
    path for path in (ROOT / "newsfragments").iterdir() if path.name[0] != "."
)


def types() -> list[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return [one["directory"] for one in settings["tool"]["towncrier"]["type"]]


@pytest.fixture(scope="module")
def draft() -> str:
    """What towncrier makes of the fragments."""
    command = [sys.executable, "-m", "towncrier", "build", "--draft"]
    done = subprocess.run(
        [*command, "--version", "next", "--dir", str(ROOT)],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_the_draft_has_every_fragment(draft: str) -> None:
    """The draft can be built, reads without a warning, and leaves no fragment out."""
    news = draft[draft.index("S4 next") :]
    said = " ".join(news.split())
    for path in FRAGMENTS:
        assert " ".join(path.read_text("utf-8").split()) in said, path.name


def test_the_draft_can_be_read(draft: str, tmp_path: Path) -> None:
    """NEWS.rst with the draft in it is a document without a warning."""
    page = (
        (ROOT / "NEWS.rst").read_text("utf-8") + "\n" + draft[draft.index("S4 next") :]
    )
    (tmp_path / "NEWS.rst").write_text(page, "utf-8")
    _, complaints = parse(tmp_path / "NEWS.rst")
    assert complaints == []


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_is_one_sentence_of_a_known_type(path: Path) -> None:
    """A fragment's name ends in a type that towncrier is told of; it is one sentence."""
    assert re.fullmatch(rf"\+[a-z0-9-]+\.({'|'.join(types())})\.rst", path.name)
    text = path.read_text("utf-8").strip()
    assert text.endswith(".")
    assert "\n\n" not in text


def test_the_version_stands_in_one_place() -> None:
    """setup.py has the version, and no other file of the product or the documents."""
    release = re.findall(r'version="([^"]+)"', _text(ROOT / "setup.py"))[0]
    places = [ROOT / "setup.py", ROOT / "pyproject.toml", *ROOT.glob("docs/**/*.*")]
    places += ROOT.glob("lae_*/**/*.py")
    places += set(ROOT.glob("*.rst")) - {ROOT / "NEWS.rst"}
    word = re.compile(rf"(?<![\w.=]){re.escape(release)}(?![\w.]*\d)")
    found = [str(p.relative_to(ROOT)) for p in places if word.search(_text(p))]
    assert found == ["setup.py"]


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""
