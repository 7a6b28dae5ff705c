"""Makes an image's files of Debian's packages and our wheels; the same bytes each time.

Three layers, so that new code moves few bytes: Debian's packages, PyPI's packages, and
our own wheel.  The first two are kept by what they are made of.

The image's own Python installs the wheels and compiles them, in the image's files as
its root and without a network: what it finds wrong, a host would find wrong.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path

from attrs import asdict, define, evolve

from lae_provision.deploy.source import digest_of, require_wheel
from lae_provision.hosts.programs import RELEASE_LABEL
from lae_provision.images import bill, debian, recipe
from lae_provision.images.debian import Apt, Package
from lae_provision.images.folder import Image, write_image
from lae_provision.images.layers import Layer, look, make_layer, unpack_layer
from lae_provision.images.manifest import make_config
from lae_provision.images.recipe import PREFIX, Base, NotBuildable, Recipe

_TIMEOUT = 900  # s
_LONGEST_OUTPUT = 1500  # characters
#: Where the image's Python finds what it installs; in no layer.
_WHEELS = "wheels"
_LIBRARY = f"{PREFIX}/lib"
_PIP = (
    *("install", "-q", "--disable-pip-version-check", "--no-compile", "--no-cache-dir"),
    *("--root-user-action=ignore", "--no-index", "--require-hashes", "--no-deps"),
)


@define(frozen=True)
class Wheels:
    """The wheels of one image: ours, PyPI's, and pip, which is in no image.

    *created* is the commit's time, in seconds.
    """

    ours: Path
    pypi: tuple[Path, ...]
    pip: Path
    created: int


def raise_if_not_here(base: Base) -> None:
    """Refuse a machine whose wheels are not the image's."""
    machine, python = platform.machine(), ".".join(platform.python_version_tuple()[:2])
    if machine != recipe.MACHINE:
        raise NotBuildable(
            f"images are made for {recipe.ARCHITECTURE} alone, and this machine is"
            f" {machine}: for it (arm64) no image is made"
        )
    if python != base.python:
        raise NotBuildable(
            f"the image has Debian {base.suite}'s Python {base.python}, and wheels are"
            f" made by {python} here: run this with python{base.python}"
        )


class Builder:
    """Makes images of one base, and keeps layers in *cache*."""

    def __init__(self, base: Base, cache: Path, mirror: str = debian.MIRROR) -> None:
        self._base, self._cache = base, cache
        for name in ("layers", "apt"):
            (cache / name).mkdir(parents=True, exist_ok=True)
        self._apt = Apt(cache / "apt", base, mirror)

    def build(
        self,
        wanted: Recipe,
        wheels: Wheels,
        into: Path,
        release: int,
        *,
        update: bool = True,
    ) -> Image:
        """Make the image of the number *release* in the new folder *into*.

        With *update*, Debian's newest packages are in it; else those that were the
        newest when somebody last looked here.

        1. Debian's packages, and what says which they are
        2. PyPI's packages, compiled
        3. ours, compiled, imported
        4. the documents; the list of all parts
        """
        raise_if_not_here(self._base)
        packages = self._apt.resolve(update=update)
        base = self._kept("base", [asdict(self._base), *map(asdict, packages)])
        below = [base.name, wanted.leave_out, *map(_identity, wheels.pypi)]
        deps = self._kept("packages", below)
        with tempfile.TemporaryDirectory(dir=self._cache, prefix="root-") as place:
            root = Root(Path(place))
            debians = self._layer(
                base, root, lambda: self._install_debian(packages, root)
            )
            pypis = self._layer(
                deps, root, lambda: self._install_pypi(wanted, wheels, root)
            )
            into.mkdir(parents=True)
            before = look(root.folder)
            root.install(wheels.pip, (wheels.ours,))
            root.compile((_LIBRARY,), wanted.warm)
            ours = make_layer(root.folder, before, into / "layer")
            told = root.list_components((*wheels.pypi, wheels.ours))
        layers = {
            f"Debian {self._base.suite}'s packages": debians,
            f"PyPI's packages of requirements/{wanted.requirements}.txt": pypis,
            f"{wheels.ours.name}": ours,
        }
        (into / "sbom.json").write_text(
            bill.add_debian(told, packages, self._base.suite), "utf-8"
        )
        labels = {
            "org.opencontainers.image.title": wanted.name,
            "org.opencontainers.image.version": wheels.ours.name.split("-")[1],
            RELEASE_LABEL: str(release),
        }
        config = make_config(wanted, layers, labels, wheels.created)
        return write_image(into, config, layers)

    def _install_debian(self, packages: tuple[Package, ...], root: Root) -> None:
        for package, file in zip(packages, self._apt.fetch(packages), strict=True):
            debian.unpack(file, root.folder, self._base.leave_out)
            root.note_package(package, file)
        root.finish_base(self._base)

    def _install_pypi(self, wanted: Recipe, wheels: Wheels, root: Root) -> None:
        root.install(wheels.pip, wheels.pypi)
        root.leave_out(wanted.leave_out)
        root.compile((_LIBRARY,), ())

    def _kept(self, what: str, made_of: object) -> Path:
        """Where a layer of these parts is kept, if it is."""
        code = [_identity(path) for path in sorted(_own_files())]
        same = json.dumps([made_of, code], sort_keys=True)
        key = hashlib.sha256(same.encode()).hexdigest()[:32]
        return self._cache / "layers" / f"{what}-{key}"

    def _layer(self, kept: Path, root: Root, make: Callable[[], None]) -> Layer:
        """Put the layer into *root*, from where it is kept or made anew."""
        facts = kept.with_suffix(".json")
        if facts.exists():
            unpack_layer(kept, root.folder)
            # Whoever clears the cache sees that it is used.
            facts.touch()
            return Layer(kept, **json.loads(facts.read_text("utf-8")))
        before = look(root.folder)
        make()
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix="new-") as place:
            layer = make_layer(root.folder, before, Path(place, "layer"))
            layer.file.replace(kept)
            told = asdict(layer)
            del told["file"]
            Path(place, "facts").write_text(json.dumps(told), "utf-8")
            Path(place, "facts").replace(facts)
        return evolve(layer, file=kept)


@define(frozen=True)
class Root:
    """The image's files, under construction."""

    folder: Path

    def note_package(self, package: Package, file: Path) -> None:
        """Say to scanners, as images without dpkg do, that a package is here."""
        about = subprocess.run(  # noqa: S603  (our own words)
            ["dpkg-deb", "--field", file],  # noqa: S607  (as on the path)
            check=True,
            capture_output=True,
            timeout=_TIMEOUT,
        )
        place = self.folder / "var/lib/dpkg/status.d" / package.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(about.stdout)

    def finish_base(self, base: Base) -> None:
        """Do what maintainer scripts would, and compile Python's own library."""
        debian.merge_usr(self.folder)
        for name in ("dev", "proc", "sys", "tmp", "run", "var/lib/s4", "etc/s4"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "usr/bin/python3").symlink_to(f"python{base.python}")
        authorities = sorted((self.folder / "usr/share/ca-certificates").rglob("*.crt"))
        bundle = b"".join(path.read_bytes() for path in authorities)
        user = recipe.USER
        self._write(
            {
                "etc/passwd": "root:x:0:0:root:/:/nologin\n"
                f"s4:x:{user}:{user}:S4:{recipe.STATE_FOLDER}:/nologin\n",
                "etc/group": f"root:x:0:\ns4:x:{user}:\n",
                "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
                "etc/os-release": f"ID=debian\nVERSION_CODENAME={base.suite}\n",
                "etc/ssl/certs/ca-certificates.crt": bundle.decode("ascii"),
            }
        )
        (self.folder / "usr/lib/ssl").mkdir(exist_ok=True)
        for name, to in (("certs", ""), ("cert.pem", "/ca-certificates.crt")):
            (self.folder / "usr/lib/ssl" / name).symlink_to(f"/etc/ssl/certs{to}")
        library = f"/usr/lib/python{base.python}"
        dynload = self.folder / f"{library[1:]}/lib-dynload"
        # Each module that is a library: what it is linked to must be here.
        modules = sorted(p.name.split(".")[0] for p in dynload.glob("*.so"))
        self.compile((library,), tuple(modules))

    def install(self, pip: Path, wheels: tuple[Path, ...]) -> None:
        """Let the image's Python install these, by their hashes and nothing else."""
        if not (self.folder / PREFIX[1:]).exists():
            self.run(("-m", "venv", "--without-pip", PREFIX), "/usr/bin/python3")
            for name in ("activate", "activate.csh", "activate.fish", "Activate.ps1"):
                (self.folder / PREFIX[1:] / "bin" / name).unlink(missing_ok=True)
        with self._lent((pip, *wheels)) as place:
            program = f"/{_WHEELS}/{pip.name}/pip"
            required = "".join(map(require_wheel, wheels))
            (place / "required.txt").write_text(required, "utf-8")
            found = ("--find-links", f"/{_WHEELS}", "-r", f"/{_WHEELS}/required.txt")
            self.run((program, *_PIP, *found))

    def leave_out(self, patterns: tuple[str, ...]) -> None:
        """Remove files, and folders that are empty then."""
        for path in sorted(self.folder.joinpath(PREFIX[1:]).rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                with suppress(OSError):
                    path.rmdir()
            elif any(fnmatchcase(str(path), pattern) for pattern in patterns):
                path.unlink()

    def compile(self, folders: tuple[str, ...], modules: tuple[str, ...]) -> None:
        """Compile what is below *folders*, and import *modules*."""
        self.run(("-", ":".join(folders), *modules), script="compile_all")

    def list_components(self, wheels: tuple[Path, ...]) -> str:
        """The list of what Python has installed (CycloneDX)."""
        with self._lent(()) as place:
            hashes = "".join(map(require_wheel, wheels))
            (place / "required.txt").write_text(hashes, "utf-8")
            return self.run(("-", f"/{_WHEELS}/required.txt"), script="sbom")

    def run(
        self, words: tuple[str, ...], python: str = "", script: str | None = None
    ) -> str:
        """Run the image's Python, alone: these files as root, no network."""
        become = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        python = python or self._python()
        done = subprocess.run(  # noqa: S603  (our own words)
            [
                *("unshare", *become, "--mount", "--net", "--pid", "--fork"),
                *("--kill-child", f"--root={self.folder}", "--wd=/", python, *words),
            ],
            check=False,
            env={"LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "HOME": "/tmp"},  # noqa: S108
            input=_SCRIPTS[script]() if script else b"",
            capture_output=True,
            timeout=_TIMEOUT,
        )
        if done.returncode:
            last = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
            raise NotBuildable(f"the image's Python failed:\n{last[-_LONGEST_OUTPUT:]}")
        return done.stdout.decode("utf-8")

    def _python(self) -> str:
        ours = f"{PREFIX}/bin/python"
        return ours if (self.folder / PREFIX[1:]).exists() else "/usr/bin/python3"

    def _write(self, texts: Mapping[str, str]) -> None:
        for name, text in texts.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    @contextmanager
    def _lent(self, wheels: tuple[Path, ...]) -> Iterator[Path]:
        """Lend files to the image's Python for a while."""
        place = self.folder / _WHEELS
        place.mkdir()
        try:
            for wheel in wheels:
                shutil.copyfile(wheel, place / wheel.name)
            yield place
        finally:
            shutil.rmtree(place)


_SCRIPTS: dict[str, Callable[[], bytes]] = {
    "compile_all": lambda: _script("lae_provision.images.in_root", "compile_all"),
    "sbom": lambda: _script("lae_provision.deploy.on_host", "sbom"),
}


def _script(package: str, name: str) -> bytes:
    return files(package).joinpath(f"{name}.py").read_bytes()


def _own_files() -> list[Path]:
    here = Path(__file__).parent
    return [p for p in here.rglob("*.py") if p.stem in _MAKING]


#: Whose text decides what is in a layer.
_MAKING = frozenset({"building", "compile_all", "debian", "layers", "recipe"})


def _identity(file: Path) -> str:
    return f"{file.name} {digest_of(file)}"
