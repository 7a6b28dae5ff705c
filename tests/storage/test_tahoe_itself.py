"""``tahoe`` itself, unmodified: a backup of this checkout, checks, repairs, leaving."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from allmydata import uri
from attrs import define

from lae_storage.server.keys import si_text
from tests.client_tahoe import start_tahoe, tahoe
from tests.forks import Forked
from tests.storage.conftest import (
    ACCESS_KEY,
    SECRET_KEY,
    free_ports,
)

pytestmark = pytest.mark.end_to_end
CHECKOUT = Path(__file__).parents[2]
GRID = Callable[..., tuple[Any, Any]]
#: What of the checkout is backed up: as much as there is time for in `make test`.
BACKED_UP = ("lae_storage", "docs")


@define
class PlainNode:
    """Upstream's own storage node on a disk, of the customer's environment."""

    folder: Path
    process: Forked | None = None

    def create(self) -> None:
        """Make its folder."""
        port = free_ports(1)[0]
        where = [
            f"--port=tcp:{port}:interface=127.0.0.1",
            f"--location=tcp:127.0.0.1:{port}",
        ]
        tahoe("create-node", "--webport=none", *where, self.folder).check_returncode()

    def start(self, client: Any) -> None:
        """Start it; it serves when this returns."""
        with (self.folder / "run.log").open("wb") as log:
            self.process = start_tahoe(
                "run", "--allow-stdin-close", self.folder, log=log
            )
        client.until(self.found)

    def found(self) -> dict[str, Any]:
        """What a client needs to find it."""
        furl = (self.folder / "private/storage.furl").read_text().strip()
        key = (self.folder / "node.pubkey").read_text().strip()
        return {key.removeprefix("pub-"): {"ann": {"anonymous-storage-FURL": furl}}}

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[PlainNode]:
    """Upstream's node, not made yet."""
    node = PlainNode(tmp_path / "plain")
    yield node
    node.stop()


def _copy_of_this_checkout(to: Path, *folders: str) -> int:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *folders],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    names = [name for name in listed.stdout.split("\0") if name]
    for name in names:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / name, to / name)
    return len(names)


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("foolscap", [False, True], ids=["gbs", "foolscap"])
def test_a_backup_is_restored(grid: GRID, tmp_path: Path, foolscap: bool) -> None:
    """A tree of this checkout, backed up, is restored byte by byte, from a new host;
    a second backup stores nothing again; and all of it is well, and leased.
    """
    node, client = grid(foolscap=foolscap)
    source, restored = tmp_path / "source", tmp_path / "restored"
    number = _copy_of_this_checkout(source, *BACKED_UP)
    assert number > 50
    client.find_node()
    client.tahoe("create-alias", "home")
    said = client.tahoe("backup", "-v", source, "home:")
    assert f"{number} files uploaded (0 reused)" in said
    node.lose_host()
    node.start()
    client.find_node()
    said = client.tahoe("backup", "-v", source, "home:")
    assert f"0 files uploaded ({number} reused)" in said
    client.tahoe("cp", "-r", "home:Latest", restored)
    assert _tree(restored / "Latest") == _tree(source)
    said = client.tahoe("deep-check", "--verify", "--add-lease", "--repair", "home:")
    assert "0 unhealthy" in said


@define(frozen=True)
class Kept:
    """A file in the client's directory, and where its shares are in the bucket."""

    cap: str
    data: bytes

    def key(self) -> str:
        """The object of its share here."""
        known = uri.from_string(self.cap)
        index = si_text(known.get_storage_index())
        return f"mutable/{index}" if known.is_mutable() else f"immutable/{index}"


def _fill(client: Any) -> dict[str, Kept]:
    """A directory with a file of each kind, by their names."""
    contents = {
        "lost": os.urandom(2_000_000),
        "lost-later": os.urandom(300_000),
        "damaged": os.urandom(300_000),
        "well": os.urandom(5000),
        "lost-sdmf": b"a mutable file" * 100,
        "large-mdmf": os.urandom(3_000_000),
    }
    client.find_node()
    client.tahoe("create-alias", "home")
    kept = {}
    for name, data in contents.items():
        kind = name[-4:] if name.endswith("dmf") else "chk"
        cap = client.ask(
            "PUT", f"/uri/{client.home()}/{name}?format={kind}", data
        ).decode()
        kept[name] = Kept(cap, data)
    return kept


def _objects(s3: Any, bucket: str) -> set[str]:
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    return {o["Key"] for o in listed}


def _is_well(said: str, name: str) -> bool:
    return (
        said.split(f"'{name}': ")[1]
        .split("\n", maxsplit=1)[0]
        .lower()
        .startswith("healthy")
    )


def _checked(client: Any) -> str:
    """A check's words, when the client has its nodes again."""
    client.find_node()
    said: str = client.tahoe("deep-check", "--verify", "-v", "home:")
    assert _is_well(said, "well")
    return said


@pytest.fixture
def on_two(
    grid: GRID, tmp_path: Path, plain: PlainNode
) -> Iterator[tuple[Any, Any, PlainNode]]:
    """Our node, a plain one beside it, and a client of both; shares on each.  What is
    deleted behind the node's back it may believe to be gone: the bucket is not young.
    """
    node, first = grid("grown")
    client = type(first)(tmp_path / "two")
    plain.create()
    plain.start(first)
    client.start(node.found | plain.found(), foolscap=False, shares=2)
    yield node, client, plain
    client.stop()


def test_what_was_lost_in_the_bucket_is_repaired(
    on_two: tuple[Any, Any, PlainNode], seaweed: Any
) -> None:
    """What was deleted or damaged behind the node's back a check finds; a repair from
    upstream's node beside ours writes what was lost into the bucket again.
    """
    node, client, plain = on_two
    s3 = seaweed.client()
    kept = _fill(client)
    assert "0 unhealthy" in client.tahoe("deep-check", "--verify", "home:")
    here = _objects(s3, node.bucket)
    keys = {n: k for n in kept for k in here if k.startswith(kept[n].key())}
    assert keys.keys() == kept.keys()
    # Nothing is in memory of a new host.
    node.lose_host()
    for name in ("lost", "lost-sdmf"):
        s3.delete_object(Bucket=node.bucket, Key=keys[name])
    got = s3.get_object(Bucket=node.bucket, Key=keys["damaged"])
    data = bytearray(got["Body"].read())
    data[1000] ^= 1
    node.start()
    # These are in the new host's index.
    s3.delete_object(Bucket=node.bucket, Key=keys["lost-later"])
    s3.put_object(Bucket=node.bucket, Key=keys["damaged"], Body=bytes(data))

    said = _checked(client)
    wrong = {name for name in kept if not _is_well(said, name)}
    assert wrong == {"lost", "lost-sdmf", "lost-later", "damaged"}
    assert said.count(" corrupt: server") == 1
    said = client.tahoe("deep-check", "--verify", "--add-lease", "--repair", "home:")
    # An immutable share that is there and damaged nobody overwrites, as on a disk:
    # it must be deleted first, and what the node has of it in memory be gone.
    assert "4 repairs attempted, 3 successful, 1 failed" in said
    s3.delete_object(Bucket=node.bucket, Key=keys["damaged"])
    node.lose_host()
    node.start()
    _checked(client)
    said = client.tahoe("deep-check", "--verify", "--add-lease", "--repair", "home:")
    assert "1 repairs attempted, 1 successful, 0 failed" in said
    assert "0 unhealthy" in client.tahoe("deep-check", "--verify", "home:")
    # Which number a share has is the client's to choose.
    here = _objects(s3, node.bucket)
    assert all(any(k.startswith(f.key()) for k in here) for f in kept.values())
    plain.stop()
    for file in kept.values():
        assert client.ask("GET", f"/uri/{file.cap}") == file.data


def _lae_storage(node: Any, *words: str | Path) -> str:
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    done = subprocess.run(
        [
            CHECKOUT / ".venv/bin/lae-storage",
            *("--bucket", node.bucket, "--endpoint", node.endpoint),
            *words,
        ],
        env=os.environ | keys,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def test_leaving_with_tahoe_alone(
    grid: GRID, tmp_path: Path, seaweed: Any, plain: PlainNode
) -> None:
    """What is exported, upstream's own node serves under the node's furl to a client
    that goes on running: all can be read, checked, leased and changed; and of a file
    that was lost in the bucket a check says so before.
    """
    node, client = grid()
    kept = _fill(client)
    node.lose_host()
    lost = kept.pop("lost")
    seaweed.client().delete_object(Bucket=node.bucket, Key=f"{lost.key()}/0")
    node.start()
    said = _checked(client)
    assert "'lost': Not Healthy: 0 shares (enc 1-of-1)" in said
    assert f"{len(kept) + 1} healthy, 1 unhealthy" in said

    tubid = (node.folder / "private/storage.furl").read_text()[5:37]
    node.kill()
    said = _lae_storage(node, "export", "--nodeid", tubid, plain.folder)
    assert "mutable" in said
    for name in ("private", "tahoe.cfg", "permutation-seed", "node.pubkey"):
        copy = shutil.copytree if name == "private" else shutil.copyfile
        copy(node.folder / name, plain.folder / name)
    plain.start(client)
    _checked(client)
    for file in kept.values():
        assert client.ask("GET", f"/uri/{file.cap}") == file.data
    for name in ("lost-sdmf", "large-mdmf"):
        client.ask("PUT", f"/uri/{kept[name].cap}", b"changed on a disk")
        assert client.ask("GET", f"/uri/{kept[name].cap}") == b"changed on a disk"
    client.ask("DELETE", f"/uri/{client.home()}/lost")
    said = client.tahoe("deep-check", "--verify", "--add-lease", "--repair", "home:")
    assert f"pre-repair: {len(kept) + 1} healthy, 0 unhealthy" in said
