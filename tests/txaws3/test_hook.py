from __future__ import annotations

import importlib.metadata
import inspect
import os
import subprocess
import sys
import textwrap
import traceback
from pathlib import Path
from xml.etree.ElementTree import ParseError

import pytest

from lae_provision.txaws3 import clients, hook
from lae_provision.txaws3.overrides import Override
from lae_provision.txaws3.translate import translate


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter, with nothing of this one's environment but the path."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_source_shown_is_the_translated_one() -> None:
    """inspect shows what runs, under a file name that is not on the disk."""
    module = inspect.getmodule(clients.S3Client)
    source = inspect.getsource(clients.S3Client.head_object)
    assert ".py3-" in module.__file__
    assert not Path(module.__file__).exists()
    assert "response_body[0].headers" in source


def test_traceback_shows_translated_lines() -> None:
    """A traceback through txaws has the lines that ran, not empty ones."""
    try:
        clients.AWSError(b"<a", 400)
    except ParseError as e:
        shown = "".join(traceback.format_exception(e))
    assert "tree = XML(xml_bytes.strip())" in shown


def test_bytecode_has_a_name_of_its_own(tmp_path: Path) -> None:
    """Neither pip's bytecode of the untranslated source is loaded, nor replaced; and
    the second start translates nothing.
    """
    warm = "import lae_provision.txaws3.clients, sys; print('fissix' in sys.modules)"
    cache = {"PYTHONPYCACHEPREFIX": str(tmp_path)}
    assert run_python(warm, **cache).stdout == "True\n"
    assert run_python(warm, **cache).stdout == "False\n"
    names = [p.name for p in tmp_path.rglob("txaws/client/*.pyc")]
    assert any(name.startswith("base.py3-") for name in names)
    assert not any(name.startswith("base.cpython") for name in names)


def test_a_user_without_home_can_translate(tmp_path: Path) -> None:
    """A cold start works for a user whose home cannot be written, and leaves no
    folder of fissix' anywhere.
    """
    home = tmp_path / "home"
    ran = run_python(
        "import lae_provision.txaws3.clients, os; print(os.environ.get('XDG_CACHE_HOME'))",
        HOME=str(home),
        PYTHONPYCACHEPREFIX=str(tmp_path / "bytecode"),
    )
    assert (ran.stdout, ran.stderr) == ("None\n", "")
    assert not home.exists()


def test_another_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The overrides are for one release; with another one nothing is imported."""
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda n: "0.6.0" if n == "txaws" else real(n)
    )
    with pytest.raises(ImportError, match=r"0\.5\.0 is needed, 0\.6\.0 is installed"):
        hook.install()


@pytest.mark.parametrize("source", ["", "x = 1\nx = 1\n"])
def test_an_override_that_misses_is_refused(source: str) -> None:
    """An override that matches less or more often than said is an ImportError."""
    table = {"txaws.m": (Override("x = 1", "x = 2"),)}
    with pytest.raises(ImportError, match=r"txaws\.m: 'x = 1' occurs \d times, not 1"):
        translate("txaws.m", source, table)


def test_cache_key_follows_the_overrides() -> None:
    """Other overrides have another cache, so no stale bytecode is ever loaded."""
    one = hook.cache_key({"txaws.m": (Override("x", "y"),)})
    assert one != hook.cache_key({"txaws.m": (Override("x", "z"),)})
    assert one == hook.cache_key({"txaws.m": (Override("x", "y"),)})


def test_a_document_type_is_refused() -> None:
    """No entity gets into an answer: a document type ends the parsing."""
    bomb = b'<!DOCTYPE a [<!ENTITY b "cc">]><a>&b;</a>'
    with pytest.raises(ParseError, match="document type"):
        clients.XML(bomb)


def test_namespaces_are_dropped() -> None:
    """txaws finds its elements without their namespace."""
    assert clients.XML(b'<a xmlns="urn:x"><b>1</b></a>').findtext("b") == "1"


def test_warm_command(tmp_path: Path) -> None:
    """``lae txaws warm`` leaves everything in the cache and counts it."""
    ran = run_python(
        "from lae_provision.txaws3.command import txaws; txaws(['warm'])",
        PYTHONPYCACHEPREFIX=str(tmp_path),
    )
    assert ran.returncode == 0, ran.stderr
    count = len(list(tmp_path.rglob("*.py3-*.pyc")))
    assert ran.stdout == f"{count} modules of txaws are translated and cached\n"
    assert count > 15


def test_warm_command_says_when_nothing_can_be_cached(tmp_path: Path) -> None:
    """Where Python writes no bytecode, warming fails and says so."""
    ran = run_python(
        "from lae_provision.txaws3.command import txaws; txaws(['warm'])",
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONPYCACHEPREFIX=str(tmp_path),
    )
    assert ran.returncode == 1
    assert "not in the bytecode cache: txaws._auth_v4" in ran.stderr


def test_dangerous_modules_are_not_imported() -> None:
    """Importing our clients installs no reactor."""
    ran = run_python(
        """
        import lae_provision.txaws3.clients, sys
        print([m for m in ("twisted.internet.reactor", "txaws.reactor",
                           "txaws.server", "txaws.wsdl") if m in sys.modules])
        """
    )
    assert ran.stdout == "[]\n", ran.stderr
