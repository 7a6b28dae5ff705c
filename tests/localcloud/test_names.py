"""What Route 53 was told is served by a real name server, after its while."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lae_localcloud.names.zone import NotServed, Record, Zone, write_zone
from tests.localcloud.test_ec2 import code_of, wait_for
from tests.names import addresses, ask


class Names:
    """The deployment's zone, changed through Route 53 and asked at its server."""

    def __init__(self, cloud: Any) -> None:
        self.cloud = cloud
        self.zone_id, self.zone = cloud.facts["hosted_zone_id"], cloud.facts["dns_zone"]
        self.route53 = cloud.client("route53")

    def change(self, action: str, label: str, value: str, kind: str = "A") -> str:
        """The change's id."""
        record = {
            "Name": f"{label}.{self.zone}",
            "Type": kind,
            "TTL": 60,
            "ResourceRecords": [{"Value": value}],
        }
        change = {"Action": action, "ResourceRecordSet": record}
        told = self.route53.change_resource_record_sets(
            HostedZoneId=self.zone_id, ChangeBatch={"Changes": [change]}
        )
        assert told["ChangeInfo"]["Status"] == "PENDING"
        return str(told["ChangeInfo"]["Id"])

    def status(self, change: str) -> str:
        return str(self.route53.get_change(Id=change)["ChangeInfo"]["Status"])

    def insync(self, change: str) -> None:
        wait_for(lambda: self.status(change) == "INSYNC")

    def led(self, label: str, patience: float = 20.0) -> list[str]:
        return addresses(self.cloud.facts["names"], f"{label}.{self.zone}", patience)


@pytest.fixture
def names(calm: Any) -> Iterator[Names]:
    assert calm.facts["names"], "no name server: the bootstrap takes it from Debian"
    yield Names(calm)
    for button in ("thaw", "catch-up"):
        calm.control("POST", f"names/{button}", {})


def test_a_record_is_served_changed_and_gone(names: Names) -> None:
    """In sync, the server answers what was written last; without a record of its own a
    name leads where the wildcard does.
    """
    (nowhere,) = names.led("nobody")
    assert nowhere == "192.0.2.1"
    names.insync(names.change("UPSERT", "g1", "127.16.0.7"))
    assert names.led("g1") == ["127.16.0.7"]
    names.insync(names.change("UPSERT", "g1", "127.16.0.8"))
    assert names.led("g1") == ["127.16.0.8"]
    (answer,) = ask(names.cloud.facts["names"], f"g1.{names.zone}")
    assert answer[1] == 60
    names.insync(names.change("DELETE", "g1", "127.16.0.8"))
    assert names.led("g1") == [nowhere]


def test_a_change_is_pending_for_a_while(names: Names) -> None:
    """As long as a change is PENDING the old answer is given."""
    with names.cloud.slow(names=1.5):
        change = names.change("UPSERT", "late", "127.16.0.9")
        assert names.status(change) == "PENDING"
        assert names.led("late") == ["192.0.2.1"]
    names.insync(change)
    assert names.led("late") == ["127.16.0.9"]
    assert code_of(names.route53.get_change, Id="CNOTHING") == "NoSuchChange"


def test_what_was_told_last_is_served_however_late_the_first_comes(
    names: Names,
) -> None:
    """A change that was slower than the one after it does not undo that one."""
    with names.cloud.slow(names=1.0):
        first = names.change("UPSERT", "twice", "127.16.1.1")
    second = names.change("UPSERT", "twice", "127.16.1.2")
    names.insync(second)
    names.insync(first)
    assert names.led("twice") == ["127.16.1.2"]


def test_a_server_that_answers_late(names: Names) -> None:
    """Frozen, it answers nothing; thawed, it answers what was asked meanwhile."""
    names.cloud.control("POST", "names/freeze", {})

    def silent() -> bool:
        # The signal may reach it after our question does.
        try:
            names.led("frozen", patience=0.5)
        except TimeoutError:
            return True
        return False

    wait_for(silent)
    with ThreadPoolExecutor(1) as asking:
        answer = asking.submit(names.led, "frozen")
        names.cloud.control("POST", "names/thaw", {})
        assert answer.result() == ["192.0.2.1"]


def test_a_server_that_has_an_old_record(names: Names) -> None:
    """It may serve an old record although Route 53 says that all is in sync."""
    names.insync(names.change("UPSERT", "old", "127.16.2.1"))
    names.cloud.control("POST", "names/withhold", {})
    names.insync(names.change("UPSERT", "old", "127.16.2.2"))
    assert names.led("old") == ["127.16.2.1"]
    names.cloud.control("POST", "names/catch-up", {})
    wait_for(lambda: names.led("old") == ["127.16.2.2"])


def test_the_zone_says_what_route_53_would(names: Names) -> None:
    """It has its SOA, by which an absent name is remembered for a quarter of an hour,
    and a text record is served as text.
    """
    where = names.cloud.facts["names"]
    ((soa, ttl),) = ask(where, names.zone, "SOA")
    assert (ttl, soa.minimum) == (900, 86_400)
    names.insync(names.change("UPSERT", "words", '"two words"', kind="TXT"))
    ((txt, _),) = ask(where, f"words.{names.zone}", "TXT")
    assert txt.data == [b"two words"]


@pytest.mark.parametrize(
    "record",
    [
        Record("a b.s4.test.", "A", 60, ("127.0.0.1",)),
        Record("a.s4.test.\n*.", "A", 60, ("127.0.0.1",)),
        Record("a.s4.test", "A", 60, ("127.0.0.1",)),
        Record("a.s4.test.", "A", 60, ("127.0.0.1\n*.s4.test. 60 IN A 127.0.0.2",)),
    ],
)
def test_no_record_writes_another(record: Record) -> None:
    """What would be more than one line of the zone's file is not served."""
    with pytest.raises(NotServed):
        write_zone(Zone("s4.test.", (record,)), 1)
