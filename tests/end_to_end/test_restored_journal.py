"""A journal that is restored from a backup older than Stripe's and AWS' state."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from lae_localcloud.demo.program import Program
from lae_localcloud.state_folder import write_private
from tests.end_to_end.checks import check_paid_once, check_served, to_the_customer
from tests.end_to_end.customer import Customer
from tests.end_to_end.process import until

FURL = re.compile(r"pb://\S+/[a-z2-7]+")


def furls_mailed(stack, signup_id: str) -> list[str]:
    mails = to_the_customer(stack, signup_id)
    texts = [m.get_body(("plain",)).get_content() for m in mails]
    return [furl for text in texts for furl in FURL.findall(text)]


def of_leaving(stack, customer: Customer) -> list[str]:
    """The subjects of the mails that say that it ends."""
    mails = to_the_customer(stack, customer.signup_id)
    return [s for m in mails if "cancellation" in (s := str(m["Subject"]))]


def causes_mailed(stack) -> str:
    """What the operators' mails about causes say."""
    bodies = (m.get_body(("plain",)) for m in stack.mailbox.every())
    return "\n".join(body.get_content() for body in bodies if body is not None)


def lae_journal(stack, *arguments: str) -> dict[str, object]:
    """``lae journal``, as an operator types it on the daemon's machine."""
    settings = str(stack.layout.config / "daemon.yaml")
    lae = Path(sys.executable).with_name("lae")
    argv = [str(lae), "journal", arguments[0], "--daemon", settings, "--json"]
    done = subprocess.run(
        [*argv, *arguments[1:]], check=True, capture_output=True, timeout=60
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_the_machine_is_lost(stack) -> None:
    """The way of the manual: backed up while the daemon works, the machine lost,
    restored on an empty one, where site and operators reach it over the furls that they
    have.  The customer who came after the backup is found at Stripe and in the cloud and
    served again under the same furl, on one host and for one charge; the one from before
    goes on; who cancelled since is mailed once; new customers are served; the operators
    are told.
    """
    before = Customer(stack, "before@example.org")
    before.sign_up()
    check_served(stack, before)
    backups = stack.layout.root / "backups-elsewhere"
    backups.mkdir(mode=0o700)
    backup = str(backups / "journal.sqlite")
    lae_journal(stack, "backup", backup)

    before.ask_to("cancel")
    stack.operator.wait_for(before.signup_id, "leaving")
    until(lambda: len(of_leaving(stack, before)) == 1, "the mail of the cancellation")
    after = Customer(stack, "after@example.org")
    signup_id = after.sign_up()
    check_served(stack, after)
    [first] = stack.cloud.instances(signup_id)
    [furl] = set(furls_mailed(stack, signup_id))

    newest = stack.journal_numbers()[-1]
    stack.daemon.kill()
    shutil.rmtree(stack.layout.daemon)
    told = lae_journal(stack, "restore", backup)
    assert (told["kept"], told["missing"]) == (None, [])
    stack.start_daemon(lost_hosts=2, visibility=5, watch=1)

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
    assert stack.journal_numbers()[-1] > newest

    stack.operator.wait_for(before.signup_id, "mail-known")
    check_served(stack, before)
    assert len(of_leaving(stack, before)) == 1
    later = Customer(stack, "later@example.org")
    later.sign_up()
    check_served(stack, later)
    until(lambda: "journal-restored" in causes_mailed(stack), "the operators are told")


def test_settings_of_another_environment(stack) -> None:
    """Settings of another environment do not start on this journal: one line says which
    of the two it is, and nothing is written.
    """
    stack.daemon.stop()
    program = stack.daemon_program()
    path = Path(program.argv[-1])
    settings = yaml.safe_load(path.read_text())
    settings["environment"] = "staging"
    other = path.with_name("daemon-of-staging.yaml")
    write_private(other, yaml.safe_dump(settings, sort_keys=False))
    before = stack.journal_numbers()
    said = len(stack.daemon.log.read_text())
    started = stack.run("daemon", Program((*program.argv[:-1], str(other))))
    assert started.ended() == 1
    words = started.log.read_text()[said:]
    [line] = [one for one in words.splitlines() if "cannot start" in one]
    assert line.endswith(
        "ForeignJournal: the journal's environment is 'local', the configuration's"
        " 'staging'"
    )
    assert "Traceback" not in words
    assert stack.journal_numbers() == before
