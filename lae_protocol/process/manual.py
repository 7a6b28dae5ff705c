"""The man page of ``lae``, made from its commands: ``docs/lae.1``, and in the wheel.

``python -m lae_protocol.process.manual`` prints it; a test compares.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from inspect import cleandoc

import click

from lae_protocol.process.command import main

_HEAD = r""".TH LAE 1 "" "S4" "Operators' manual"
.SH NAME
lae \- run and look after S4
.SH SYNOPSIS
.B lae
.I COMMAND
[OPTIONS] [ARGUMENTS]
.SH DESCRIPTION
One command for the people who run S4.  What speaks to the daemon does so over an
operator's furl of one's own, found by \fB--furl-file\fR or \fB--config\fR, then by the
environment, then in \fI~/.config/s4\fR.
"""
_TAIL = r""".SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
The daemon says no, the furl is nobody's, or what was named cannot be found.
.TP
.B 2
The command line is wrong, or a question needs \fB--yes\fR.
.TP
.B 3
The daemon does not answer.
.TP
.B 4
Something that was checked is wrong.
.TP
.B 130
Ctrl-C.
.SH ENVIRONMENT
.TP
.B S4_OPERATOR_FURL_FILE
The file with the operator's furl.
.TP
.B S4_OPERATOR_ADDRESS
HOST:PORT of the daemon, in the place of the furl's.
.TP
.B S4_LAE_CONFIG
The settings of \fBlae\fR.
.TP
.B S4_DAEMON_CONFIG
The daemon's settings, for commands on its machine.
.TP
.B NO_COLOR
No colours, also on a terminal.
.SH FILES
.TP
.I ~/.config/s4/operator.furl
The operator's furl (mode 600).
.TP
.I ~/.config/s4/lae.yaml
The settings of \fBlae\fR; \fIconfig/lae.example.yaml\fR has every key.
"""


def page() -> str:
    """The whole page, as roff."""
    return _HEAD + ".SH COMMANDS\n" + "".join(_commands(main, "lae")) + _TAIL


def _commands(command: click.Command, path: str) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from _commands(found, f"{path} {name}")
        return
    usage = " ".join(command.collect_usage_pieces(context))
    yield f".SS {_plain(path)} {_plain(usage)}\n"
    for paragraph in cleandoc(command.help or "").split("\n\n"):
        yield from _paragraph(paragraph)
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and not getattr(parameter, "hidden", False):
            yield f".TP\n\\fB{_plain(record[0])}\\fR\n{_plain(record[1])}\n"


def _paragraph(text: str) -> Iterator[str]:
    if text.startswith("\b"):
        lines = text.splitlines()[1:]
        yield ".PP\n.nf\n" + "".join(f"{_plain(line)}\n" for line in lines) + ".fi\n"
    else:
        yield f".PP\n{_plain(' '.join(text.split()))}\n"


def _plain(text: str) -> str:
    """Text as roff takes it: dashes that can be copied, no line that is a request."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped, flags=re.MULTILINE)


if __name__ == "__main__":
    sys.stdout.write(page())
