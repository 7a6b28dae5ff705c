"""The images of this tree: what is in them, and what they do as a host runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lae_localcloud.images import RELEASE, ROOT, cache_folder, image_of_tree
from lae_provision.images.building import Builder, raise_if_not_here
from lae_provision.images.folder import Image
from lae_provision.images.recipe import NotBuildable, read_base, read_recipe
from lae_provision.images.wheels import wheels_of_tree
from tests.images.whole_service import run_whole
from tests.supply.pins import read_pins

RECIPES = ROOT / "config" / "containers"
#: A first build takes minutes on a busy machine, and another one may be waited for.
pytestmark = pytest.mark.timeout(900)

MOST = 90_000_000  # bytes, compressed
USER = "10001:10001"


def run(
    root: Path, *words: str, seconds: float = 60.0, **settings: Any
) -> subprocess.CompletedProcess[str]:
    """Run this in the image: its user, its files as root and read-only, no network.

    Whoever is not root here is root there, and no other user.
    """
    is_root = os.geteuid() == 0
    inner = (
        f"mount --bind {root} {root} && mount -o remount,ro,bind {root}"
        f" && exec chroot {f'--userspec={USER}' if is_root else ''} {root}"
        ' "$@"'
    )
    become = () if is_root else ("--map-root-user",)
    return subprocess.run(
        ["unshare", *become, "--net", "--mount", "sh", "-c", inner, "sh", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
        env={"PATH": os.environ["PATH"]},
        **settings,
    )


def parts_listed(image: Image) -> set[tuple[str, str]]:
    """Name and version of each part of the image."""
    told = json.loads((image.folder / "sbom.json").read_text("utf-8"))
    return {(c["name"], c["version"]) for c in told["components"]}


def test_the_node_is_small(node_image: Image) -> None:
    """A host pulls at most 90 MB, and for new code alone a twentieth of that."""
    assert node_image.size <= MOST
    assert node_image.layers[-1].size <= MOST / 20


def test_the_image_says_how_it_is_run(node_image: Image) -> None:
    """A numeric user, the node's command, its health check, its signal, and the number
    of its release.
    """
    told = json.loads(node_image.config.data)
    assert (told["architecture"], told["os"]) == ("amd64", "linux")
    run_as = told["config"]
    assert run_as["User"] == USER
    assert run_as["Entrypoint"][-1] == "lae-node"
    assert run_as["StopSignal"] == "SIGTERM"
    assert run_as["Labels"]["s4.release"] == str(RELEASE)
    assert run_as["Healthcheck"]["Test"][:2] == ["CMD", "/opt/s4/bin/python"]


def test_nobody_becomes_root_and_no_shell_is_there(node_root: Path) -> None:
    """No setuid bit, no shell, no package manager; all programs are Python's."""
    files = [p for p in node_root.rglob("*") if p.is_file() and not p.is_symlink()]
    assert [p for p in files if p.stat().st_mode & 0o6000] == []
    programs = {p.name for p in (node_root / "usr/bin").iterdir()}
    assert programs == {"python3", "python3.11"}
    assert not list((node_root / "usr/sbin").iterdir())


def test_the_bill_names_debians_and_pypis_packages(node_image: Image) -> None:
    """Each package of the base, and each of ``requirements/node.txt`` that is for this
    Python, and no other.
    """
    listed = parts_listed(node_image)
    debian = set(read_base(RECIPES).packages)
    assert debian <= {name for name, _ in listed}
    pinned = {
        pin.name: pin.version for pin in read_pins(ROOT / "requirements/node.txt")
    }
    found = {name: version for name, version in listed if name not in debian}
    assert found.items() <= pinned.items()
    assert not {"stripe", "sqlalchemy", "txaws"} & found.keys()


def test_the_node_starts_and_says_what_it_lacks(node_root: Path) -> None:
    """With nothing to write to and no settings, its user gets one line."""
    told = run(
        node_root,
        *("/opt/s4/bin/twistd", "--nodaemon", "--pidfile=", "--logfile=-"),
        *("lae-node", "--config", "/etc/s4/node.yaml"),
    )
    assert told.returncode == 1
    assert "/etc/s4/node.yaml: No such file or directory" in told.stdout
    assert "dropin" not in told.stderr + told.stdout


def test_a_start_compiles_nothing(node_root: Path) -> None:
    """Each module that a node imports comes from bytecode, read without its source."""
    told = run(
        node_root,
        *("/opt/s4/bin/python", "-v", "-c", "import lae_storage.shares"),
    )
    assert told.returncode == 0
    assert "code object from" in told.stderr
    assert not re.findall(r"code object from '.*\.py'", told.stderr)


def test_the_health_check_runs_in_the_image(node_image: Image, node_root: Path) -> None:
    """As configured it starts, and a host without a claim is not well."""
    words = json.loads(node_image.config.data)["config"]["Healthcheck"]["Test"][1:]
    told = run(node_root, *words)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == "the host has not claimed its identity yet\n"


def test_two_builds_are_one_image(node_image: Image, tmp_path: Path) -> None:
    """Made again from the same files of Debian and PyPI, without a layer that was kept,
    it has the same digest.
    """
    kept = cache_folder()
    for name in ("apt", "wheelhouse"):
        (tmp_path / "cache").mkdir(exist_ok=True)
        (tmp_path / "cache" / name).symlink_to(kept / name)
    wheels = wheels_of_tree(ROOT, "node", tmp_path / "wheel", kept / "wheelhouse")
    builder = Builder(read_base(RECIPES), tmp_path / "cache")
    made = builder.build(
        read_recipe(RECIPES, "node"), wheels, tmp_path / "image", RELEASE, update=False
    )
    assert [layer.diff_id for layer in made.layers] == [
        layer.diff_id for layer in node_image.layers
    ]
    assert made.digest == node_image.digest
    assert (made.folder / "sbom.json").read_bytes() == (
        node_image.folder / "sbom.json"
    ).read_bytes()


def test_an_image_is_built_once(node_image: Image) -> None:
    """Whoever asks again for the same tree gets what was built."""
    assert image_of_tree("node").folder == node_image.folder


@pytest.mark.parametrize(
    ("machine", "python", "words"),
    [
        ("aarch64", "3.11.2", "amd64 alone.*aarch64.*arm64"),
        ("x86_64", "3.13.0", "Python 3.11, and wheels are made by 3.13"),
    ],
)
def test_another_machine_makes_no_image(
    machine: str, python: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another architecture is refused by name, and so is another Python."""
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.python_version_tuple", lambda: python.split("."))
    with pytest.raises(NotBuildable, match=words):
        raise_if_not_here(read_base(RECIPES))


@pytest.mark.parametrize("plugin", ["lae-site", "lae-flapp"])
def test_site_and_daemon_start_in_the_service_image(
    service_image: Image, service_root: Path, plugin: str
) -> None:
    """Read-only and as its user, each says in one line that it has no settings; txAWS
    is not translated again.
    """
    assert service_image.size <= MOST
    entry = json.loads(service_image.config.data)["config"]["Entrypoint"]
    told = run(service_root, *entry, plugin, "--config", "/etc/s4/none.yaml")
    assert told.returncode == 1
    assert "/etc/s4/none.yaml: No such file or directory" in told.stdout
    words = json.loads(service_image.config.data)["config"]["Healthcheck"]["Test"][1:]
    assert run(service_root, *words).returncode == 1
    ask = "import lae_provision.txaws3.clients, sys; print('fissix' in sys.modules)"
    told = run(service_root, "/opt/s4/bin/python", "-c", ask)
    assert (told.stdout, told.stderr) == ("False\n", "")


def test_site_and_daemon_run_in_the_service_image(
    service_image: Image, service_root: Path, tmp_path: Path
) -> None:
    """Started as containers are, the daemon keeps a journal and the site serves its
    pages with what the daemon answers; the health check is content with both, and
    both end when they are told to.
    """
    entry = json.loads(service_image.config.data)["config"]["Entrypoint"]
    tmp_path.chmod(0o755)
    seen = run_whole(service_root, tmp_path, entry)
    told = seen["told"]
    assert [told[page][0] for page in ("/", "/signup", "/health")] == [200, 200, 200]
    assert "€39.00 a month" in told["/"][1]
    site = json.loads(told["/health"][1])
    assert site["daemon"]["answers"]
    assert site["daemon"]["release"] == site["release"]
    assert (told["daemon"], told["site"]) == ("0", "0")
    assert (tmp_path / "state/daemon/journal/journal.sqlite").exists()
    assert set(seen["ended"]) <= {0, -signal.SIGTERM}
