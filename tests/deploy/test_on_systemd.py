"""Releases on a real systemd, with real processes and customers who sign up meanwhile.

The tests go on from one another, as the life of a host does: first installation, a
release, a rollback, a release that is bad.
"""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.deploy.traffic import Customers, Visitors
from tests.deploy.world import BIN, manual
from tests.end_to_end.checks import check_served
from tests.end_to_end.process import until

_MIGRATION = '''"""A column that nobody needs yet."""

import sqlalchemy as sa
from alembic import op

revision = "{new}"
down_revision = "{old}"
branch_labels = None
depends_on = None
{runs_from}

def upgrade() -> None:
    op.add_column("signups", sa.Column("of_the_test", sa.String(length=9)))
'''
_WHEEL = "/opt/s4/wheels/attrs-*.whl"
_VERSIONS = "lae_flapp/journal/migrations/versions"


def status(world) -> dict:
    """What ``lae deploy status --json`` says."""
    done = world.lae("status", "--json")
    assert done.returncode == 0, done.stderr
    told: dict = json.loads(done.stdout)
    return told


def entries(world) -> list[dict]:
    """What ``lae deploy history --json`` says."""
    done = world.lae("history", "--json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout)["deployments"])


def everywhere(told: dict) -> set[str]:
    """The releases that run or are pointed at."""
    return {told["current"], told["daemon"], *told["sites"].values()}


def revision_of(world) -> str:
    """The journal's, on the machine."""
    program = (
        "import sqlite3; c = sqlite3.connect('file:/var/lib/s4/journal/journal.sqlite"
        "?mode=ro', uri=True); print(*c.execute('select * from alembic_version'))"
    )
    said = world.machine.run("/usr/bin/python3", "-c", program).stdout
    return re.findall(r"\d+", said)[0]


def process_at(world, port: int) -> str:
    """What says at this port of the machine that it is well."""
    program = (
        "import json, urllib.request as r; "
        f"print(json.load(r.urlopen('http://127.0.0.1:{port}/health'))['process'])"
    )
    said: str = world.machine.run("/usr/bin/python3", "-c", program).stdout
    return said.strip()


def newest(world) -> str:
    """The newest migration of the tree."""
    folder = world.tree.folder / _VERSIONS
    return max(p.name[:4] for p in folder.glob("0*.py"))


def test_an_empty_host_becomes_a_running_service(installed) -> None:
    """``lae deploy first`` brings a host with nothing to a service that takes signups,
    and says what is left for people.
    """
    told = status(installed)
    assert len(everywhere(told)) == 1
    assert told["sites"].keys() == {"1", "2"}
    health = installed.health()
    assert health["release"] == told["current"]
    installed.until_open()
    ports = (installed.stack.layout.metrics_ports[0], *installed.site_metrics)
    found = [process_at(installed, port) for port in ports]
    assert found == ["daemon", "site", "site"]
    for word in ("DNS", "Certificates", "Stripe", "AWS", "Operators", "Backup "):
        assert word in installed.first.stdout
    assert f"{installed.site_url}/webhook/stripe" in installed.first.stdout
    (entry,) = entries(installed)
    assert entry["kind"] == "first"
    assert entry["outcome"] == "done"
    assert entry["who"].startswith("operator@")
    assert entry["commit"] == installed.tree.git("rev-parse", "HEAD")


def test_a_release_lists_what_it_consists_of(installed) -> None:
    """``lae deploy sbom`` prints the packages that are installed in the release, with
    the hashes of the wheels that were sent.
    """
    told = json.loads(installed.lae("sbom").stdout)
    release = status(installed)["current"]
    folder = f"/opt/s4/releases/{release}"
    listed = {
        (c["name"], c["version"]): [h["content"] for h in c["hashes"]]
        for c in told["components"]
        if c["type"] == "library"
    }
    infos = installed.machine.run(
        "sh", "-c", f"ls {folder}/venv/lib/python3*/site-packages"
    )
    there = set(re.findall(r"^(\S+?)-(\S+)\.dist-info$", infos.stdout, re.MULTILINE))
    names = {(re.sub("[-_.]+", "-", n).lower(), v) for n, v in there}
    assert names == {*listed, ("s4", str(release))}
    assert told["metadata"]["component"]["version"] == release
    sums = installed.machine.run("sh", "-c", "sha256sum /opt/s4/wheels/*.whl").stdout
    assert {h for hashes in listed.values() for h in hashes} < set(sums.split())
    refused = installed.lae("sbom", "0.0.1")
    assert refused.returncode == 1
    assert f"installed are: {release}" in refused.stderr


def test_a_wheel_that_was_changed_on_the_host_is_not_installed(installed) -> None:
    """pip refuses a wheel that somebody changed on the host by its hash; the next
    release (the test below) finds it, and sends the right one.
    """
    run = installed.machine.run
    folder = f"/opt/s4/releases/{status(installed)['current']}"
    run("sh", "-c", f"cp {_WHEEL} /tmp/right; echo more | tee -a {_WHEEL}")
    pip = "/usr/bin/python3 $(echo /opt/s4/wheels/pip-*.whl)/pip download -q --no-deps"
    where = "--no-index --find-links /opt/s4/wheels -d /tmp/none --require-hashes"
    one = f"grep ^attrs= {folder}/requirements.txt > /tmp/attrs.txt"
    refused = run("sh", "-c", f"{one}; {pip} {where} -r /tmp/attrs.txt", check=False)
    assert refused.returncode == 1
    assert "DO NOT MATCH THE HASHES" in refused.stderr


def test_each_process_has_what_is_its_own(installed) -> None:
    """Secrets are their process's alone; a site can see nothing of the daemon's."""
    machine = installed.machine
    said = machine.run("find", "/etc/s4", "-type", "f", "-printf", "%P %u %m\n").stdout
    modes = {line.split()[0]: line.split()[1:] for line in said.splitlines()}
    assert modes["secrets/stripe-keys/0001.key"] == ["s4-daemon", "600"]
    assert modes["secrets/journal-keys/0001.key"] == ["s4-daemon", "600"]
    assert modes["secrets/cookie-keys/0001.key"] == ["s4-site", "600"]
    assert modes["secrets/front-desk.furl"] == ["s4-site", "600"]
    assert modes["daemon.yaml"] == ["root", "640"]
    state = machine.run("stat", "-c", "%U %a", "/var/lib/s4").stdout.split()
    assert state == ["s4-daemon", "700"]
    for pattern, user in (("lae-flapp", "s4-daemon"), ("lae-site", "s4-site")):
        pids = machine.run("pgrep", "-u", user, "-f", pattern).stdout.split()
        assert pids, pattern
    seen = machine.run(
        *("runuser", "-u", "s4-site", "--", "ls", "/var/lib/s4"), check=False
    )
    assert "Permission denied" in seen.stderr


def test_a_release_loses_no_page_and_no_signup(installed) -> None:
    """A release that expands the journal's schema, killed half-way through the
    installation and called again, goes live while visitors load pages and customers
    pay: no page is refused, and everybody who paid is served.
    """
    world, before = installed, status(installed)
    old = newest(world)
    new = f"{int(old) + 1:04d}"
    text = _MIGRATION.format(old=old, new=new, runs_from=f'RUNS_FROM = "{old}"\n')
    world.tree.write(f"{_VERSIONS}/{new}_of_the_test.py", text)
    world.tree.commit("a column more")
    with Visitors(world.site_url) as visitors, Customers(world.stack, 1) as customers:
        killed = world.release(crash_at="deploy.install.made")
        assert killed.returncode == -9
        assert everywhere(status(world)) == {before["current"]}
        done = world.release()
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Unfinished: release of" in done.stdout
    assert world.machine.run("sh", "-c", f"cmp {_WHEEL} /tmp/right").stdout == ""
    assert visitors.refused == []
    assert sum(visitors.answered.values()) > 50
    assert customers.failed == []
    assert customers.paid
    after = status(world)
    assert everywhere(after) == {after["current"]}
    assert after["current"] != before["current"]
    assert set(after["installed"]) == {before["current"], after["current"]}
    assert revision_of(world) == new
    copies = world.machine.run("ls", "/var/lib/s4/backups").stdout.split()
    assert copies
    for customer in customers.paid:
        check_served(world.stack, customer)
    outcomes = [e["outcome"] for e in entries(world)]
    assert outcomes == ["done", "given-up", "done"]


def test_the_release_before_runs_on_the_new_schema(installed) -> None:
    """``lae deploy rollback``, killed within the switch and called again, brings the
    release before back, which runs on the journal that the newer one expanded.
    """
    world, before = installed, status(installed)
    killed = world.lae("rollback", crash_at="deploy.switch.linked")
    assert killed.returncode == -9
    assert everywhere(status(world)) == {before["current"]}
    schema = revision_of(world)
    with Visitors(world.site_url) as visitors:
        done = world.lae("rollback")
        assert done.returncode == 0, done.stdout + done.stderr
    assert visitors.refused == []
    after = status(world)
    (other,) = set(before["installed"]) - {before["current"]}
    assert everywhere(after) == {other}
    assert revision_of(world) == schema
    with Customers(world.stack, at_most=1) as customers:
        pass
    assert len(customers.paid) == 1
    check_served(world.stack, customers.paid[0])


def test_a_cut_connection_leaves_the_host_running(installed) -> None:
    """With the connection cut in the middle the command says so and ends with 3; the
    host goes on with what it runs.  The next call finishes, and is finished itself
    when it is killed before it could say so; the history has it once.
    """
    world, before = installed, status(installed)
    (other,) = set(before["installed"]) - {before["current"]}
    argv = ["rollback", other, "--host", "the-host"]
    argv += ["--ssh-config", str(world.ssh.config)]
    with (
        world.ssh.mended(),
        subprocess.Popen(
            [str(BIN / "lae"), "deploy", *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        ) as cut,
    ):
        assert cut.stdout is not None
        for line in cut.stdout:
            if line.startswith("restart copy 1"):
                world.ssh.cut()
                break
        _, said = cut.communicate(timeout=120)
        assert cut.returncode == 3, said
        assert "call again" in said
        between = status(world)
        assert between["current"] == between["daemon"] == other
        assert between["unfinished"]["release"] == other
        assert "unfinished: rollback" in world.lae("status").stdout
        # A copy that has just started has yet to reach its daemon.
        until(lambda: world.health()["daemon"]["answers"], "the daemon answers")
    killed = world.lae("resume", crash_at="deploy.finish.told")
    assert killed.returncode == -9
    done = world.lae("resume")
    assert done.returncode == 0, done.stdout + done.stderr
    after = status(world)
    assert everywhere(after) == {other}
    assert after["unfinished"] is None
    told = entries(world)
    rows = [e for e in told if e["number"] == told[-1]["number"]]
    assert [e["outcome"] for e in rows] == ["done"]
    assert "Nothing is unfinished." in world.lae("resume").stdout


def test_a_release_that_does_not_run_is_taken_back(installed) -> None:
    """A release whose site does not start is taken back by itself, and the visitors
    notice nothing: the other copy answers.  The history has the site's own words.
    """
    world, before = installed, status(installed)
    world.tree.change(
        "lae_site/service.py",
        "    top = LoggedService(options.parent, options.settings.log_format)\n",
        '    raise SystemExit("this release is bad")\n',
    )
    world.tree.commit("bad")
    with Visitors(world.site_url) as visitors:
        done = world.release()
    assert done.returncode == 1
    assert "rolled back" in done.stderr
    assert "this release is bad" in done.stderr
    assert visitors.refused == []
    after = status(world)
    assert everywhere(after) == {before["current"]}
    last = entries(world)[-1]
    assert last["outcome"] == "rolled-back"
    assert "this release is bad" in last["why"]
    world.until_open()


def test_a_full_disk_changes_nothing(installed) -> None:
    """With no room left a release is given up, leaves nothing behind, and the next
    one finds room again.
    """
    world, before = installed, status(installed)
    world.tree.git("revert", "--no-edit", "HEAD")
    world.tree.commit("good again")
    room = world.machine.run("df", "--output=avail", "-B1", "/opt").stdout.split()[1]
    world.machine.run("fallocate", "-l", str(int(room) - 300_000), "/var/filler")
    try:
        done = world.release()
    finally:
        world.machine.run("rm", "/var/filler")
    assert done.returncode == 1
    assert "No space left" in done.stderr
    after = status(world)
    assert everywhere(after) == {before["current"]}
    assert after["installed"] == before["installed"]
    assert after["unfinished"] is None
    world.until_open()


@pytest.mark.parametrize("section", ["A release", "A rollback"])
def test_the_manuals_commands_work(installed, section) -> None:
    """Each command of the manual's pages on releases does what it says, over ssh."""
    commands = manual(section)
    assert len(commands) > 2
    for command in commands:
        before = status(installed)
        done = installed.type(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        after = status(installed)
        if "--dry-run" in command:
            assert "switch to" in done.stdout
            assert after == before
        elif "release" in command or "rollback" in command:
            assert after["current"] != before["current"]
            assert everywhere(after) == {after["current"]}


def test_two_deployments_do_not_run_at_once(installed) -> None:
    """While somebody deploys, another is told who does, and changes nothing."""
    world = installed
    with world.machine.shell.lock("/opt/s4/deploy/lock", "ann@laptop"):
        done = world.lae("resume")
        assert done.returncode == 1
        assert "another deployment is running" in done.stderr
        assert "ann@laptop" in done.stderr
        assert world.lae("rollback").returncode == 1
        assert world.lae("status").returncode == 0
    assert world.lae("resume").returncode == 0


@pytest.mark.parametrize("unit", ["s4-daemon", "s4-site@1", "s4-backup"])
def test_units_are_hardened(installed, unit) -> None:
    """systemd finds nothing wrong with the installed units, and rates each well."""
    machine = installed.machine
    path = f"/opt/s4/current/units/{unit.replace('@1', '@')}.service"
    said = machine.run("systemd-analyze", "verify", path, check=False)
    ours = [line for line in said.stderr.splitlines() if "/opt/s4/" in line]
    assert ours == []
    rated = machine.run(
        *("systemd-analyze", "security", "--offline=yes", "--threshold=25"),
        *("--no-pager", path),
        check=False,
    )
    assert rated.returncode == 0, rated.stdout[-2000:]
