"""``lae txaws``: for those who build images and read-only installations."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import click

from lae_provision.txaws3.hook import TranslatingLoader


@click.group()
def txaws() -> None:
    """The translated copy of txAWS in Python's bytecode cache."""


@txaws.command()
def warm() -> None:
    """Translate now what would be translated at the first start.

    Fails where Python may not write its cache (PYTHONDONTWRITEBYTECODE, a read-only
    tree without PYTHONPYCACHEPREFIX): each start would then translate again.
    """
    importlib.import_module("lae_provision.txaws3.clients")
    specs = [getattr(module, "__spec__", None) for module in sys.modules.values()]
    translated: list[ModuleSpec] = [
        spec for spec in specs if spec and isinstance(spec.loader, TranslatingLoader)
    ]
    cold = [s.name for s in translated if not s.cached or not Path(s.cached).exists()]
    if cold:
        raise click.ClickException(
            f"not in the bytecode cache: {', '.join(sorted(cold))}"
        )
    click.echo(f"{len(translated)} modules of txaws are translated and cached")
