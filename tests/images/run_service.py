"""Starts daemon and site as two containers of the service image would, and asks them.

It runs in the image, as its user, read-only but for the daemon's folder, and with a
network that has nothing but loopback; it prints what it saw as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PATIENCE = 60.0  # s; for each thing that must happen
PAGES = ("/", "/signup", "/health")
SITE = "http://127.0.0.1:8000"
FURL = Path("/var/lib/s4/daemon/front-desk.furl")
HEALTH = "/opt/s4/lib/python3.11/site-packages/lae_protocol/process/container_health.py"


def fetch(path: str) -> tuple[int, str]:
    asked = urllib.request.Request(SITE + path, headers={"Host": "localhost:8000"})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()
    except OSError as e:
        return 0, str(e)


def wait_until(what, holds, processes) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        for process in processes:
            assert process.poll() is None, f"{what}: {process.args} ended"
        assert time.monotonic() < end, what
        time.sleep(0.1)


def daemon_answers() -> bool:
    status, text = fetch("/health")
    return bool(status) and json.loads(text)["daemon"]["answers"]


def health(argv: list[str]) -> str:
    """What podman's health check says of the container that runs this."""
    line = Path("/var/lib/s4/command-line")
    line.write_bytes("\0".join(argv).encode())
    told = subprocess.run(
        [sys.executable, "-I", HEALTH, str(line)],
        check=False,
        capture_output=True,
        text=True,
    )
    return told.stderr.strip() or str(told.returncode)


def start(argv: list[str], log: str) -> subprocess.Popen[bytes]:
    with Path(log).open("wb") as out:
        return subprocess.Popen(argv, stdout=out, stderr=out)


def main(entry: list[str]) -> None:
    words = {
        "daemon": [*entry, "lae-flapp", "--config", "/etc/s4/daemon.yaml"],
        "site": [*entry, "lae-site", "--config", "/etc/s4/site.yaml"],
    }
    logs = {name: f"/var/lib/s4/{name}.log" for name in words}
    running = [start(words["daemon"], logs["daemon"])]
    try:
        wait_until("the daemon writes the furl", FURL.exists, running)
        running.append(start(words["site"], logs["site"]))
        wait_until("a page", lambda: fetch("/")[0] == 200, running)
        wait_until("the daemon answers the site", daemon_answers, running)
        told = {path: fetch(path) for path in PAGES}
        told |= {name: health(argv) for name, argv in words.items()}
    finally:
        for process in running:
            process.terminate()
        ended = [process.wait(60) for process in running]
    sys.stdout.write(json.dumps({"told": told, "ended": ended}))


main(sys.argv[1:])
