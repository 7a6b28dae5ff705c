"""``make audit``: which of the pinned versions have known holes?

1. pip-audit asks a database (OSV, else PyPI's) for every package of every environment.
2. Where neither can be reached, ``requirements/advisories.toml`` is asked instead, which
knows less, and is dated.
3. What the file accepts, with a reason and until a day, is left out.

The exit status is 0 when nothing is known, 1 when something is, and 2 when nobody can
say: no database, and a list that is too old.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.supply.lock import ENVIRONMENTS, ROOT, compiled_file
from tests.supply.pins import Pinned, read_pins

ADVISORIES = ROOT / "requirements" / "advisories.toml"
SERVICES = ("osv", "pypi")
#: How long the dated list may stand in for a database.
FRESH = timedelta(days=90)
FINE, HOLES, UNKNOWN = 0, 1, 2


class Finding(NamedTuple):
    """A pinned version that an advisory names, under all names of the advisory."""

    package: str
    version: str
    ids: tuple[str, ...]
    what: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.package} {self.version}: {' '.join(self.ids)}: {self.what}"


#: Asks a service about a file of pinned packages; None where it cannot be reached.
Ask = Callable[[str, Path], list[Finding] | None]


def audit(
    pins: Iterable[Pinned], known: dict[str, Any], ask: Ask, today: date
) -> tuple[int, list[str]]:
    """Judge the pins; the exit status, and the lines to print."""
    pinned = {pin.name: pin for pin in pins}
    found, lines = _ask_databases(pinned, ask), []
    status = FINE
    if found is None:
        age = today - known["as_of"]
        lines.append(
            f"no database can be reached; the list is of {known['as_of']},"
            f" {age.days} days old"
        )
        if age > FRESH:
            lines.append(f"nobody knows what came after {known['as_of']}")
            status = UNKNOWN
        found = _ask_list(pinned, known["advisory"])
    accepted = {
        (one["id"], canonicalize_name(one["package"]))
        for one in known.get("accepted", [])
        if one["reason"].strip() and one["until"] >= today
    }
    left = [f for f in found if not accepted & {(i, f.package) for i in f.ids}]
    lines += [str(finding) for finding in sorted(set(left))]
    lines.append(f"{len(pinned)} packages, {len(set(left))} with known holes")
    return (HOLES if left else status), lines


def _ask_databases(pinned: dict[str, Pinned], ask: Ask) -> list[Finding] | None:
    with tempfile.TemporaryDirectory(prefix="s4-audit-") as folder:
        path = Path(folder, "requirements.txt")
        lines = [
            f"{name}=={pin.version} --hash={min(pin.hashes)}\n"
            for name, pin in sorted(pinned.items())
        ]
        path.write_text("".join(lines), "utf-8")
        for service in SERVICES:
            found = ask(service, path)
            if found is not None:
                return found
    return None


def _ask_list(
    pinned: dict[str, Pinned], advisories: list[dict[str, str]]
) -> list[Finding]:
    found = []
    for one in advisories:
        pin = pinned.get(canonicalize_name(one["package"]))
        if pin and SpecifierSet(one["affected"]).contains(
            pin.version, prereleases=True
        ):
            found.append(Finding(pin.name, pin.version, (one["id"],), one["what"]))
    return found


def ask_pip_audit(service: str, path: Path) -> list[Finding] | None:
    """Run pip-audit, which prints nothing on standard output where it fails."""
    program = Path(sys.executable).with_name("pip-audit")
    how = ("--disable-pip", "--require-hashes", "--progress-spinner=off")
    done = subprocess.run(
        [program, *how, "-f", "json", "-s", service, "-r", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    return read_pip_audit(done.stdout)


def read_pip_audit(said: str) -> list[Finding] | None:
    """Read pip-audit's JSON; None if it could not ask about every package."""
    try:
        told = json.loads(said)["dependencies"]
    except ValueError:
        return None
    if any("skip_reason" in one for one in told):
        return None
    return [
        Finding(
            canonicalize_name(one["name"]),
            one["version"],
            (hole["id"], *hole.get("aliases", [])),
            " ".join(hole.get("description", "").split())[:100],
        )
        for one in told
        for hole in one["vulns"]
    ]


def read_all_pins() -> list[Pinned]:
    """Every package of every environment."""
    return [p for n in ENVIRONMENTS for p in read_pins(ROOT / compiled_file(n))]


def main() -> None:
    """Print the lines, and end with the status."""
    known = tomllib.loads(ADVISORIES.read_text("utf-8"))
    today = datetime.now(UTC).date()
    status, lines = audit(read_all_pins(), known, ask_pip_audit, today)
    sys.stdout.write("".join(f"S4: {line}\n" for line in lines))
    raise SystemExit(status)


if __name__ == "__main__":
    main()
