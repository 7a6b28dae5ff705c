"""A host with systemd: each step of a deployment, done with the host's programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any, assert_never

import yaml
from attrs import define

from lae_protocol.process.crash import crash_point, declare
from lae_provision.deploy import history, layout
from lae_provision.deploy import intent as intents
from lae_provision.deploy.engine import StepFailed
from lae_provision.deploy.installing import install
from lae_provision.deploy.intent import Intent, ReleaseId
from lae_provision.deploy.on_host.ask import Question
from lae_provision.deploy.plan import (
    BackUp,
    Check,
    Finish,
    Install,
    Migrate,
    Observed,
    Outcome,
    Remove,
    RestartDaemon,
    RestartSite,
    Step,
    Switch,
    Verify,
)
from lae_provision.deploy.remote import CommandFailed, Remote
from lae_provision.deploy.source import Built
from lae_provision.deploy.supervisor import Supervisor

#: How long a new release has to answer as it should.
VERIFY_WITHIN = 60  # s
#: Right answers needed in a row: several, since any copy of the site may answer.
ANSWERS = 6
_LONG_TIMEOUT = 600.0  # s

LINKED = declare("deploy.switch.linked", "the new link is made, not renamed yet")
HISTORY_WRITTEN = declare(
    "deploy.finish.told", "the history is written, the intent not removed"
)


@define(frozen=True)
class RealHost:
    """One machine; *built* is None if no release is to be installed."""

    remote: Remote
    supervisor: Supervisor
    now: Callable[[], datetime]
    built: Built | None = None

    def observe(self) -> Observed:
        """See :class:`lae_provision.deploy.engine.Host`."""
        said = self._run("sh", "-c", _LIST).splitlines()
        found: dict[str, list[ReleaseId]] = {"whole": [], "partial": [], "current": []}
        for line in said:
            kind, _, name = line.partition(" ")
            found[kind].append(ReleaseId(name))
        running = self.supervisor.running()
        return Observed(
            tuple(found["whole"]),
            tuple(found["partial"]),
            found["current"][0] if found["current"] else None,
            running.daemon,
            running.sites,
        )

    def note(self, intent: Intent) -> None:
        """See :class:`lae_provision.deploy.engine.Host`."""
        try:
            self.remote.write(layout.INTENT, intents.dump(intent), 0o644)
        except CommandFailed as e:
            raise StepFailed(f"the intent cannot be written: {e.words}") from None

    def intent(self) -> Intent | None:
        """Read the unfinished deployment, if there is one."""
        data = self.remote.read(layout.INTENT)
        return None if data is None else intents.load(data)

    def stuck(self, intent: Intent, why: str) -> None:
        """See :class:`lae_provision.deploy.engine.Host`."""
        history.append(self.remote, history.Entry.of(intent, self.now(), "stuck", why))

    def perform(self, step: Step, intent: Intent) -> None:
        """See :class:`lae_provision.deploy.engine.Host`."""
        try:
            self._perform(step, intent)
        except CommandFailed as e:
            raise StepFailed(e.words or str(e)) from None

    def _perform(self, step: Step, intent: Intent) -> None:  # noqa: C901  (all steps)
        match step:
            case Install(release):
                self._install(release, intent)
            case Check(release):
                self._check(release, intent)
            case BackUp(release):
                self._as_daemon(release, *_BACK_UP)
            case Migrate(release):
                self._as_daemon(
                    release, "schema", "upgrade", *_CONFIG, seconds=_LONG_TIMEOUT
                )
            case Switch(release):
                self._switch(release)
            case RestartDaemon():
                self.supervisor.restart(layout.DAEMON_UNIT)
            case RestartSite(release, copy):
                self._copy_furl()
                if intent.order.kind == "first":
                    self._check_site(release)
                self.supervisor.restart(layout.site_unit(copy))
            case Verify(release):
                self._verify(release, intent)
            case Remove(release):
                self._run("sh", "-c", _REMOVE, "remove", release)
            case Finish(outcome, why):
                self._finish(intent, outcome, why)
            case _:
                assert_never(step)

    def _install(self, release: ReleaseId, intent: Intent) -> None:
        if self.built is None or self.built.release != release:
            raise StepFailed(
                f"{release} is not built: {self.remote.name} cannot install it"
            )
        order = intent.order
        facts = {
            "version": 1,
            "release": release,
            "commit": order.commit,
            "untested": order.untested,
            "who": order.who,
            "installed": self.now().isoformat(),
        }
        install(self.remote, self.built, facts)

    # Before anything is switched.

    def _check(self, release: ReleaseId, intent: Intent) -> None:
        """Check the settings as the processes' users, then the journal's schema."""
        lae = layout.program(release, "lae")
        check = ("config", "check")
        self._run(*_as(layout.DAEMON_USER), lae, *check, layout.DAEMON_SETTINGS)
        if intent.order.kind != "first":
            # On a first installation the daemon has not written the site's furl yet.
            self._check_site(release)
        self._check_schema(release, intent)

    def _check_site(self, release: ReleaseId) -> None:
        lae, path = layout.program(release, "lae"), layout.SITE_SETTINGS
        self._run(*_as(layout.SITE_USER), lae, "config", "check", path)
        if not str(self._settings(path).get("listen", "")).startswith("systemd:"):
            raise StepFailed(
                f"{path}: listen: must be systemd:domain=INET:index=0, so that all"
                " copies share one socket; its address is in the socket's unit"
            )

    def _check_schema(self, release: ReleaseId, intent: Intent) -> None:
        told = self._schema(release)
        if not told["fits"]:
            raise StepFailed(
                f"{release} cannot run on the journal, whose schema is"
                f" {told['present']}: deploy a newer release, or restore a backup"
            )
        previous = intent.order.previous
        if previous is None or not told["behind"]:
            return
        knows = self._schema(previous)["newest"]
        if int(knows) < int(told["runs_from"]):
            raise StepFailed(
                f"{previous} (schema {knows}) could not run on the schema of {release}:"
                f" there would be no way back.  First deploy a release in between whose"
                f" schema is {told['runs_from']}"
            )

    def _schema(self, release: ReleaseId) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(
            self._as_daemon(release, "schema", "show", *_CONFIG)
        )
        return told

    def signups_open(self) -> bool | None:
        """Whether the site takes signups now; None if the site does not answer."""
        try:
            told = self._ask(None, 5, must_be_open=False)
        except (CommandFailed, StepFailed):
            return None
        answer = told.get("signups_open")
        return answer if isinstance(answer, bool) else None

    # The switch, and after it.

    def _switch(self, release: ReleaseId) -> None:
        new = f"{layout.CURRENT}.new"
        self._run("ln", "-sfnT", layout.folder(release), new)
        crash_point(LINKED)
        self._run("mv", "-fT", new, layout.CURRENT)
        self._run("sync", layout.BASE)
        self.supervisor.reload_units()

    def _copy_furl(self) -> None:
        """Copy the front desk's furl to where the site's user can read it."""
        named = self._settings(layout.SITE_SETTINGS).get("front_desk_furl")
        state = self._settings(layout.DAEMON_SETTINGS).get("state")
        if isinstance(named, dict) and "file" in named:
            target = str(PurePosixPath(layout.SETTINGS) / str(named["file"]))
            made = str(PurePosixPath(layout.SETTINGS) / str(state) / "front-desk.furl")
            self._run("sh", "-c", _FURL, "furl", layout.SITE_USER, made, target)

    def _settings(self, path: str) -> dict[str, Any]:
        """Read settings that ``lae config check`` has accepted."""
        told = yaml.safe_load(self.remote.read(path) or b"")
        return told if isinstance(told, dict) else {}

    def _verify(self, release: ReleaseId, intent: Intent) -> None:
        wanted = intent.order.open_before is True
        told = self._ask(release, VERIFY_WITHIN, must_be_open=wanted)
        if told["wrong"]:
            raise StepFailed(str(told["wrong"]))
        running = self.supervisor.running()
        for unit, runs in (
            (layout.DAEMON_UNIT, running.daemon),
            *((layout.site_unit(n), runs) for n, runs in running.sites),
        ):
            if runs != release:
                raise StepFailed(f"{unit} does not run {release}")

    def _ask(
        self, release: ReleaseId | None, seconds: float, *, must_be_open: bool
    ) -> dict[str, Any]:
        question = Question(
            address=self.supervisor.site_address(),
            release=release,
            seconds=seconds,
            times=ANSWERS,
            form=self._run("sh", "-c", _FORM, "form", layout.SETTINGS).strip(),
            must_be_open=must_be_open,
        )
        script = files("lae_provision.deploy.on_host").joinpath("ask.py").read_bytes()
        argv = (layout.PYTHON, "-", json.dumps(question))
        said = self.remote.run(argv, data=script, seconds=seconds + 60)
        told: dict[str, Any] = json.loads(said)
        return told

    def _finish(self, intent: Intent, outcome: Outcome, why: str | None) -> None:
        entries = history.read(self.remote)
        number = intent.order.number
        told = any(e.number == number and e.outcome == outcome for e in entries)
        if not told:
            entry = history.Entry.of(intent, self.now(), outcome, why)
            history.append(self.remote, entry)
        crash_point(HISTORY_WRITTEN)
        self._run("rm", "-f", layout.INTENT)

    def _as_daemon(self, release: ReleaseId, *words: str, seconds: float = 60) -> str:
        lae = layout.program(release, "lae")
        argv = (*_as(layout.DAEMON_USER), lae, *words)
        return self.remote.run(argv, seconds=seconds)

    def _run(self, *argv: str) -> str:
        return self.remote.run(argv)


_CONFIG = ("--config", layout.DAEMON_SETTINGS)
_BACK_UP = ("journal", "backup", "--daemon", layout.DAEMON_SETTINGS, "--keep", "14")


def _as(user: str) -> tuple[str, ...]:
    """Run as *user*, without a login, in a folder that every user may enter."""
    return ("env", "-C", "/", "runuser", "-u", user, "--")


# Prints a line for each release, oldest first, and the release that the link names.
_LIST = f"""cd {layout.RELEASES} 2>/dev/null || exit 0
for mark in $(ls -tr */release.json 2>/dev/null); do echo "whole ${{mark%/*}}"; done
for name in *; do
  [ -d "$name" ] && [ ! -e "$name/release.json" ] && echo "partial $name"
done
if [ -L {layout.CURRENT} ]; then
  echo "current $(basename "$(readlink {layout.CURRENT})")"
fi
"""
_REMOVE = f"""rm -rf -- "{layout.RELEASES}/$1" {layout.WHEELS}/s4-"$1"-*.whl"""
# Prints the path of the first plan's form, as on the landing page.
_FORM = r"""plan=$(sed -n 's/^ *-* *plan_id: *//p' "$1/plans.yaml" | head -n 1)
echo "/signup?plan=$plan"
"""
_FURL = """set -eu
[ -e "$2" ] || { echo "the daemon has written no $2" >&2; exit 1; }
if ! cmp -s "$2" "$3"; then
  install -m 600 -o "$1" -g "$1" "$2" "$3.new"
  mv -fT "$3.new" "$3"
fi
"""
