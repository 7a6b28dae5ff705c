"""Log events are declared, and the manual's tables are those of the code."""

from __future__ import annotations

import json

from lae_protocol.process.log import as_json
from lae_protocol.process.log_fields import FIELDS
from tests.docs.log_events import MANUAL, events, tables, written
from tests.docs.reading import blocks

#: Of every line, whatever happened.
_ALWAYS = {"at", "level", "from", "message"}


def test_each_field_of_an_event_is_declared() -> None:
    """An event has only fields whose meaning is written down, and each is used."""
    used = {field for event in events() for field in event.fields}
    assert used == set(FIELDS)
    assert not used & _ALWAYS


def test_each_text_names_the_fields_that_are_given() -> None:
    """No text asks for a field that its event has not."""
    wrong = [event for event in events() if not event.named <= event.fields]
    assert wrong == []


def test_the_manual_has_all_fields_and_events() -> None:
    """``python -m tests.docs.log_events`` writes them anew."""
    assert written()[1] == tables()


def test_the_example_is_a_line_of_the_log() -> None:
    """What the manual shows is what the logger writes."""
    (shown,) = (json.loads(block.text) for block in blocks(MANUAL, "json"))
    event = {key: value for key, value in shown.items() if key not in _ALWAYS}
    text = "mail {number} of {signup_id} was not taken: {said}"
    assert text in {logged.text for logged in events()}
    line = json.loads(as_json({"log_format": text, **event}))
    assert (set(line), line["message"]) == (set(shown), shown["message"])
