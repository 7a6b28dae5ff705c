"""A machine with customers, and its backup in a folder, made once and copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from attrs import evolve

from lae_flapp.backup.layout import Life
from tests.disaster.ground import DictVault, Machine


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, Life]:
    """Nobody changes it."""
    folder = tmp_path_factory.mktemp("disaster")
    made = Machine(folder / "machine", folder / "bucket")
    made.install()
    made.fill()
    return made, made.back_up(batches=4)


@pytest.fixture
def machine(original: tuple[Machine, Life], tmp_path: Path) -> Machine:
    """The original machine, with a bucket and a state bucket of the test's own."""
    made, _ = original
    shutil.copytree(made.bucket, tmp_path / "bucket")
    vault = DictVault(dict(made.vault.held))
    return evolve(made, bucket=tmp_path / "bucket", vault=vault)


@pytest.fixture
def life(original: tuple[Machine, Life]) -> Life:
    """The one that the backup has."""
    return original[1]
