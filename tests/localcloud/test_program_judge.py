"""Which program an instance runs, judged and tried as root does on a real host."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from lae_localcloud.booter import unit
from lae_localcloud.booter.program_judge import JudgeOptions, ProgramJudge
from lae_localcloud.booter.programs import REPOSITORY, NoProgram, Programs
from lae_localcloud.booter.service import Service
from lae_provision.hosts import program_unit

#: A node that says which it is, and proves itself.
_NODE = (
    "import pathlib,time;here=pathlib.Path('var/lib/s4/program');"
    "here.mkdir(parents=True,exist_ok=True);"
    "(here/'runs').write_text({name!r});{proves}time.sleep(600)"
)


def node(name: str, *, proves: bool = True) -> list[str]:
    proving = "(here/'proved').write_text('');" if proves else ""
    return [sys.executable, "-c", _NODE.format(name=name, proves=proving)]


def test_a_program_is_what_its_digest_is_of(tmp_path: Path) -> None:
    """A program that was changed is none, and so is one that nobody published."""
    programs = Programs(tmp_path)
    reference = programs.publish(2, ["run"])
    assert programs.find(reference).command == ("run",)
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text().replace("run", "steal"))
    with pytest.raises(ValueError, match="not what"):
        programs.find(reference)
    file.unlink()
    with pytest.raises(NoProgram):
        programs.find(reference)


class TestJudge(TestCase):
    """One instance, whose wish the test writes."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp()).resolve()
        self.root.mkdir()
        self.programs = Programs(self.root / "programs")
        parsed = unit.parse(
            "s4-node.service",
            f"[Service]\nExecStart={sys.executable} -c 0\nRestart=always\nRestartSec=1\n",
        )
        self.service = Service(reactor, parsed, self.root, {}, lambda _: None)
        options = JudgeOptions(prove_within=5.0, pull_again=0.2)
        self.judge = ProgramJudge(
            reactor, self.root, self.programs, self.service, options
        )
        first = self.programs.publish(1, node("first"))
        self.write(program_unit.STATE, {"current": first, "release": 1})
        self.first = first
        self.judge.begin()
        self.service.start()

    async def tearDown(self) -> None:  # type: ignore[override]
        self.judge.end()
        await self.service.stop(1.0)

    def write(self, path: str, told: object) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(told))

    def wish(self, program: str, floor: int = 0) -> None:
        self.write(program_unit.WISH, {"program": program, "floor": floor})

    def told(self) -> dict[str, object]:
        path = self.root / program_unit.TOLD.lstrip("/")
        found: dict[str, object] = json.loads(path.read_text())
        return found

    def runs(self) -> str:
        path = self.root / "var/lib/s4/program/runs"
        return path.read_text() if path.exists() else ""

    async def until(self, program: str, trouble: str = "", runs: str = "") -> None:
        """Wait until that is told, and runs."""
        for _ in range(600):
            told = (self.told()["program"], self.told()["trouble"])
            if told == (program, trouble) and runs in {"", self.runs()}:
                return
            await deferLater(reactor, 0.05)
        raise AssertionError((self.told(), self.runs()))

    def test_a_good_one_stays(self) -> Deferred[None]:
        """A program that proves itself runs from then on, and is told with its release;
        a floor that has risen lets nothing older in.
        """

        async def walk() -> None:
            second = self.programs.publish(2, node("second"))
            self.wish(second)
            await self.until(second, runs="second")
            assert self.told()["release"] == 2
            self.wish(self.first, floor=2)
            await self.until(second, "below-floor")
            assert self.runs() == "second"

        return Deferred.fromCoroutine(walk())

    def test_a_bad_one_goes_back_by_itself(self) -> Deferred[None]:
        """One that ends at once, and one that never proves itself, is tried once; what
        ran before is started again.
        """

        async def walk() -> None:
            bad = (
                self.programs.publish(2, [sys.executable, "-c", "raise SystemExit(1)"]),
                self.programs.publish(3, node("idle", proves=False)),
            )
            await self.until(self.first, runs="first")
            for one in bad:
                (self.root / "var/lib/s4/program/runs").write_text("")
                self.wish(one)
                await self.until(self.first, "did-not-start", runs="first")
                assert self.told()["refused"] == one

        return Deferred.fromCoroutine(walk())

    def test_what_is_refused_restarts_nothing(self) -> Deferred[None]:
        """What cannot be pulled, is not signed or is of elsewhere is refused before
        anything is stopped; what could not be pulled is tried again.
        """

        async def walk() -> None:
            await self.until(self.first, runs="first")
            starts = self.service.starts
            missing = f"{REPOSITORY}@sha256:{'0' * 64}"
            self.wish(missing)
            await self.until(self.first, "cannot-pull")
            self.wish(f"elsewhere/node@sha256:{'0' * 64}")
            await self.until(self.first, "other-repository")
            changed = self.programs.publish(2, node("changed"))
            file = self.root / "programs" / f"{changed.rpartition(':')[2]}.json"
            whole = file.read_text()
            file.write_text(whole.replace("changed", "stolen"))
            self.wish(changed)
            await self.until(self.first, "not-signed")
            assert self.service.starts == starts
            file.write_text(whole)
            await self.until(changed, runs="changed")

        return Deferred.fromCoroutine(walk())
