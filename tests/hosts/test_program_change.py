"""Which program a host runs: the decision, and that the host's own jq says the same."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
from attrs import asdict, define, evolve, field
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lae_provision.hosts.program_change import (
    FIRST_RELEASE,
    MOST,
    Found,
    Looked,
    NotPulled,
    ProgramState,
    Pulled,
    Seen,
    TrialFailed,
    TrialPassed,
    WantedProgram,
    decide,
    is_of,
    read_label,
    read_wanted,
)
from lae_provision.hosts.program_unit import DECIDE, READ

JQ = shutil.which("jq") or "jq"
REPOSITORY = "r.example:5000/d/node"


def image(number: int, repository: str = REPOSITORY) -> str:
    return f"{repository}@sha256:{number:064x}"


def step(
    standing: ProgramState, wanted: WantedProgram, seen: Seen
) -> tuple[ProgramState, str]:
    return decide(standing, wanted, seen, REPOSITORY)


OLD = ProgramState(image(1), release=1)
NEW = WantedProgram(image(2))


def test_a_new_image_is_pulled_tried_and_stays() -> None:
    """Nothing is stopped before the image is here and its number is known; what ran
    before is remembered.
    """
    standing, then = step(OLD, NEW, Looked(OLD.current))
    assert (standing, then) == (OLD, "pull")
    standing, then = step(standing, NEW, Pulled(2))
    assert (standing.current, standing.runs, then) == (image(1), image(2), "try")
    standing, then = step(standing, NEW, TrialPassed())
    assert (standing, then) == (ProgramState(image(2), 2, image(1)), "rest")
    assert step(standing, NEW, Looked(image(2))) == (standing, "rest")


def test_what_does_not_prove_itself_goes_back_and_is_not_tried_again() -> None:
    """What ran before runs again, and the same wish changes nothing any more; once it
    was taken back it may be tried again.
    """
    trying, _ = step(OLD, NEW, Pulled(2))
    back, then = step(trying, NEW, TrialFailed())
    assert (back.runs, back.trouble, back.refused) == (
        image(1),
        "did-not-start",
        image(2),
    )
    assert then == "go-back"
    assert step(back, NEW, Looked(image(1))) == (back, "rest")
    other = WantedProgram(image(3))
    assert step(back, other, Looked(image(1)))[1] == "pull"
    for taken_back in (WantedProgram(), WantedProgram(image(1))):
        forgotten, then = step(back, taken_back, Looked(image(1)))
        assert (forgotten, then) == (OLD, "rest")
        assert step(forgotten, NEW, Looked(image(1)))[1] == "pull"


@pytest.mark.parametrize(
    ("floor", "asked", "release", "then"),
    [
        (0, 0, 0, "rest"),
        (0, 0, 1, "try"),
        (4, 0, 3, "rest"),
        (4, 0, 4, "try"),
        (0, 4, 3, "rest"),
        (0, 4, 4, "try"),
        (5, 4, 4, "rest"),
    ],
)
def test_nothing_below_the_floor(floor: int, asked: int, release: int, then: str):
    """Neither below the floor that stands nor below the daemon's; an image without a
    number is below every floor.
    """
    stands, wanted = evolve(OLD, floor=floor), WantedProgram(image(2), asked)
    standing, told = step(stands, wanted, Pulled(release))
    assert told == then
    assert (standing.trouble == "below-floor") == (then == "rest")
    assert (standing.refused == image(2)) == (then == "rest")


def test_a_release_goes_back_until_the_floor_rises() -> None:
    """An older image runs again as long as the daemon has not raised the floor; after
    that its old signature is worth nothing.
    """
    newer, back = ProgramState(image(2), release=2), WantedProgram(image(1))
    assert step(newer, back, Pulled(1))[1] == "try"
    risen, _ = step(newer, WantedProgram(image(2), floor=2), Looked(image(2)))
    assert risen.floor == 2
    refused, then = step(risen, back, Pulled(1))
    assert (refused.trouble, then) == ("below-floor", "rest")


def test_the_floor_never_rises_above_what_runs() -> None:
    """Who holds a node cannot lock the next releases out, nor lower the floor."""
    risen, _ = step(evolve(OLD, release=5), WantedProgram("", MOST), Looked(image(1)))
    assert risen.floor == 5
    assert step(risen, WantedProgram("", 1), Looked(image(1)))[0].floor == 5
    unknown, _ = step(evolve(OLD, release=None), WantedProgram("", 9), Looked(""))
    assert unknown.floor == 0
    known, _ = step(unknown, WantedProgram("", 9), Found(7))
    assert step(known, WantedProgram("", 9), Looked(""))[0].floor == 7


@pytest.mark.parametrize(
    "program",
    [
        image(2, "r.example:5000/other/node"),
        image(2, "r.example:5001/d/node"),
        image(2, REPOSITORY + "/x"),
        "0" * 64,
        f"{REPOSITORY}:latest",
        f"{REPOSITORY}@sha256:{'0' * 63}",
        f"{REPOSITORY}@sha256:{'0' * 65}",
        f"{REPOSITORY}@sha256:{'A' * 64}",
        image(2) + "\n",
        "x\n" + image(2),
        f"docker://{image(2)}",
        f"{image(2)} --tls-verify=false",
    ],
)
def test_only_the_repository_of_the_launch(program: str) -> None:
    """What is not an image of this repository by its digest is not even pulled."""
    standing, then = step(OLD, WantedProgram(program), Looked(image(1)))
    assert (standing.trouble, standing.refused) == ("other-repository", program)
    assert then == "rest"
    assert not is_of(REPOSITORY, program)


@pytest.mark.parametrize("trouble", ["cannot-pull", "not-signed"])
def test_a_pull_is_tried_again(trouble: Any) -> None:
    """A registry comes back, and a signature may be made later; then all is well."""
    standing, then = step(OLD, NEW, NotPulled(trouble))
    assert (standing.trouble, standing.refused, then) == (trouble, image(2), "rest")
    assert step(standing, NEW, Looked(image(1)))[1] == "pull"
    standing, _ = step(standing, NEW, Pulled(2))
    standing, _ = step(standing, NEW, TrialPassed())
    assert (standing.trouble, standing.refused) == ("", "")


def test_root_dies_on_its_way() -> None:
    """A trial goes on where it was, and who died on the way back goes back."""
    trying, _ = step(OLD, NEW, Pulled(2))
    assert step(trying, NEW, Looked(image(1))) == (trying, "try")
    assert step(trying, WantedProgram(), Looked(image(2))) == (trying, "try")
    back, _ = step(trying, NEW, TrialFailed())
    assert step(back, NEW, Looked(image(2))) == (back, "go-back")
    assert step(back, WantedProgram(image(3)), Looked(image(2))) == (back, "go-back")


@define
class SimulatedHost:
    """A host as its script drives it, whose root may die after each thing it does.

    *images* has each image's release, and whether it is signed and starts.
    """

    images: dict[str, tuple[int, bool, bool]]
    standing: ProgramState
    started: str
    ran: list[str] = field(factory=list)

    def tell(self, wanted: WantedProgram, seen: Seen) -> str:
        before = self.standing.floor
        self.standing, then = step(self.standing, wanted, seen)
        assert self.standing.floor >= before
        return then

    def restart(self) -> None:
        self.started = self.standing.runs
        self.ran.append(self.started)

    def look(self, wanted: WantedProgram, deaths: Any) -> None:
        """All that one look does, unless root dies of it."""
        then = self.tell(wanted, Looked(self.started))
        if deaths():
            return
        if then == "pull":
            release, signed, _ = self.images[wanted.program]
            pulled = Pulled(release) if signed else NotPulled("not-signed")
            then = self.tell(wanted, pulled)
        if then == "try" and not deaths():
            if self.started != self.standing.trial:
                self.restart()
            if deaths():
                return
            starts = self.images[self.standing.trial][2]
            then = self.tell(wanted, TrialPassed() if starts else TrialFailed())
        if then == "go-back" and not deaths():
            self.restart()


IMAGES = st.tuples(st.integers(0, 6), st.booleans(), st.booleans())


@settings(max_examples=300)
@given(data=st.data())
def test_whatever_is_wished_and_whenever_root_dies(data: st.DataObject) -> None:
    """What ever started was signed, of this repository, and not below the floor of that
    time; what stands has proved itself, is not below the floor, and runs at the end.
    """
    made = {image(n): data.draw(IMAGES) for n in range(2, 6)}
    foreign = {image(9, "other.example/node"): (6, True, True)}
    first = image(1)
    host = SimulatedHost(
        {**made, **foreign, first: (3, True, True)}, ProgramState(first, 3), first
    )
    wishes = st.builds(
        WantedProgram, st.sampled_from(["", *host.images]), st.integers(0, 8)
    )
    for wanted in data.draw(st.lists(wishes, min_size=1, max_size=6)):
        floor, before = host.standing.floor, len(host.ran)
        host.look(wanted, lambda: data.draw(st.booleans()))
        for program in host.ran[before:]:
            release, signed, _ = host.images[program]
            assert signed
            assert is_of(REPOSITORY, program)
            assert release >= max(floor, FIRST_RELEASE)
    for _ in range(3):
        host.look(WantedProgram(), lambda: False)
    release, signed, starts = host.images[host.standing.current]
    assert host.started == host.standing.current
    assert signed
    assert starts
    assert release == host.standing.release
    assert release >= host.standing.floor
    assert host.standing.trial == ""


def jq(program: str, given_to_it: str, *words: str) -> str:
    done = subprocess.run(
        [JQ, *words, program],
        input=given_to_it,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_told(seen: Seen) -> dict[str, str]:
    """As the script tells what it saw."""
    match seen:
        case Looked(started):
            return {"is": "looked", "started": started}
        case Found(release):
            return {"is": "found", "label": str(release or "")}
        case Pulled(release):
            return {"is": "pulled", "label": str(release or "<no value>")}
        case NotPulled(trouble):
            return {"is": "not-pulled", "trouble": trouble}
        case TrialPassed():
            return {"is": "proved"}
        case TrialFailed():
            return {"is": "not-proved"}


NAMES = st.sampled_from(
    ["", *map(image, range(1, 4)), image(1, "other/d"), image(1) + "\n", "0" * 64]
)
NUMBERS = st.integers(0, 5)
STANDINGS = st.builds(
    ProgramState,
    NAMES,
    st.none() | NUMBERS,
    NAMES,
    NUMBERS,
    NAMES,
    NUMBERS,
    NAMES,
    st.sampled_from(["", "other-repository", "below-floor", "cannot-pull"])
    | st.sampled_from(["not-signed", "did-not-start"]),
)
SEEN = st.one_of(
    st.builds(Looked, NAMES),
    st.builds(Found, NUMBERS),
    st.builds(Pulled, NUMBERS),
    st.builds(NotPulled, st.sampled_from(["cannot-pull", "not-signed"])),
    st.just(TrialPassed()),
    st.just(TrialFailed()),
)


#: A case that fails is told by itself; fewer of them would take many more runs of jq.
@settings(max_examples=8, deadline=None, phases=set(Phase) - {Phase.shrink})
@given(
    st.lists(
        st.tuples(STANDINGS, st.builds(WantedProgram, NAMES, NUMBERS), SEEN),
        min_size=100,
        max_size=150,
    )
)
def test_the_host_decides_the_same(
    cases: list[tuple[ProgramState, WantedProgram, Seen]],
) -> None:
    """The program for jq that a host has says what the module says, of everything."""
    every = (
        f".[] | .wanted as $wanted | .seen as $seen | {json.dumps(REPOSITORY)} as"
        f" $repository | .standing | {DECIDE}"
    )
    told = [
        {"standing": asdict(s), "wanted": asdict(w), "seen": as_told(e)}
        for s, w, e in cases
    ]
    lines = jq(every, json.dumps(told), "-r").splitlines()
    for number, (standing, wanted, seen) in enumerate(cases):
        kept, then = step(standing, wanted, seen)
        assert lines[2 * number] == then, (standing, wanted, seen)
        assert json.loads(lines[2 * number + 1]) == asdict(kept)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"program": "a", "floor": 3}', WantedProgram("a", 3)),
        ('{"floor": 0, "program": ""}', WantedProgram()),
        ('{"program": "a", "floor": 0}', WantedProgram("a", 0)),
        (
            '{"program": "a", "floor": 1000000000000}',
            WantedProgram("a", 1_000_000_000_000),
        ),
        ('{"program": "a", "floor": 1000000000001}', WantedProgram()),
        ('{"program": "a", "floor": -1}', WantedProgram()),
        ('{"program": "a", "floor": 1.5}', WantedProgram()),
        ('{"program": "a", "floor": "1"}', WantedProgram()),
        ('{"program": "a", "floor": true}', WantedProgram()),
        ('{"program": "a", "floor": null}', WantedProgram()),
        ('{"program": 3, "floor": 1}', WantedProgram()),
        ('{"program": "a", "floor": 1, "more": 1}', WantedProgram()),
        ('{"program": "a"}', WantedProgram()),
        ('["program", "floor"]', WantedProgram()),
        ('{"program": "a", "floor": 1', WantedProgram()),
        ("null", WantedProgram()),
        ("nothing of the kind", WantedProgram()),
        ("", WantedProgram()),
    ],
)
def test_what_is_no_wish_is_none(text: str, wanted: WantedProgram) -> None:
    """A node that is broken into may write anything: both readers take the same."""
    assert read_wanted(text) == wanted
    assert json.loads(jq(READ, text, "-cRs")) == asdict(wanted)


@pytest.mark.parametrize(
    ("label", "release"),
    [
        *(("1", 1), ("10", 10), ("999999999", 999_999_999)),
        *((wrong, 0) for wrong in ("", "0", "01", "-1", "1.5", "x", "1\n", "9" * 10)),
    ],
)
def test_what_is_no_number_is_below_everything(label: str, release: int) -> None:
    """A label that is no release's number counts as none, to both readers."""
    assert read_label(label) == release
    seen = json.dumps({"is": "found", "label": label})
    words = ("-r", "--argjson", "seen", seen, "--argjson", "wanted", "{}")
    told = jq(DECIDE, json.dumps(asdict(OLD)), *words, "--arg", "repository", "r")
    assert json.loads(told.splitlines()[1])["release"] == release
