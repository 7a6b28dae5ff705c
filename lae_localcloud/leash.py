"""Run a program that ends when its parent does: ``leash.py SIGNAL PARENT -- ARGV``.

The kernel sends it SIGNAL when PARENT dies, however that happens.  It gets a session
of its own (so a process group that can be ended whole), and signals at their defaults:
a shell that started us in the background had SIGINT ignored for all of us.

Run as a script by ``python -I -S``, so it imports little and nothing of ours.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Never returns."""
    number, parent, _, *program = argv
    os.setsid()
    for caught in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(caught, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the parent ended before the leash was on")
    os.execvp(program[0], program)  # noqa: S606  (that is what it is for)


if __name__ == "__main__":
    main(sys.argv[1:])
