"""What ``lae health`` prints of one thing that needs somebody."""

from __future__ import annotations

import pytest

from lae_flapp.laptop.commands.health import print_needs
from lae_protocol.looking_messages import Need


def test_lines_of_a_console_stand_below_the_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What a cause quotes is told line by line, and commands no terminal."""
    what = "host i-1 is late\nits console ends with:\n\x1b[2Jwords"
    need = Need("claim-late", "su1", what, None, "page", "docs/alerts.rst", ("lae x",))
    print_needs((need,))
    assert capsys.readouterr().out.splitlines() == [
        "NOW     host i-1 is late (su1)",
        "        | its console ends with:",
        "        | \N{REPLACEMENT CHARACTER}[2Jwords",
        "        docs/alerts.rst",
        "        $ lae x",
        "",
    ]
