"""Debian's packages: which ones a mirror has now, fetched and unpacked.

apt resolves and fetches them, in folders of its own, so the signatures that it checks
are Debian's and nothing of this machine is changed.  No root is needed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from attrs import define

from lae_provision.images.recipe import ARCHITECTURE, Base, NotBuildable, NotFetched

MIRROR = "http://deb.debian.org"
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_TIMEOUT = 900  # s
_LONGEST_OUTPUT = 1500  # characters
#: Debian's folders that are links since /usr was merged.
_MERGED = ("bin", "lib", "lib64", "sbin")


@define(frozen=True)
class Package:
    """A file of a mirror, whose hash Debian signed."""

    name: str
    version: str
    file: str
    sha256: str


@define(frozen=True)
class Apt:
    """apt in *folder*, for one suite and architecture, whatever this machine has."""

    folder: Path
    base: Base
    mirror: str = MIRROR

    def resolve(self, *, update: bool) -> tuple[Package, ...]:
        """The newest packages that are signed, in the order of the base's list."""
        self._prepare()
        if update:
            self._apt("update")
        told = self._apt("--print-uris", "download", *self.base.packages)
        found = [self._package(line) for line in told.splitlines() if line]
        order = {name: number for number, name in enumerate(self.base.packages)}
        if missing := order.keys() - {p.name for p in found}:
            raise NotFetched(
                f"Debian {self.base.suite} has no {', '.join(sorted(missing))}"
            )
        return tuple(sorted(found, key=lambda p: order[p.name]))

    def fetch(self, packages: tuple[Package, ...]) -> tuple[Path, ...]:
        """Fetch what is not here yet; raises :class:`NotBuildable` on another hash."""
        files = self.folder / "packages"
        files.mkdir(exist_ok=True)
        missing = [p for p in packages if not _is_whole(files / p.file, p.sha256)]
        if missing:
            wanted = [f"{p.name}={p.version}" for p in missing]
            self._apt("download", *wanted, where=files)
        for package in missing:
            if not _is_whole(files / package.file, package.sha256):
                raise NotBuildable(f"{package.file} is not what Debian signed")
        return tuple(files / p.file for p in packages)

    def _prepare(self) -> None:
        for name in ("state/lists/partial", "cache/archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        suite = self.base.suite
        lines = (
            f"deb [signed-by={_KEYS}] {self.mirror}/{archive} {name} main\n"
            for archive, name in (
                ("debian", suite),
                ("debian", f"{suite}-updates"),
                ("debian-security", f"{suite}-security"),
            )
        )
        (self.folder / "sources.list").write_text("".join(lines), "utf-8")

    def _apt(self, *words: str, where: Path | None = None) -> str:
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise NotBuildable("apt-get and dpkg-deb make images, and are not here")
        options = {
            "Dir::State": self.folder / "state",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "Dir::Etc::SourceList": self.folder / "sources.list",
            "Dir::Etc::SourceParts": "-",
            "Acquire::Languages": "none",
            "APT::Architecture": ARCHITECTURE,
            "APT::Architectures::": ARCHITECTURE,
            # What apt's own user may not read it would fetch as root all the same.
            "APT::Sandbox::User": "root",
        }
        chosen = [f"-o{name}={value}" for name, value in options.items()]
        done = subprocess.run(  # noqa: S603  (our own words)
            ["apt-get", "-qq", *chosen, *words],  # noqa: S607  (as on the path)
            check=False,
            cwd=where or self.folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
        )
        if done.returncode:
            last = (done.stderr or done.stdout).strip()[-_LONGEST_OUTPUT:]
            raise NotFetched(f"apt-get {words[0]} failed:\n{last}")
        return done.stdout

    @staticmethod
    def _package(line: str) -> Package:
        """From ``'URL' NAME_VERSION_ARCHITECTURE.deb SIZE SHA256:HASH``."""
        _, file, _, checksum = line.split()
        kind, _, digest = checksum.partition(":")
        if kind != "SHA256":
            raise NotBuildable(f"{file}: the mirror gives no SHA-256")
        name, version, _ = file.split("_")
        return Package(name, version.replace("%3a", ":"), file, digest)


def unpack(file: Path, root: Path, leave_out: tuple[str, ...]) -> None:
    """Put the package's files into *root*, but for what is left out."""
    with (
        subprocess.Popen(  # noqa: S603  (our own words)
            ["dpkg-deb", "--fsys-tarfile", file],  # noqa: S607  (as on the path)
            stdout=subprocess.PIPE,
        ) as unpacking,
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive,
    ):
        archive.extractall(root, members=_wanted(archive, leave_out), filter="tar")
    if unpacking.returncode:
        raise NotBuildable(f"{file.name} cannot be unpacked")


def _wanted(
    archive: tarfile.TarFile, leave_out: tuple[str, ...]
) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        name = member.name.removeprefix("./")
        first, slash, rest = name.partition("/")
        if first in _MERGED:
            name = f"usr/{first}{slash}{rest}"
        if member.isdir() or any(fnmatchcase(name, one) for one in leave_out):
            continue
        member.name = name
        if member.islnk():
            raise NotBuildable(f"{name}: hard links are not expected in a package")
        yield member


def merge_usr(root: Path) -> None:
    """Make the links of a merged ``/usr``."""
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")


def _is_whole(file: Path, sha256: str) -> bool:
    if not file.exists():
        return False
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == sha256
