"""Make the two virtual environments that the Makefile's commands run in.

Runs on the system's python3 with nothing installed.  What the system lacks is
installed with apt-get where that is allowed, or else named in one line.

    bootstrap.py VENV CLIENT_VENV     install S4 and, apart, a customer's tahoe
    bootstrap.py --test-system        what only the tests need (a browser, ...)
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)
HERE = Path(__file__).resolve().parent


def fail(line):
    """End with one clear line."""
    print(f"S4: {line}", file=sys.stderr)
    raise SystemExit(1)


def apt(packages, *, needed):
    """Install Debian packages, as root or by sudo; say so where that cannot be."""
    line = "apt-get install -y " + " ".join(packages)
    become = [] if os.geteuid() == 0 else ["sudo", "-n"]
    allowed = not become or (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0
    )
    if shutil.which("apt-get") and allowed:
        print(f"S4: {line}", flush=True)
        env = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        subprocess.run([*become, *env, "update"], **quiet)
        done = subprocess.run([*become, *env, "install", "-y", *packages], **quiet)
        if done.returncode == 0:
            return
        print(done.stderr, file=sys.stderr)
    if needed:
        fail(f"missing system packages; please run: {line}")
    print(
        f"S4: tests that need {', '.join(packages)} will be skipped; to run them: {line}"
    )


def missing_for_build():
    """Packages that the environments need from the system."""
    version = f"python3.{sys.version_info[1]}"
    debian = sys.executable.startswith("/usr/bin")
    probe = subprocess.run(
        [sys.executable, "-c", "import ensurepip, venv"], capture_output=True
    )
    if probe.returncode:
        yield f"{version}-venv" if debian else "python3-venv"
    # netifaces (by way of tahoe-lafs) has no wheel for today's Pythons.
    if not shutil.which("gcc"):
        yield "gcc"
        yield "libc6-dev"
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    if debian and not header.exists():
        yield f"{version}-dev"


def environment(folder, *requirements):
    """A virtual environment with these requirements, at the pinned versions."""
    if not (folder / "bin" / "pip").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "pip"), "--disable-pip-version-check", "install"]
    pinned = ["-q", "-c", str(HERE / "constraints.txt")]
    for wanted in requirements:
        done = subprocess.run([*pip, *pinned, *wanted], cwd=HERE)
        if done.returncode:
            fail(f"pip could not install into {folder}; its own words are above")


def install(venv, client):
    """Both environments, then a stamp that the Makefile looks at."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        fail(
            f"Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} is needed, this is "
            f"{sys.version.split()[0]}; choose another with: make PYTHON=python3.11 ..."
        )
    packages = list(missing_for_build())
    if packages:
        apt(packages, needed=True)
    print("S4: installing into this folder (once, about a minute) ...", flush=True)
    environment(client, ["setuptools", "wheel"], ["tahoe-lafs"])
    environment(
        venv,
        ["setuptools", "wheel"],
        # compat: with the default finder, twistd does not see our plugins.
        [
            "--no-build-isolation",
            "--config-settings=editable_mode=compat",
            "-e",
            ".[site,daemon,node,localcloud,test]",
        ],
    )
    (venv / ".installed").touch()


def main(arguments):
    if arguments == ["--test-system"]:
        wanted = {"chromium": "chromium", "ignition-validate": "ignition"}
        packages = [p for program, p in wanted.items() if not shutil.which(program)]
        if packages:
            apt(packages, needed=False)
    elif len(arguments) == 2:
        install(*(HERE / name for name in arguments))
    else:
        fail(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
