"""Make the virtual environments that the Makefile's commands run in.

Runs on the system's python3 with nothing installed, and does nothing when nothing
changed.  What the system lacks is installed with apt-get where that is allowed, or
else named in one line.

    bootstrap.py VENV CLIENT           S4, and apart a customer's tahoe
    bootstrap.py VENV CLIENT --tests   what the tests need too: tools, a browser
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)
HERE = Path(__file__).resolve().parent
DEMO, TESTS = "site,daemon,node,localcloud", "site,daemon,node,localcloud,test"


def fail(line):
    """End with one clear line."""
    print(f"S4: {line}", file=sys.stderr)
    raise SystemExit(1)


def say(line):
    print(f"S4: {line}", flush=True)


def run(*commands, **how):
    """Run these side by side to their end, or to ours; their exit codes."""
    running = [subprocess.Popen(command, cwd=HERE, **how) for command in commands]
    try:
        return [process.wait() for process in running]
    except BaseException:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
        raise


def apt(packages, *, otherwise):
    """Install Debian packages, as root or by sudo; call *otherwise* if we cannot."""
    line = "apt-get install " + " ".join(packages)
    become = [] if os.geteuid() == 0 else ["sudo", "-n"]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    unheard = {**quiet, "stderr": subprocess.DEVNULL}
    allowed = shutil.which("apt-get") and (
        not become
        or (shutil.which("sudo") and run([*become, "true"], **unheard) == [0])
    )
    if allowed:
        say(line)
        get = [*become, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
        get += ["-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0"]
        run([*get, "update"], **quiet)
        if run([*get, "install", "--no-install-recommends", *packages], **quiet) == [0]:
            return
    otherwise(line)


def missing_for_build():
    """Packages that the environments need from the system."""
    version = f"python3.{sys.version_info[1]}"
    debian = sys.executable.startswith("/usr/bin")
    probe = [sys.executable, "-c", "import ensurepip, venv"]
    if run(probe, stderr=subprocess.DEVNULL) != [0]:
        yield f"{version}-venv" if debian else "python3-venv"
    # netifaces (by way of tahoe-lafs) has no wheel for today's Pythons.
    if not shutil.which("gcc"):
        yield "gcc"
        yield "libc6-dev"
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    if debian and not header.exists():
        yield f"{version}-dev"


def missing_for_tests():
    """Packages that only the tests need."""
    if not shutil.which("chromium-headless-shell"):
        yield "chromium-headless-shell"
        yield "fonts-liberation"
    if not shutil.which("ignition-validate"):
        yield "ignition"
    if not shutil.which("man"):
        yield "man-db"
    # Releases are tested on a system that is booted beside this one.
    if not Path("/lib/systemd/systemd").exists():
        yield "systemd"
    # ... and over ssh, to a server on loopback that the tests start.
    if not Path("/usr/sbin/sshd").exists():
        yield "openssh-server"


def take_promtool(folder):
    """Take promtool, which checks alert rules, out of Debian's package of Prometheus:
    the package installed would start a server on the machine.
    """
    target = folder / "bin" / "promtool"
    if target.exists() or shutil.which("promtool") or not shutil.which("apt-get"):
        return
    say(f"taking promtool out of Debian's package prometheus into {folder.name} ...")
    with tempfile.TemporaryDirectory() as place:
        unheard = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        get = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download"]
        for lists_are_new in (False, True):
            if lists_are_new:
                update = ["apt-get", "-qq", "update"]
                become = [] if os.geteuid() == 0 else ["sudo", "-n"]
                run([*become, *update], stdin=subprocess.DEVNULL, **unheard)
            if (
                subprocess.run([*get, "prometheus"], cwd=place, **unheard).returncode
                == 0
            ):
                break
        for package in Path(place).glob("*.deb"):
            run(["dpkg-deb", "-x", str(package), place])
        found = Path(place, "usr", "bin", "promtool")
        if found.exists():
            shutil.copy2(found, target)
        else:
            say("no promtool: tests of the alert rules will be skipped")


class Environment:
    """One virtual environment, and what stands in it."""

    def __init__(self, name, *wanted):
        self.folder = HERE / name
        self.python = self.folder / "bin" / "python"
        self.wanted = wanted
        self.made = self.folder / ".made"
        self.installed = self.folder / ".installed"

    def place(self):
        """What it is made for: scripts in it name this folder and this Python."""
        return f"{sys.version} {sys.prefix} {self.folder}"

    def content(self):
        """What is to be in it, in one line."""
        files = (HERE / n for n in ("bootstrap.py", "constraints.txt", "setup.py"))
        digest = hashlib.sha256(b"".join(f.read_bytes() for f in files))
        return f"{digest.hexdigest()} {self.wanted[-1]}"

    def is_made(self):
        """Tell whether it is there, made here and by this Python."""
        return self.made.exists() and self.made.read_text("utf-8") == self.place()

    def is_installed(self):
        """Tell whether all is there; what has the tests' extra has the demo's too."""
        had = self.installed.read_text("utf-8") if self.installed.exists() else ""
        return self.is_made() and had.startswith(self.content().rstrip("]"))

    def make(self):
        """An empty one, in place of one that was made for something else."""
        if not self.is_made():
            shutil.rmtree(self.folder, ignore_errors=True)
            if run([sys.executable, "-m", "venv", str(self.folder)]) != [0]:
                fail(f"no virtual environment could be made in {self.folder}")
            self.made.write_text(self.place(), "utf-8")
        self.installed.unlink(missing_ok=True)

    def command(self):
        """Install at the pinned versions; what is built, with pinned tools too."""
        quiet = ["-qq", "--disable-pip-version-check", "--no-input"]
        pip = [str(self.python), "-m", "pip", "install", *quiet]
        return [*pip, "--use-pep517", *self.wanted]


def install(environments):
    """What the system lacks, then all environments at once."""
    missing = list(missing_for_build())
    if missing:
        apt(
            missing,
            otherwise=lambda line: fail(f"packages are missing; run as root: {line}"),
        )
    names = " and ".join(e.folder.name for e in environments)
    say(f"installing into {names}, from PyPI; the first time that takes minutes ...")
    for environment in environments:
        environment.make()
    pinned = str(HERE / "constraints.txt")
    env = {**os.environ, "PIP_CONSTRAINT": pinned, "PIP_BUILD_CONSTRAINT": pinned}
    ended = run(*(e.command() for e in environments), env=env)
    for environment, code in zip(environments, ended, strict=True):
        if code:
            fail(
                f"pip could not install into {environment.folder}; its words are above"
            )
        environment.installed.write_text(environment.content(), "utf-8")
    say("installed.")


def main(arguments):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        fail(
            f"Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} is needed, this"
            f" is {sys.version.split()[0]}; name another: make PYTHON=python3.11 ..."
        )
    tests = arguments[2:] == ["--tests"]
    if len(arguments) != 2 and not tests:
        fail(__doc__)
    # compat: with the default finder, twistd does not see our plugins.
    ours = ["--config-settings=editable_mode=compat", "-e"]
    s4 = Environment(arguments[0], *ours, f".[{TESTS if tests else DEMO}]")
    # tahoe-lafs 1.20 imports cgi, which left Python with 3.13, and does not say so.
    cgi = "legacy-cgi; python_version >= '3.13'"
    client = Environment(arguments[1], cgi, "tahoe-lafs")
    stale = [e for e in (s4, client) if not e.is_installed()]
    if stale:
        install(stale)
    missing = list(missing_for_tests()) if tests else []
    if missing:
        skipped = "tests that need it will be skipped; to run them, as root: "
        apt(missing, otherwise=lambda line: say(skipped + line))
    if tests:
        take_promtool(s4.folder)


if __name__ == "__main__":
    main(sys.argv[1:])
