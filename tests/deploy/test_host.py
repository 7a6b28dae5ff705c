"""What is refused before anything is switched, for the sake of the way back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import define, field

from lae_provision.deploy.engine import StepFailed
from lae_provision.deploy.host import RealHost
from lae_provision.deploy.intent import Forward, Order, ReleaseId
from lae_provision.deploy.plan import Check

OLD, NEW = ReleaseId("1+gold"), ReleaseId("1+gnew")
BEGAN = datetime(2026, 11, 28, tzinfo=UTC)
SITE = b"listen: systemd:domain=INET:index=0\n"


@define
class Answers:
    """A host on which each release says what it is told to of the journal."""

    schemas: dict[str, dict[str, Any]]
    site: bytes = SITE
    name: str = "the host"
    asked: list[str] = field(factory=list)

    def run(self, argv: tuple[str, ...], **_: Any) -> str:
        self.asked.append(" ".join(argv))
        if "schema" in argv:
            (release,) = (r for r in self.schemas if f"/{r}/" in " ".join(argv))
            return json.dumps(self.schemas[release])
        return ""

    def read(self, path: str) -> bytes:
        return self.site


def schema(newest: str, runs_from: str, present: str = "0002", **more: Any) -> dict:
    """As ``lae schema show`` prints it."""
    fits = {"fits": True, "behind": newest > present}
    return {
        "present": present,
        "newest": newest,
        "runs_from": runs_from,
        **fits,
        **more,
    }


def check(remote: Answers, previous: ReleaseId | None = OLD) -> None:
    """The step, with the new release's code."""
    order = Order(1, "release", NEW, previous, "ann", BEGAN, "c" * 40)
    host = RealHost(remote, None, lambda: BEGAN)
    host.perform(Check(NEW), Forward(order))


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (schema("0002", "0002"), schema("0002", "0002")),
        (schema("0003", "0002"), schema("0002", "0001")),
        (schema("0004", "0001"), schema("0002", "0001")),
        # The schema is as new already: nothing changes for the one before.
        (schema("0003", "0003", "0003"), schema("0002", "0001", "0003")),
    ],
)
def test_a_schema_with_a_way_back_passes(new, old) -> None:
    """An upgrade after which the release before can run is let through."""
    remote = Answers({NEW: new, OLD: old})
    check(remote)
    assert any("config check /etc/s4/daemon.yaml" in line for line in remote.asked)
    assert any("config check /etc/s4/site.yaml" in line for line in remote.asked)


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (schema("0003", "0003"), schema("0002", "0001")),
        (schema("0005", "0003"), schema("0002", "0002")),
    ],
)
def test_a_schema_without_a_way_back_is_refused(new, old) -> None:
    """An upgrade after which the release before could not run is refused, and what to
    do is said.
    """
    with pytest.raises(StepFailed, match=r"no way back.*schema is 0003"):
        check(Answers({NEW: new, OLD: old}))


def test_a_first_release_needs_no_way_back() -> None:
    """Without a release before there is nobody to ask."""
    check(Answers({NEW: schema("0003", "0003")}), previous=None)


def test_a_journal_that_is_too_new_is_refused() -> None:
    """A release that cannot run on the journal is not switched to."""
    told = schema("0001", "0001", "0003", fits=False)
    with pytest.raises(StepFailed, match="cannot run on the journal"):
        check(Answers({NEW: told, OLD: schema("0003", "0003", "0003")}))


def test_copies_of_the_site_must_share_a_socket() -> None:
    """A site that opens a port of its own is refused: two copies cannot share it."""
    remote = Answers({NEW: schema("0002", "0002")}, b"listen: tcp:8080\n")
    with pytest.raises(StepFailed, match="must be systemd:domain=INET"):
        check(remote, previous=None)
