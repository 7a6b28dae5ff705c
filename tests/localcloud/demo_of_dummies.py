"""A demo of small programs that say what happens to them; run by test_demo.py.

    demo_of_dummies.py FOLDER NAME=BEHAVIOUR...

BEHAVIOUR: ``good`` notifies and waits; ``stubborn`` ignores SIGTERM; ``parent`` has a
child of its own; ``mortal`` dies when FOLDER/NAME.die appears; ``broken`` never gets
ready; ``fragile`` as mortal, and is started again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lae_localcloud.demo.launcher import Launcher
from lae_localcloud.demo.program import Program, Step
from lae_localcloud.running import run

BODY = """
import os, pathlib, signal, subprocess, sys, time
from lae_protocol.process.readiness import notify
folder, name, behaviour = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
pids = [os.getpid()]
if behaviour == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if behaviour == "parent":
    pids.append(subprocess.Popen(["sleep", "1000"]).pid)
if behaviour == "broken":
    sys.exit("no such thing as " + name)
with (folder / "pids").open("a") as out:
    out.write("".join(f"{name} {p}\\n" for p in pids))
notify("READY=1")
die = folder / (name + ".die")
while not (behaviour in ("mortal", "fragile") and die.exists()):
    time.sleep(0.02)
die.unlink()
sys.exit("the last words of " + name)
"""


def main(folder: Path, *named: str) -> int:
    from twisted.internet import reactor  # noqa: PLC0415

    steps = []
    for text in named:
        name, _, behaviour = text.partition("=")
        argv = (sys.executable, "-c", BODY, str(folder), name, behaviour)
        after = (steps[-1].name,) if steps else ()
        steps.append(
            Step(
                name,
                lambda argv=argv: Program(argv),
                after=after,
                restart=behaviour == "fragile",
            )
        )
    return run(
        reactor,
        lambda end: Launcher(reactor, folder, steps, end=end),
        lambda _: "all ready",
        (folder / "launcher.log").open("w"),
    )


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), *sys.argv[2:]))
