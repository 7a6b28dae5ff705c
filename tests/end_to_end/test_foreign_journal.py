"""A journal that is another environment's."""

from __future__ import annotations

from pathlib import Path

import yaml

from lae_localcloud.demo.program import Program
from lae_localcloud.state_folder import write_private


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
