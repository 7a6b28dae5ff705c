"""Which program a host runs: what root decides when the node passes a wish on.  Pure.

1. a wish is looked at: only an image of the configured repository may be meant
2. the image is pulled, where its signature is checked, before anything is stopped
3. the number of its release is compared with the floor: nothing below it runs
4. it is tried: started in the place of what runs
5. it proves itself by its self-test, and stays; or what ran before starts again

The floor rises with the daemon's word, but never above what runs: whoever holds a node
can keep its host from no release that is newer.  It never falls.  A host runs the same
in the language that it has (:mod:`lae_provision.hosts.program_unit`).
"""

from __future__ import annotations

import json
import re
from typing import Literal, assert_never

from attrs import define, evolve

from lae_protocol.host_messages import ProgramTrouble

#: Troubles that may pass: the same wish is tried again after a while.
PASSING = ("cannot-pull", "not-signed")
#: The smallest number that a release has.
FIRST_RELEASE = 1
#: A floor beyond this is no release's number.
MOST = 10**12

#: What to do next: nothing; pull what is wished; start the trial and see whether it
#: proves itself; start what stands.
Step = Literal["rest", "pull", "try", "go-back"]


@define(frozen=True)
class WantedProgram:
    """The daemon's wish, as the node wrote it; an empty *program* is none."""

    program: str = ""
    floor: int = 0


@define(frozen=True)
class ProgramState:
    """What root keeps.  *release* is None until *current* was pulled and looked at.

    *trial* was started and has not proved itself yet.
    """

    current: str
    release: int | None = None
    previous: str = ""
    floor: int = 0
    trial: str = ""
    trial_release: int = 0
    refused: str = ""
    trouble: ProgramTrouble = ""

    @property
    def runs(self) -> str:
        """What the unit shall run now."""
        return self.trial or self.current


@define(frozen=True)
class Looked:
    """The wish was read.  *started* is what the unit has started last ("": nothing)."""

    started: str


@define(frozen=True)
class Found:
    """The image that stands is here, of this release (0: it has no number)."""

    release: int


@define(frozen=True)
class Pulled:
    """What is wished is here, and signed; of this release (0: it has no number)."""

    release: int


@define(frozen=True)
class NotPulled:
    """What is wished did not come."""

    trouble: Literal["cannot-pull", "not-signed"]


@define(frozen=True)
class TrialPassed:
    """The trial serves, and its self-test has passed."""


@define(frozen=True)
class TrialFailed:
    """The trial did not start, or not in time, or its self-test did not pass."""


Seen = Looked | Found | Pulled | NotPulled | TrialPassed | TrialFailed


def decide(
    standing: ProgramState, wanted: WantedProgram, seen: Seen, repository: str
) -> tuple[ProgramState, Step]:
    """What root keeps from now on, durably, and what it does then.

    *repository* is ``REGISTRY/NAME``.  All is safe to be told again after a crash.
    """
    step: Step = "rest"
    match seen:
        case Looked(started):
            kept, step = _look(standing, wanted, started, repository)
        case Found(release):
            kept = evolve(standing, release=release)
        case Pulled(release):
            kept, step = _compare(standing, wanted, release)
        case NotPulled(trouble):
            kept = _refuse(standing, wanted.program, trouble)
        case TrialPassed():
            kept = _raise_floor(_exchange(standing), wanted)
        case TrialFailed():
            back = evolve(standing, trial="", trial_release=0)
            kept, step = _refuse(back, standing.trial, "did-not-start"), "go-back"
        case _:
            assert_never(seen)
    return kept, step


def _look(
    standing: ProgramState, wanted: WantedProgram, started: str, repository: str
) -> tuple[ProgramState, Step]:
    if standing.trial:
        # It was compared with the floor of its time, which stays until it has stayed.
        return standing, "try"
    standing = _raise_floor(standing, wanted)
    if started not in ("", standing.current):
        # Root died on its way back.
        return standing, "go-back"
    if wanted.program in ("", standing.current):
        return evolve(standing, refused="", trouble=""), "rest"
    known = wanted.program == standing.refused
    if known and standing.trouble not in PASSING:
        return standing, "rest"
    if not is_of(repository, wanted.program):
        return _refuse(standing, wanted.program, "other-repository"), "rest"
    return standing, "pull"


def _compare(
    standing: ProgramState, wanted: WantedProgram, release: int
) -> tuple[ProgramState, Step]:
    if release < max(standing.floor, wanted.floor, FIRST_RELEASE):
        return _refuse(standing, wanted.program, "below-floor"), "rest"
    return evolve(standing, trial=wanted.program, trial_release=release), "try"


def _exchange(standing: ProgramState) -> ProgramState:
    return ProgramState(
        current=standing.trial,
        release=standing.trial_release,
        previous=standing.current,
        floor=standing.floor,
    )


def _refuse(
    standing: ProgramState, program: str, trouble: ProgramTrouble
) -> ProgramState:
    return evolve(standing, refused=program, trouble=trouble)


def _raise_floor(standing: ProgramState, wanted: WantedProgram) -> ProgramState:
    reached = min(wanted.floor, standing.release or 0)
    return evolve(standing, floor=max(standing.floor, reached))


def read_wanted(text: str) -> WantedProgram:
    """Read ``wanted.json``; what is not a wish is none."""
    try:
        told = json.loads(text)
    except ValueError:
        return WantedProgram()
    if not isinstance(told, dict) or told.keys() != {"program", "floor"}:
        return WantedProgram()
    program, floor = told["program"], told["floor"]
    is_number = type(floor) is int and 0 <= floor <= MOST
    if not is_number or not isinstance(program, str):
        return WantedProgram()
    return WantedProgram(program, floor)


def read_label(text: str) -> int:
    """Read an image's label; 0 is no release's number."""
    return int(text) if re.fullmatch("[1-9][0-9]{0,8}", text) else 0


def is_of(repository: str, program: str) -> bool:
    """Whether *program* is an image of *repository*, named by its digest alone."""
    digest = program.removeprefix(f"{repository}@sha256:")
    return digest != program and re.fullmatch("[0-9a-f]{64}", digest) is not None
