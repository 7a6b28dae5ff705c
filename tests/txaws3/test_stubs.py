from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from lae_provision.txaws3.hook import install

STUBS = Path(__file__).parents[2] / "stubs"

install()


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(STUBS.rglob("*.pyi")):
        name = ".".join(path.relative_to(STUBS).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def stubbed(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.stmt]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield prefix + node.name, node
            yield from stubbed(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node


CASES = [
    pytest.param(module, name, node, id=f"{module}.{name}")
    for module, path in modules()
    for name, node in stubbed(ast.parse(path.read_text()).body)
]


@pytest.mark.parametrize(("module", "name", "node"), CASES)
def test_every_stubbed_name_is_real(module: str, name: str, node: ast.stmt) -> None:
    """A class, function or argument of the stubs is one of the real module's."""
    real = importlib.import_module(module)
    for part in name.split("."):
        real = getattr(real, part)
    if isinstance(node, ast.ClassDef):
        assert inspect.isclass(real)
        return
    assert isinstance(node, ast.FunctionDef)
    known = inspect.signature(real).parameters
    if any(p.kind is p.VAR_KEYWORD for p in known.values()):
        return
    given = [a.arg for a in (*node.args.args, *node.args.kwonlyargs)]
    # The real names of arguments that attrs makes of private attributes.
    assert set(given) <= {p.lstrip("_") for p in known} | set(known), given


def test_there_are_stubs() -> None:
    """The test above has something to walk."""
    assert len(CASES) > 30
