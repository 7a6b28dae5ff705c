"""Make the virtual environments that the Makefile's commands run in.

Runs on the system's python3 with nothing installed, and does nothing when nothing
changed.  What the system lacks is installed with apt-get where that is allowed, or
else named in one line.

    bootstrap.py VENV CLIENT           S4, and apart a customer's tahoe
    bootstrap.py VENV CLIENT --tests   what the tests need too: tools, a browser
    bootstrap.py VENV CLIENT --metal   what the demo's instances need as real machines
    bootstrap.py --only FOLDER NAME    the packages of requirements/NAME.txt alone

pip takes a file only if its hash stands in ``requirements/``, build tools included; what
apt-get installs is signed by Debian.
"""

import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from itertools import zip_longest
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)
HERE = Path(__file__).resolve().parent


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
    # ... nor has pycddl one for this machine; it is written in Rust.
    if platform.machine() == "aarch64" and not shutil.which("cargo"):
        yield "cargo"
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    if debian and not header.exists():
        yield f"{version}-dev"


def missing_for_tests(folder):
    """Packages that only the tests need; *folder* has what was taken out of some."""
    if not shutil.which("chromium-headless-shell"):
        yield "chromium-headless-shell"
        yield "fonts-liberation"
    if not shutil.which("ignition-validate"):
        yield "ignition"
    # A host's scripts are run as they are, but for curl and podman.
    if not shutil.which("jq"):
        yield "jq"
    if not shutil.which("man"):
        yield "man-db"
    # Releases are tested on a system that is booted beside this one.
    if not Path("/lib/systemd/systemd").exists():
        yield "systemd"
    # ... and over ssh, to a server on loopback that the tests start.
    if not Path("/usr/sbin/sshd").exists():
        yield "openssh-server"
    yield from missing_for_names(folder)


def missing_for_names(folder):
    """Libraries of the name server, which itself is taken out of its package."""
    if not (folder / "bin" / "knotd").exists():
        yield from libraries_of("knot")


def libraries_of(package):
    """What apt-get would install with a package, but for the package itself."""
    look = ["apt-get", "-qq", "--simulate", "--no-install-recommends", "install"]
    unheard = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "text": True}
    for lists_are_new in (False, True):
        if not shutil.which("apt-get"):
            return
        if lists_are_new:
            become = [] if os.geteuid() == 0 else ["sudo", "-n"]
            run([*become, "apt-get", "-qq", "update"], **unheard)
        told = subprocess.run([*look, package], stdout=subprocess.PIPE, **unheard)
        lines = told.stdout.splitlines()
        names = [line.split()[1] for line in lines if line.startswith("Inst ")]
        if package in names:
            yield from sorted(set(names) - {package})
            return


def missing_for_metal():
    """Packages that instances as real machines need: they run for root alone."""
    programs = {
        "ip": "iproute2",
        "mkfs.ext4": "e2fsprogs",
        "mmdebstrap": "mmdebstrap",
        "nft": "nftables",
    }
    if sys.platform != "linux" or os.geteuid() != 0:
        return
    for program, package in programs.items():
        if not shutil.which(program):
            yield package
    if not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
        yield "debian-archive-keyring"


def take_program(folder, package, inside):
    """Take one program out of a Debian package: installed, the package would start a
    server on the machine.
    """
    name = Path(inside).name
    target = folder / "bin" / name
    if target.exists() or shutil.which(name) or not shutil.which("apt-get"):
        return
    say(f"taking {name} out of Debian's package {package} into {folder.name} ...")
    with tempfile.TemporaryDirectory() as place:
        unheard = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        get = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package]
        for lists_are_new in (False, True):
            if lists_are_new:
                update = ["apt-get", "-qq", "update"]
                become = [] if os.geteuid() == 0 else ["sudo", "-n"]
                run([*become, *update], stdin=subprocess.DEVNULL, **unheard)
            if subprocess.run(get, cwd=place, **unheard).returncode == 0:
                break
        for archive in Path(place).glob("*.deb"):
            run(["dpkg-deb", "-x", str(archive), place])
        found = Path(place, inside)
        if found.exists():
            shutil.copy2(found, target)
        else:
            say(f"no {name}: tests that need it will be skipped")


class Environment:
    """One virtual environment, and what stands in it."""

    def __init__(self, folder, name, *, has_s4=False):
        self.folder = HERE / folder
        self.python = self.folder / "bin" / "python"
        self.hashed = HERE / "requirements" / f"{name}.txt"
        self.has_s4 = has_s4
        self.made = self.folder / ".made"
        self.installed = self.folder / ".installed"

    def place(self):
        """What it is made for: scripts in it name this folder and this Python; and a
        package that left ``requirements/`` must not stay in it.
        """
        files = sorted((HERE / "requirements").glob("*.txt"))
        digest = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()
        return f"{sys.version} {sys.prefix} {self.folder} {digest}"

    def content(self, name):
        """What is to be in it, in one line."""
        files = (HERE / n for n in ("bootstrap.py", "setup.py"))
        digest = hashlib.sha256(b"".join(f.read_bytes() for f in files))
        return f"{digest.hexdigest()} {name}"

    def is_made(self):
        """Tell whether it is there, made here and by this Python."""
        return self.made.exists() and self.made.read_text("utf-8") == self.place()

    def is_installed(self):
        """Tell whether all is there; what has the tests' packages has the demo's."""
        had = self.installed.read_text("utf-8") if self.installed.exists() else ""
        enough = [self.hashed.stem, *(["tests"] if self.has_s4 else [])]
        return self.is_made() and had in map(self.content, enough)

    def make(self):
        """An empty one, in place of one that was made for something else."""
        if not self.is_made():
            shutil.rmtree(self.folder, ignore_errors=True)
            if run([sys.executable, "-m", "venv", str(self.folder)]) != [0]:
                fail(f"no virtual environment could be made in {self.folder}")
            self.made.write_text(self.place(), "utf-8")
        self.installed.unlink(missing_ok=True)

    def commands(self):
        """Install pip and what builds, then the packages, then S4 itself.

        pip is given every package with its hashes, looks for no other (--no-deps), and
        builds with what is there (--no-build-isolation).
        """
        quiet = ["-qq", "--disable-pip-version-check", "--no-input"]
        pip = [str(self.python), "-m", "pip", "install", *quiet, "--no-deps"]
        build = self.hashed.with_name("build.txt")
        yield [*pip, "--only-binary=:all:", "--require-hashes", "-r", str(build)]
        here = "--no-build-isolation"
        yield [*pip, here, "--require-hashes", "-r", str(self.hashed)]
        if self.has_s4:
            # compat: with the default finder, twistd does not see our plugins.
            yield [*pip, here, "--config-settings=editable_mode=compat", "-e", "."]


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
    for stage in zip_longest(*(e.commands() for e in environments)):
        commands = [command for command in stage if command is not None]
        for command, code in zip(commands, run(*commands), strict=True):
            if code:
                folder = Path(command[0]).parents[1]
                fail(f"pip could not install into {folder}; its words are above")
    for environment in environments:
        environment.installed.write_text(
            environment.content(environment.hashed.stem), "utf-8"
        )
    say("installed.")


def main(arguments):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        fail(
            f"Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} is needed, this"
            f" is {sys.version.split()[0]}; name another: make PYTHON=python3.11 ..."
        )
    if arguments[:1] == ["--only"] and len(arguments) == 3:
        environments = [Environment(*arguments[1:])]
        more = None
    else:
        more = {(): None, ("--tests",): "tests", ("--metal",): "metal"}.get(
            tuple(arguments[2:]), "unknown"
        )
        if len(arguments) < 2 or more == "unknown":
            fail(__doc__)
        name = "tests" if more == "tests" else "demo"
        environments = [
            Environment(arguments[0], name, has_s4=True),
            Environment(arguments[1], "client"),
        ]
    stale = [e for e in environments if not e.is_installed()]
    if stale:
        install(stale)
    install_more(environments[0].folder, more)


def install_more(folder, more):
    """What the system lacks for *more* ("tests", "metal"); nothing without it."""
    if more is None:
        return
    tests = more == "tests"
    missing = missing_for_tests(folder) if tests else missing_for_names(folder)
    missing = [*missing, *missing_for_metal()]
    if missing:
        skipped = "tests that need it will be skipped; to run them, as root: "
        apt(missing, otherwise=lambda line: say(skipped + line))
    if tests:
        # promtool checks alert rules; nginx is the proxy of config/nginx.
        take_program(folder, "prometheus", "usr/bin/promtool")
        take_program(folder, "nginx", "usr/sbin/nginx")
    # The name server of the local cloud's zones, and its control.
    take_program(folder, "knot", "usr/sbin/knotd")
    take_program(folder, "knot", "usr/sbin/knotc")
    # ... and ECR's stand-in is Debian's registry.
    take_program(folder, "docker-registry", "usr/bin/docker-registry")


if __name__ == "__main__":
    main(sys.argv[1:])
