"""What `make audit` says of the pinned versions."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.supply import audit
from tests.supply.audit import FINE, HOLES, UNKNOWN, Finding
from tests.supply.pins import Pinned

_TODAY = date(2026, 11, 30)
_PINS = [
    Pinned(Requirement(f"{name}==1.5"), frozenset({"sha256:" + "0" * 64}))
    for name in ("good", "bad")
]
_BAD = {"id": "CVE-1", "package": "Bad", "affected": "<1.6", "what": "it leaks"}
_HOLE = Finding("bad", "1.5", ("PYSEC-1", "CVE-1"), "it leaks")


def no_database(service: str, path: Path) -> None:
    """There is no way out."""


def run(
    advisories: list[dict], accepted: tuple | list = (), ask=no_database, as_of=_TODAY
):
    """The status and the lines, of a list that was followed until *as_of*."""
    known = {"as_of": as_of, "advisory": advisories, "accepted": accepted}
    return audit.audit(_PINS, known, ask, _TODAY)


@pytest.mark.parametrize(
    ("affected", "status"),
    [("<1.6", HOLES), ("==1.5", HOLES), ("<1.5", FINE), (">1.5", FINE), ("<2", HOLES)],
)
def test_a_version_that_an_advisory_names_is_told(affected: str, status: int) -> None:
    """Without a database the list is asked, with its date: a pinned version in the
    advisory's range is a hole, one outside of it is none.
    """
    given, lines = run([{**_BAD, "affected": affected}])
    assert given == status
    assert ("bad 1.5: CVE-1: it leaks" in lines) == (status == HOLES)
    assert "the list is of 2026-11-30, 0 days old" in lines[0]


@pytest.mark.parametrize(
    ("day", "status"), [(date(2026, 9, 1), FINE), (date(2026, 8, 31), UNKNOWN)]
)
def test_an_old_list_does_not_say_that_all_is_well(day: date, status: int) -> None:
    """After ninety days without a database the answer is "nobody knows"; a hole that
    the old list does know is still one.
    """
    assert run([], as_of=day)[0] == status
    assert run([_BAD], as_of=day)[0] == HOLES


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, FINE),
        ({"until": date(2026, 11, 29)}, HOLES),
        ({"reason": " "}, HOLES),
        ({"package": "good"}, HOLES),
        ({"id": "CVE-2"}, HOLES),
    ],
)
def test_what_is_accepted_has_a_reason_and_an_end(change: dict, status: int) -> None:
    """An accepted advisory is left out for its package until its day, by whichever of
    its names, and only with a reason.
    """
    one = {"id": "CVE-1", "package": "bad", "reason": "unused", "until": _TODAY}
    assert run([_BAD], [{**one, **change}])[0] == status
    assert run([], [{**one, **change}], lambda *_: [_HOLE])[0] == status


def test_a_database_is_asked_first_and_about_everything() -> None:
    """What a database says counts and the list does not; the second one is asked where
    the first is away.
    """
    asked = []

    def ask(service: str, path: Path) -> list[Finding] | None:
        asked.append((service, path.read_text("utf-8").count("==")))
        return [] if service == "pypi" else None

    assert run([_BAD], ask=ask) == (FINE, ["2 packages, 0 with known holes"])
    assert asked == [("osv", 2), ("pypi", 2)]


def test_pip_audits_answer_is_read() -> None:
    """Its JSON is read; no answer, and an answer that leaves packages out, are none."""
    hole = {"id": "PYSEC-1", "aliases": ["CVE-1"], "description": "it\nleaks"}
    bad = {
        "name": "Bad",
        "version": "1.5",
        "vulns": [{**hole, "fix_versions": ["1.6"]}],
    }
    good = {"name": "good", "version": "1.5", "vulns": []}
    assert audit.read_pip_audit(json.dumps({"dependencies": [bad, good]})) == [_HOLE]
    assert audit.read_pip_audit("") is None
    skipped = {"name": "good", "skip_reason": "not found"}
    assert audit.read_pip_audit(json.dumps({"dependencies": [skipped]})) is None


def test_no_pinned_version_has_a_hole_that_the_list_knows() -> None:
    """The pins of this tree pass the list as of its own day, and each entry is whole."""
    known = tomllib.loads(audit.ADVISORIES.read_text("utf-8"))
    for one in known["advisory"]:
        assert one.keys() == {"id", "package", "affected", "what"}
        assert SpecifierSet(one["affected"])
    pins = audit.read_all_pins()
    status, lines = audit.audit(pins, known, no_database, known["as_of"])
    assert status == FINE, lines
    pinned = {pin.name for pin in pins}
    assert {one["package"] for one in known["advisory"]} <= pinned
