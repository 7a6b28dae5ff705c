"""The disk under the journal fills up: a real file system, and the real daemon."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
import yaml
from attrs import define

from lae_flapp.signs.registrations import NO_ROOM
from lae_localcloud.demo.parts import twistd_argv
from lae_localcloud.demo.program import Program
from lae_localcloud.state_folder import write_private
from tests.end_to_end.checks import check_mailed_once, check_served
from tests.end_to_end.customer import Customer
from tests.end_to_end.process import until

SIZE, RESERVE = "24m", 4
MIB = 1 << 20


@define
class SmallDisk:
    """A file system of some megabytes, mounted over the daemon's own folder."""

    folder: Path
    aside: Path

    def mount(self) -> None:
        shutil.copytree(self.folder, self.aside)
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs"]
        done = subprocess.run(
            [*command, self.folder], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        shutil.copytree(self.aside, self.folder, dirs_exist_ok=True)

    def unmount(self) -> None:
        """What the daemon has there stays, on the disk that was there before."""
        shutil.rmtree(self.aside)
        shutil.copytree(self.folder, self.aside)
        subprocess.run(["umount", "-l", self.folder], check=True)
        shutil.copytree(self.aside, self.folder, dirs_exist_ok=True)

    @property
    def free(self) -> int:
        room = os.statvfs(self.folder)
        return room.f_bavail * room.f_frsize

    def leave(self, free: int) -> None:
        """Fill it until so much is left."""
        filler = os.open(self.folder / "filler", os.O_CREAT | os.O_WRONLY, 0o600)
        os.lseek(filler, 0, os.SEEK_END)
        try:
            for block in (MIB, 65536, 4096):
                while self.free - block >= free:
                    os.write(filler, b"x" * block)
        finally:
            os.close(filler)

    def make_room(self) -> None:
        (self.folder / "filler").unlink()


@pytest.fixture
def disk(stack) -> Iterator[SmallDisk]:
    """The daemon's folder on a small disk, with the daemon running there."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    stack.daemon.stop()
    folder = stack.layout.daemon
    made = SmallDisk(folder, folder.with_name("daemon-aside"))
    made.mount()
    try:
        path = stack.layout.config / "daemon.yaml"
        settings = yaml.safe_load(path.read_text())
        settings["journal_reserve_mib"] = RESERVE
        settings["patience"] = {"watch": 1}
        small = path.with_name("daemon-small-disk.yaml")
        write_private(small, yaml.safe_dump(settings, sort_keys=False))
        program = Program((*twistd_argv("lae-flapp"), "--config", str(small)))
        stack.run("daemon", program).ready()
        stack.until_site_knows(up=True)
        yield made
    finally:
        stack.daemon.stop()
        made.unmount()
        shutil.rmtree(made.aside)
        stack.start_daemon()


def health(stack, whose: str) -> tuple[int, dict]:
    """What daemon or site say of themselves."""
    url = {
        "daemon": stack.layout.metrics_urls["daemon_metrics_url"],
        "site": f"{stack.layout.site_url}/x",
    }[whose].rpartition("/")[0]
    answer = requests.get(f"{url}/health", timeout=15)
    try:
        return answer.status_code, answer.json()
    except requests.JSONDecodeError:
        # No answer in time: the machine is busy.
        return answer.status_code, {"signups_open": None, "closed_because": None}


def test_a_disk_that_fills_up_and_is_emptied(stack, disk) -> None:
    """With little room nobody new is taken, and who pays is served; with none nothing
    is written, by halves or twice, and everybody is told; then all goes on by itself.
    """
    early, late, new = (
        Customer(stack, f"{name}@example.org") for name in ("early", "late", "new")
    )
    early.register()
    late.register()
    form = new.filled_form()
    daemon, mails = stack.daemon.pid, len(stack.mailbox.every())

    # Little room is left.
    disk.leave(RESERVE * MIB - MIB)
    until(
        lambda: health(stack, "daemon")[1]["closed_because"] == NO_ROOM,
        "the daemon sees how little room there is",
    )
    until(
        lambda: health(stack, "site")[1]["signups_open"] is False,
        "signups are closed",
    )
    until(lambda: health(stack, "daemon")[0] == 200, "who has paid can be served")
    sessions = len(stack.stripe.control.get("sessions"))
    answer = new.send(form)
    assert "disk is nearly full" in answer.text
    assert len(stack.stripe.control.get("sessions")) == sessions
    early.pay()
    check_served(stack, early)
    told = until(
        lambda: [m for m in stack.mailbox.every()[mails:] if "left on" in m["Subject"]],
        "the operator is told",
    )
    assert "docs/alerts.rst#s4journaldisklow" in told[0].get_content()

    # None is left, nor in the write-ahead log, which would take small writes.
    journal = stack.layout.daemon / "journal" / "journal.sqlite"
    with closing(sqlite3.connect(journal)) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    disk.leave(0)
    before = len(stack.stripe.deliveries())
    late.leave()
    until(lambda: health(stack, "daemon")[0] == 503, "the daemon says that it is ill")
    until(
        lambda: health(stack, "daemon")[1].get("journal") == "JournalFull",
        "the daemon says of what",
    )
    until(lambda: stack.stripe.deliveries(before), "Stripe told of the payment")
    assert stack.stripe.deliveries(before)[0]["status"] == 503
    until(lambda: health(stack, "site")[0] == 503, "it is seen from outside")
    until(
        lambda: "disk is nearly full" in requests.get(stack.layout.site_url).text,
        "visitors are told",
    )
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    # There is room again.
    disk.make_room()
    until(lambda: health(stack, "site")[1]["signups_open"], "signups are open again")
    until(lambda: health(stack, "site")[0] == 200, "all is well again")
    check_served(stack, late)
    answer = new.send(form)
    assert answer.status_code == 303
    new.arrive(answer)
    new.pay()
    check_served(stack, new)
    for customer in (early, late, new):
        check_mailed_once(stack, customer)
    assert stack.daemon.pid == daemon
    assert stack.daemon.code is None
    full = until(
        lambda: stack.journal_says(
            "SELECT why FROM events WHERE kind = 'journal-full'"
        ),
        "the journal says how long its disk was full",
    )
    assert [why.startswith("the disk was full for ") for (why,) in full] == [True]
