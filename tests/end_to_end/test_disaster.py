"""The machine that holds the journal is gone, under load, and everything goes on."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
import yaml
from attrs import define
from botocore.config import Config
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.journal.cells import cell_of
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.meta import home_of
from lae_flapp.journal.threads import SameThread
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.settings import DaemonSettings
from lae_localcloud.customer.mailbox import read, wait_for_mail
from lae_localcloud.demo.once import client_tahoe
from lae_localcloud.demo.program import Program
from lae_localcloud.ports import free_ports
from lae_localcloud.state_folder import write_private
from lae_protocol.process.settings import load
from lae_provision.identity.journal_sealer import JournalSealer
from tests.disaster.ground import Customer as Simulated
from tests.docs.reading import ROOT
from tests.end_to_end.checks import check_paid_once, check_served, to_the_customer
from tests.end_to_end.customer import Customer
from tests.end_to_end.process import until
from tests.twins.journal import answer

#: Simulated customers; the others are real.
SIMULATED = 97
PATIENCE = {"lost_hosts": 2, "visibility": 5, "watch": 1}
PAGE = ROOT / "docs" / "operations" / "machine-is-gone.rst"
BUCKET = "s4-backup"
#: Hosts of the simulated.
THEIRS = "instance_id LIKE 'i-su%'"
BACKUP_POLICY = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:ListBucket", "s3:PutObject"],
        "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
    },
}


_FURL = re.compile(r"pb://\S+/[a-z2-7]+")


def furls_mailed(stack, signup_id: str) -> list[str]:
    mails = to_the_customer(stack, signup_id)
    texts = [m.get_body(("plain",)).get_content() for m in mails]
    return [furl for text in texts for furl in _FURL.findall(text)]


def of_leaving(stack, customer: Customer) -> list[str]:
    """The subjects of the mails that say that it ends."""
    mails = to_the_customer(stack, customer.signup_id)
    return [s for m in mails if "cancellation" in (s := str(m["Subject"]))]


def causes_mailed(stack) -> str:
    """What the operators' mails about causes say."""
    bodies = (m.get_body(("plain",)) for m in stack.mailbox.every())
    return "\n".join(body.get_content() for body in bodies if body is not None)


@define
class BackedUp:
    """The stack's daemon, with Litestream beside it."""

    stack: Any

    @property
    def settings_file(self) -> Path:
        return Path(self.stack.daemon_program(**PATIENCE).argv[-1])

    @property
    def settings(self) -> DaemonSettings:
        return load(self.settings_file, DaemonSettings)

    @property
    def keys(self) -> dict[str, str]:
        """The daemon's, which may read and write its state."""
        facts = self.stack.cloud.facts
        return {
            "AWS_ACCESS_KEY_ID": facts["daemon_access_key"],
            "AWS_SECRET_ACCESS_KEY": facts["daemon_secret_key"],
        }

    def install(self) -> None:
        """A backup bucket, and settings that name it."""
        facts = self.stack.cloud.facts
        self.stack.cloud.client("s3").create_bucket(
            Bucket=BUCKET,
            CreateBucketConfiguration={"LocationConstraint": facts["region"]},
        )
        self.stack.cloud.client("iam").put_user_policy(
            UserName="local-daemon",
            PolicyName="backup",
            PolicyDocument=json.dumps(BACKUP_POLICY),
        )
        backup = {
            "bucket": BUCKET,
            "region": facts["region"],
            "endpoint": facts["s3_endpoint"],
        }
        self.set("backup", backup)

    def set(self, name: str, value: Any) -> None:
        path = self.stack.layout.config / "daemon.yaml"
        said = yaml.safe_load(path.read_text())
        write_private(path, yaml.safe_dump(said | {name: value}, sort_keys=False))

    def simulate(self, count: int) -> None:
        """So many customers who are served, by a daemon that is stopped meanwhile."""
        settings, clock = self.settings, Clock()
        clock.advance(time.time())
        (recipient,) = settings.sealing.recovery_recipients
        customers = [Simulated.of(10_000 + n, recipient) for n in range(count)]
        s3 = boto3.client(
            "s3",
            region_name=settings.aws.region,
            endpoint_url=settings.aws.s3_endpoint,
            aws_access_key_id=self.keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.keys["AWS_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}),
        )
        bucket = settings.aws.state_bucket
        for one in customers:
            body, key = one.sealed.body, one.sealed.key
            s3.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
        sealer = JournalSealer(settings.sealing.journal_keys.read())

        def sign_up(tx: WriteTx) -> None:
            for one in customers:
                one.sign_up(tx, sealer, cell_of(settings))

        journal = Journal(settings.journal, home_of(settings), clock, SameThread())
        answer(Deferred.fromCoroutine(journal.open()))
        answer(journal.write(sign_up))
        answer(Deferred.fromCoroutine(journal.close()))
        # So that the daemon takes no host for lost, silent or led astray.
        later = datetime.now(UTC) + timedelta(hours=1)
        self.change(
            "UPDATE hosts SET changed_at = ?, reported_at = ?, address = '127.0.0.1'"
            f" WHERE {THEIRS}",
            *([later.isoformat(timespec="microseconds")] * 2),
        )

    def forget_the_simulated(self) -> None:
        """No other test wonders who they are."""
        who = f"signup_id IN (SELECT signup_id FROM hosts WHERE {THEIRS})"
        self.change(f"UPDATE signups SET state = 'deleted' WHERE {who}")
        self.change(f"UPDATE hosts SET state = 'gone' WHERE {THEIRS}")

    def change(self, statement: str, *values: str) -> None:
        with closing(sqlite3.connect(self.settings.journal)) as db, db:
            db.execute(statement, values)

    def start(self) -> None:
        """Litestream, then the daemon, as their units do; until there is a whole copy
        of this life.
        """
        whole = "the backup is whole: life "
        before = self.stack.daemon.log.read_text().count(whole)
        lae = str(Path(sys.executable).with_name("lae"))
        argv = (lae, "backup", "run", "--daemon", str(self.settings_file))
        self.stack.run("litestream", Program(argv))
        self.stack.start_daemon(**PATIENCE)
        until(
            lambda: self.stack.daemon.log.read_text().count(whole) > before,
            "a whole copy",
        )

    def lae(self, verb: str, *options: str) -> dict[str, Any]:
        """``lae disaster``, as the manual's page has it, typed on another machine."""
        facts, layout = self.stack.cloud.facts, self.stack.layout
        meanings = {
            "BACKUP_BUCKET": BUCKET,
            "REGION": facts["region"],
            "DEPLOYMENT": facts["deployment"],
            "RECOVERY_KEY_FILE": str(layout.root / "recovery.key"),
        }
        [line] = re.findall(rf"\$ lae (disaster {verb} .*)", PAGE.read_text("utf-8"))
        argv = [str(Path(sys.executable).with_name("lae"))]
        argv += [meanings.get(word, word) for word in line.split()]
        argv += ["--endpoint", facts["s3_endpoint"], "--json", *options]
        env = {"PATH": os.environ["PATH"], "HOME": str(layout.root), **self.keys}
        done = subprocess.run(
            argv, check=False, env=env, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def end(self) -> None:
        """As in good times, without a backup."""
        self.stack.running["litestream"].stop()
        self.stack.daemon.stop()
        self.forget_the_simulated()
        self.set("backup", None)
        self.stack.start_daemon()


@contextmanager
def load_of(stack: Any) -> Iterator[None]:
    """Visitors who send the form, one after the other, and do not pay."""
    over = threading.Event()

    def visit() -> None:
        number = 0
        while not over.is_set():
            number += 1
            visitor = Customer(stack, f"visitor-{number}@example.org", kind="visitor")
            try:
                visitor.send(visitor.filled_form())
            except requests.RequestException:
                return

    visitors = [threading.Thread(target=visit) for _ in range(2)]
    for one in visitors:
        one.start()
    try:
        yield
    finally:
        over.set()
        for one in visitors:
            one.join()


@contextmanager
def running(laptop: Any) -> Iterator[None]:
    """The customer's own, unmodified client."""
    try:
        laptop.start()
        yield
    finally:
        laptop.stop()


def write_cap(path: Path, cap: str) -> list[str]:
    """How a drill is told which file to read, and by what."""
    write_private(path, cap)
    return ["--cap", str(path), "--tahoe", str(client_tahoe())]


@pytest.fixture
def backed_up(stack) -> Iterator[BackedUp]:
    made = BackedUp(stack)
    made.install()
    yield made
    made.end()


def test_the_machine_is_gone(stack, backed_up) -> None:
    """The way of the manual, with a hundred customers: the machine goes under load, at
    a random moment.  A drill proves the backup beside the daemon, and touches nothing.
    Then the machine's files are lost; another one has them from the bucket and the
    recovery key alone, with the furls that site, operators, hosts and customers have.
    The host of before is heard again, and its customer reads a file; who came in the lost time is found at Stripe and
    in the cloud, and served under the same furl, for one charge; who cancelled then is
    mailed once; new customers are served; and the lost machine, when it comes back,
    ends by itself.
    """
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201  (of the moment)
    moment = random.Random(seed).uniform(0.5, 3.0)
    before = Customer(stack, "before@example.org")
    before.sign_up()
    check_served(stack, before)
    places = stack.places("before")
    kept, back = places.folder / "kept.bin", places.folder / "back.bin"
    kept.write_bytes(random.Random(seed).randbytes(200_000))
    laptop = places.laptop("laptop")
    laptop.join(read(*wait_for_mail(places.maildir, before.email, 30)))
    with running(laptop):
        cap = laptop.put(kept)
    stack.daemon.stop()
    backed_up.simulate(SIMULATED)
    backed_up.start()

    with load_of(stack):
        time.sleep(moment)
        stack.running["litestream"].kill()
        numbers = stack.journal_numbers()
        of_file = write_cap(places.folder / "cap", cap)
        told = backed_up.lae("drill", "--customer", before.signup_id, *of_file)
        assert told["file"]["sha256"] == sha256(kept.read_bytes()).hexdigest()
        assert told["heard"] >= SIMULATED + 1
        assert told["compared"] == told["grids"]
        assert numbers[0] - told["events"] < 200
        assert stack.daemon.code is None

    before.ask_to("cancel")
    stack.operator.wait_for(before.signup_id, "leaving")
    until(lambda: len(of_leaving(stack, before)) == 1, "the mail of the cancellation")
    after = Customer(stack, "after@example.org")
    signup_id = after.sign_up()
    check_served(stack, after)
    [first] = stack.cloud.instances(signup_id)
    [furl] = set(furls_mailed(stack, signup_id))
    instance_id = stack.operator.show(before.signup_id).row.instance_id
    stack.daemon.kill()

    layout, settings = stack.layout, backed_up.settings
    text = backed_up.settings_file.read_text()
    lost = layout.root / "lost-machine"
    layout.daemon.rename(lost)
    files = {path: path.read_bytes() for path in lost.glob("*.*") if path.is_file()}
    shutil.rmtree(settings.sealing.journal_keys.folder)
    backed_up.settings_file.unlink()
    recovered = backed_up.lae("recover", "--work", str(layout.root / "work"))
    assert recovered["journal"] == str(settings.journal)
    for path, body in files.items():
        assert (layout.daemon / path.name).read_bytes() == body, path.name
    assert backed_up.settings_file.read_text() == text
    began = datetime.now(UTC)
    backed_up.start()

    asked = "SELECT instance_id FROM hosts WHERE signup_id = ? AND reported_at > ?"
    of_before = (before.signup_id, began.isoformat(timespec="microseconds"))
    [heard] = until(
        lambda: stack.journal_says(asked, *of_before), "the host of before reports"
    )
    assert heard[0] == instance_id
    with running(laptop):
        laptop.get(cap, back)
    assert back.read_bytes() == kept.read_bytes()
    known = "SELECT 1 FROM signups WHERE signup_id = ?"
    until(lambda: stack.journal_says(known, signup_id), "the adoption")
    stack.operator.wait_for(signup_id, "mail-accepted")
    detail = stack.operator.show(signup_id)
    kinds = [event.kind for event in detail.events]
    assert (detail.row.state, kinds.count("adopted"), kinds.count("ready")) == (
        "active",
        1,
        1,
    )
    assert detail.row.email == "after@example.org"
    [second] = stack.cloud.instances(signup_id)
    assert second["InstanceId"] == detail.row.instance_id != first["InstanceId"]
    check_paid_once(stack, signup_id)
    until(lambda: len(furls_mailed(stack, signup_id)) > 1, "the furl, mailed again")
    assert set(furls_mailed(stack, signup_id)) == {furl}

    stack.operator.wait_for(before.signup_id, "mail-known")
    check_served(stack, before)
    assert len(of_leaving(stack, before)) == 1
    later = Customer(stack, "later@example.org")
    later.sign_up()
    check_served(stack, later)
    until(lambda: "journal-restored" in causes_mailed(stack), "the operators are told")

    comes_back(stack, settings, lost)
    check_served(stack, later)


def comes_back(stack: Any, settings: DaemonSettings, lost: Path) -> None:
    """The lost machine is up again, with the journal that it had."""
    said = yaml.safe_load((stack.layout.config / "daemon.yaml").read_text())
    said["state"] = str(lost)
    said |= {"metrics_listen": None, "backup": None}
    for tub, port in zip(("private_tub", "hosts_tub"), free_ports(2), strict=True):
        listen = f"tcp:{port}:interface=127.0.0.1"
        said[tub] = {"listen": listen, "location": f"localhost:{port}"}
    path = stack.layout.config / "daemon-of-the-lost-machine.yaml"
    write_private(path, yaml.safe_dump(said, sort_keys=False))
    argv = (*stack.daemon_program().argv[:-1], str(path))
    running = stack.running["daemon"]
    came = stack.run("daemon", Program(argv))
    stack.running["daemon"] = running
    assert came.ended() == 1
    assert "was recovered on another machine (recovery 1)" in came.log.read_text()
