"""A journal that is restored from a backup older than Stripe's and AWS' state."""

from __future__ import annotations

import re
import shutil
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


def test_a_customer_of_after_the_backup_is_adopted(stack) -> None:
    """The customer who came after the backup is found at Stripe and in the cloud, and
    served again under the same furl, on one host and for one charge; the one from before
    goes on as if nothing had been.
    """
    journal = stack.layout.daemon / "journal"
    before = Customer(stack, "before@example.org")
    before.sign_up()
    check_served(stack, before)
    stack.daemon.stop()
    backup = stack.layout.root / "backup-of-the-journal"
    shutil.copytree(journal, backup)

    stack.start_daemon()
    after = Customer(stack, "after@example.org")
    signup_id = after.sign_up()
    check_served(stack, after)
    [first] = stack.cloud.instances(signup_id)
    [furl] = set(furls_mailed(stack, signup_id))

    stack.daemon.stop()
    shutil.rmtree(journal)
    shutil.copytree(backup, journal)
    newest = stack.journal_numbers()[-1]
    stack.start_daemon(lost_hosts=2, visibility=5)

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
    told = stack.journal_says("SELECT why FROM events WHERE kind = 'journal-restored'")
    assert len(told) == 1
    assert stack.journal_numbers()[-1] > newest + 1
    check_served(stack, before)


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
