"""What each process's machine has to have installed, and what it has not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent

NOT_ON_A_HOST = {"stripe", "sqlalchemy", "alembic", "txaws", "fissix", "moto", "boto3"}
NOT_ON_THE_SITE = {"stripe", "sqlalchemy", "alembic", "txaws", "boto3", "tahoe-lafs"}
NOT_AT_THE_DAEMON = {"tahoe-lafs", "klein", "moto", "boto3", "playwright"}


@pytest.mark.parametrize(
    ("extra", "packages", "without"),
    [
        ("node", ("lae_protocol", "lae_storage"), NOT_ON_A_HOST),
        ("site", ("lae_protocol", "lae_site"), NOT_ON_THE_SITE),
        ("daemon", ("lae_protocol", "lae_provision", "lae_flapp"), NOT_AT_THE_DAEMON),
    ],
)
def test_extra_suffices_and_brings_no_more(
    installed: Any, extra: str, packages: tuple[str, ...], without: set[str]
) -> None:
    """Every module of a process imports with its extra alone, which has not the rest."""
    program = HERE / "only_the_extra.py"
    needed = set(installed.said("python", program, extra, *packages).splitlines())
    assert "twisted" in needed
    assert not {n for n in needed if n.startswith("(")}
    assert not needed & without
