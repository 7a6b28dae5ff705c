"""What is sealed in the journal: each value in its row, and all of them in one order."""

from __future__ import annotations

import pytest

from lae_flapp.journal import effects, hosts, identities, sealed
from lae_flapp.journal.effects import EFFECTS, EffectKey
from lae_flapp.journal.errors import BadCursor
from lae_flapp.journal.hosts import HOSTS
from lae_flapp.journal.identities import IDENTITIES
from lae_flapp.journal.sealed import context_of
from lae_protocol.ids import Generation
from lae_protocol.secret import Secret

MANY = 11


def fill(desk) -> dict[str, bytes]:
    """Sealed values in every table that has some, and one request in the clear; what
    each seal is bound to.
    """
    a = desk.register("a").signup_id
    bound = {}
    for number in range(1, MANY + 1):
        ticket = desk.read(effects.upcoming, EffectKey(a, "host", f"make-{number}x"))
        bound[context_of(EFFECTS, ticket.token)] = value = b"request %d" % number
        desk.write(effects.begin, ticket, value, sealed=True)
        generation = desk.write(hosts.begin, a).generation
        bound[context_of(HOSTS, a, generation)] = value = b"furl %d" % number
        swissnum = Secret(f"h{number}")
        desk.write(hosts.issue_furl, a, generation, swissnum, value)
        desk.write(hosts.move, a, generation, {"wanted"}, "gone")
    for number in (1, 2):
        one = Generation(number)
        desk.write(identities.put, a, one, b"s", key_id="k", vault_key="v")
        bound[context_of(IDENTITIES, a, number)] = value = b"identity %d" % number
        desk.write(identities.recovered, desk.read(identities.latest, a), value)
    clear = desk.read(effects.upcoming, EffectKey(a, "role", "make-role"))
    desk.write(effects.begin, clear, b"clear")
    desk.write(hosts.begin, a)
    return bound


@pytest.mark.parametrize("limit", [1, 2, 5, MANY, 500])
def test_every_sealed_value_comes_once(desk, limit) -> None:
    """In batches of any size each sealed value comes once, bound to its table and key;
    what is not sealed does not come.
    """
    bound = fill(desk)
    found = desk.read(lambda tx: list(sealed.every(tx, limit)))
    assert len(found) == len(bound) == desk.read(sealed.count)
    assert {one.context: one.sealed for one in found} == bound
    assert all(str(one.sealed) not in repr(one) for one in found)


def test_a_value_is_replaced_in_its_row(desk) -> None:
    """What is sealed anew stands in the same row, and in no other."""
    bound = fill(desk)
    for one in desk.read(lambda tx: list(sealed.every(tx))):
        desk.write(sealed.replace, one, b"new " + one.sealed)
    found = desk.read(lambda tx: list(sealed.every(tx)))
    assert {one.context: one.sealed for one in found} == {
        context: b"new " + value for context, value in bound.items()
    }


def test_key_names_are_of_all_that_is_sealed(desk) -> None:
    """The plain query tells the eight bytes behind the first of every sealed value."""
    bound = fill(desk)
    rows = desk.read(lambda tx: tx.connection.exec_driver_sql(sealed.key_names()).all())
    assert sorted(row[0] for row in rows) == sorted(v[1:9] for v in bound.values())


@pytest.mark.parametrize("cursor", ["", "x", "hosts x", "hosts x y", "signups 1"])
def test_a_strange_cursor_is_refused(desk, cursor) -> None:
    """A cursor that no batch gave is refused."""
    with pytest.raises(BadCursor):
        desk.read(sealed.after, cursor, 5)


def test_contexts_differ_by_table_and_key() -> None:
    """No two rows share a context, in one table or in two."""
    rows = [(HOSTS, ("a", 1)), (HOSTS, ("a", 11)), (EFFECTS, ("a",))]
    assert len({context_of(table, *key) for table, key in rows}) == len(rows)
    assert context_of(HOSTS, "a", Generation(1)) == "hosts a 1"


def test_rows_under_keys_that_are_gone_are_counted(desk) -> None:
    """Rows whose key is not among the known ones are counted, in every table."""
    names = {value[1:9] for value in fill(desk).values()}
    every = desk.read(sealed.count)
    assert desk.read(sealed.count_under_others, names) == 0
    assert desk.read(sealed.count_under_others, frozenset()) == every
    gone = {b"identity %d" % n for n in (1, 2)}
    left = names - {value[1:9] for value in gone}
    assert desk.read(sealed.count_under_others, left) == 2
