"""The tour names what is there."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

import lae_flapp
import lae_storage
from lae_protocol.process.crash import declared
from tests.docs.reading import ROOT, literals, spelt_out

TOUR = ROOT / "docs" / "tour.rst"
FAMILIES = (
    *("signup.", "lifecycle.", "checkout.", "inbox.", "claim.", "outbox."),
    *("rollout.", "node-"),
)


@pytest.fixture(scope="module")
def points() -> set[str]:
    """All crash points: every module is imported, so that each has declared its own."""
    for package in (lae_flapp, lae_storage):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            # Alembic runs these itself.
            if ".migrations." not in module.name:
                import_module(module.name)
    # Tests declare some of their own; those of deployments belong to no signup.
    return {n for n in declared() if not n.startswith(("test.", "deploy."))}


@pytest.fixture(scope="module")
def toured() -> set[str]:
    names = (name for text in literals(TOUR) for name in spelt_out(text))
    return {n for n in names if n.startswith(FAMILIES) and n not in FAMILIES}


def test_every_point_of_the_tour_is_declared(points, toured):
    """A crash point that the tour names is one at which a process can die."""
    assert toured - points == set()


def test_every_declared_point_is_in_the_tour(points, toured):
    """No place to die is left out of the tour."""
    assert points - toured == set()
