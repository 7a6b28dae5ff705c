"""Operators, switches, and what operators search."""

from __future__ import annotations

import pytest

from lae_flapp.journal import contacts, events, hosts, listing, operators, switches
from lae_flapp.journal.cells import CELLS
from lae_flapp.journal.contacts import CONTACTS
from lae_flapp.journal.errors import BadCursor, StateChanged, Unknown
from lae_flapp.journal.signups import SIGNUPS
from lae_protocol.secret import Secret

ALL = listing.Filter()


def test_an_operator_is_known_by_a_furl(desk) -> None:
    """A person's furl names the person until it is revoked; both are in the log."""
    desk.write(operators.add, "ada", Secret("one"), "install")
    desk.write(operators.add, "ada", Secret("one"), "install")
    assert desk.read(operators.by_swissnum, Secret("one")).name == "ada"
    assert desk.read(operators.by_swissnum, Secret("two")) is None
    with pytest.raises(StateChanged):
        desk.write(operators.add, "ada", Secret("two"), "install")
    desk.write(operators.revoke, "ada", "bob")
    desk.write(operators.revoke, "ada", "bob")
    assert desk.read(operators.by_swissnum, Secret("one")) is None
    with pytest.raises(StateChanged, match="revoked"):
        desk.write(operators.add, "ada", Secret("one"), "install")
    with pytest.raises(Unknown):
        desk.write(operators.revoke, "eve", "bob")
    log = [(one.kind, one.who) for one in desk.read(events.since, None, 0)]
    assert log == [("operator-added", "install"), ("operator-revoked", "bob")]
    assert [one.name for one in desk.read(operators.every)] == ["ada"]


def test_a_switch_says_who_and_why(desk) -> None:
    """What is paused is known with its reason, across restarts, until it is resumed."""
    desk.write(switches.pause, "signups", "ada", "moving house")
    desk.write(switches.pause, "signups", "bob", "still moving")
    desk.close()
    desk.__attrs_post_init__()
    pause = desk.read(switches.paused, "signups")
    assert (pause.who, pause.why) == ("bob", "still moving")
    assert desk.read(switches.every) == (pause,)
    assert desk.read(switches.paused, "mails") is None
    desk.write(switches.resume, "signups", "ada")
    desk.write(switches.resume, "signups", "ada")
    assert desk.read(switches.paused, "signups") is None
    kinds = [one.kind for one in desk.read(events.since, None, 0)]
    assert kinds == ["paused-signups", "paused-signups", "resumed-signups"]


def pages(desk, limit=50, **query):
    cursor, found = None, []
    while True:
        page = desk.read(
            listing.page, listing.Filter(**query), cursor=cursor, limit=limit
        )
        found.append([one.signup_id for one in page.rows])
        cursor = page.cursor
        if cursor is None:
            return found


def test_pages_are_newest_first_and_miss_nothing(desk) -> None:
    """Walking the cursors gives every signup once, though new ones come meanwhile."""
    names = ["a", "b", "c", "d", "e"]
    for name in names:
        desk.register(name)
    ids = [desk.id(name) for name in reversed(names)]
    assert pages(desk, limit=2) == [ids[:2], ids[2:4], ids[4:]]
    assert pages(desk, limit=5) == [ids]
    assert pages(desk, limit=0) == [[one] for one in ids]
    first = desk.read(listing.page, ALL, limit=2)
    desk.register("new")
    rest = desk.read(listing.page, ALL, limit=9, cursor=first.cursor)
    assert [one.signup_id for one in rest.rows] == ids[2:]


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "9" * 30])
def test_a_strange_cursor_is_refused(desk, cursor) -> None:
    """A cursor that no page gave is an error, not the first page."""
    with pytest.raises(BadCursor):
        desk.read(listing.page, ALL, cursor=cursor)


def test_signups_are_found_by_what_operators_know(desk) -> None:
    """State, id, label, and a piece of the address in any case find a signup."""
    a = desk.register("a", "Ärger_100%@Example.org")
    desk.put_in("b", "paid")
    mine = [[a.signup_id]]
    for text in (a.signup_id[:9], a.grid_label[:9], "ÄRGER", "_100%@ex"):
        assert pages(desk, text=text) == mine
    assert pages(desk, text="100_") == [[]], "wildcards of SQL mean themselves"
    assert pages(desk, state="paid") == [[desk.id("b")]]
    assert pages(desk, state="paid", text="ärger") == [[]]


def test_a_line_tells_the_present_address_and_host(desk) -> None:
    """The list shows the present address, and the instance that is not gone."""
    a = desk.register("a").signup_id
    desk.write(contacts.correct, a, "new@example.org", "new@example.org")
    desk.write(hosts.begin, a)
    desk.write(hosts.move, a, 1, {"wanted"}, "gone", instance_id="i-old")
    assert desk.read(listing.row, a).instance_id is None
    desk.write(hosts.begin, a)
    desk.write(hosts.move, a, 2, {"wanted"}, "launched", instance_id="i-new")
    row = desk.read(listing.row, a)
    assert (row.email, row.instance_id) == ("new@example.org", "i-new")
    assert desk.read(listing.page, ALL).rows == (row,)
    assert desk.read(listing.row, desk.id("nobody")) is None


def test_ten_thousand_signups_are_listed_by_index(desk) -> None:
    """A page of ten thousand sorts nothing and scans no contacts, by state or not."""
    one = desk.register("a")

    def many(tx) -> None:
        row = tx.first(SIGNUPS.select())._asdict()
        known = tx.first(CONTACTS.select())._asdict()
        numbers = range(2, 10_002)
        names = {n: f"su{n:020d}" for n in numbers}
        changes = [
            {"number": n, "signup_id": names[n], "grid_label": f"g{n:015d}"}
            for n in numbers
        ]
        tx.connection.execute(SIGNUPS.insert(), [row | one for one in changes])
        rows = [{"number": n, "signup_id": names[n]} for n in numbers]
        tx.connection.execute(CONTACTS.insert(), [known | one for one in rows])

    desk.write(many)
    assert len(desk.read(listing.page, ALL, limit=100).rows) == 100
    (last,) = desk.read(listing.page, listing.Filter(text=one.signup_id)).rows
    assert last.signup_id == one.signup_id
    for state in (None, "registered"):
        query = listing._rows().order_by(SIGNUPS.c.number.desc()).limit(100)
        if state:
            query = query.where(SIGNUPS.c.state == state)
        text = str(query.compile(compile_kwargs={"literal_binds": True}))
        plan = desk.read(
            lambda tx, sql=text: [
                row[3]
                for row in tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")
            ]
        )
        assert not any("TEMP B-TREE" in step for step in plan), plan
        scans = [step for step in plan if step.startswith("SCAN")]
        assert all("signups" in step for step in scans), plan
    assert CELLS.name not in text


def test_a_first_operator_whose_furl_was_lost(desk) -> None:
    """A journal that came back without the furl's file believes the new one alone."""
    old, new = Secret("o-old"), Secret("o-new")
    for furl in (old, old, new):
        assert desk.write(operators.install, "first", furl, "daemon")
    assert desk.read(operators.by_swissnum, old) is None
    assert desk.read(operators.by_swissnum, new).name == "first"
    kinds = [event.kind for event in desk.read(events.since, None, 0)]
    assert kinds == ["operator-added", "operator-furl-renewed"]


def test_a_first_operator_who_was_revoked(desk) -> None:
    """A revoked first operator comes back with no start, and hinders none."""
    desk.write(operators.install, "first", Secret("o-old"), "daemon")
    desk.write(operators.revoke, "first", "operator second")
    for furl in (Secret("o-old"), Secret("o-new")):
        assert not desk.write(operators.install, "first", furl, "daemon")
        assert desk.read(operators.by_swissnum, furl) is None
