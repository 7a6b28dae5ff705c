"""``lae-storage`` on a real S3 server, as a customer who leaves uses it."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from allmydata.storage.server import StorageServer
from click.testing import CliRunner

from lae_storage.command import main
from lae_storage.offline.upstream_files import find, open_share

KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLEEXAMPLE00",
    "AWS_SECRET_ACCESS_KEY": "an-example-secret",
}


def _run(
    endpoint: str, bucket: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    place = ["--bucket", bucket, "--endpoint", endpoint]
    return subprocess.run(
        [sys.executable, "-m", "lae_storage.command", *place, *arguments],
        env={**os.environ, **KEYS},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.end_to_end
def test_a_customer_leaves_and_comes_back(
    grid: Callable[..., tuple[Any, Any]], seaweed: Any, tmp_path: Path
) -> None:
    """What a client stored is checked, counted, exported to upstream's server, and
    imported into another bucket.
    """
    node, client = grid()
    client.until(lambda: client.store(os.urandom(30_000_000)))
    client.store(os.urandom(3000))
    client.store(b"a slot", "SDMF")
    client.store(os.urandom(4_000_000), "MDMF")
    node.process.terminate()
    node.process.wait()

    checked = _run(node.endpoint, node.bucket, "check", "--data")
    assert (checked.returncode, checked.stderr) == (0, "")
    counts = dict(line.rsplit(maxsplit=1) for line in checked.stdout.splitlines())
    assert counts["immutable shares"] == counts["mutable shares"] == "2"
    used = _run(node.endpoint, node.bucket, "usage")
    assert used.returncode == 0
    (received,) = (x for x in used.stdout.splitlines() if x.startswith("received"))
    assert int(received.split()[1]) > 34_000_000

    exported = _run(node.endpoint, node.bucket, "export", str(tmp_path / "out"))
    assert (exported.returncode, exported.stderr) == (0, "")
    server = StorageServer(str(tmp_path / "out/storage"), b"n" * 20)
    shares = [open_share(path) for path in find(tmp_path / "out")]
    assert len(shares) == 4
    assert all(list(server.get_shares(s.name.storage_index)) for s in shares)

    other = f"other-{uuid.uuid4().hex}"
    seaweed.make_bucket(other)
    imported = _run(node.endpoint, other, "import", str(tmp_path / "out"))
    assert (imported.returncode, imported.stderr) == (0, "")
    again = _run(node.endpoint, other, "check", "--data")
    assert again.returncode == 0
    for line in ("immutable shares", "mutable shares", "leases"):
        assert [x for x in again.stdout.splitlines() if x.startswith(line)] == [
            x for x in checked.stdout.splitlines() if x.startswith(line)
        ]
    assert _run(node.endpoint, other, "repair").returncode == 0


@pytest.mark.end_to_end
def test_what_is_wrong_ends_with_its_number(seaweed: Any) -> None:
    """An empty bucket is a problem (1), one that is not there an error (2)."""
    empty = f"empty-{uuid.uuid4().hex}"
    seaweed.make_bucket(empty)
    checked = _run(seaweed.endpoint, empty, "check")
    assert checked.returncode == 1
    assert "no node has opened" in checked.stderr
    gone = _run(seaweed.endpoint, "no-such-bucket-here", "check")
    assert gone.returncode == 2
    assert gone.stderr.startswith("Error: ")
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in gone.stderr + gone.stdout


def test_keys_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys in the environment the command says which is missing."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    done = CliRunner().invoke(main, ["--bucket", "b", "check"])
    assert done.exit_code == 2
    assert "AWS_ACCESS_KEY_ID" in done.output


@pytest.mark.parametrize("nodeid", ["short", "ä" * 32, "1" * 32])
def test_a_nodeid_that_is_none(nodeid: str, tmp_path: Path) -> None:
    """It is said before anything is asked or written."""
    arguments = ["--bucket", "b", "export", str(tmp_path / "out"), "--nodeid", nodeid]
    done = CliRunner(env=KEYS).invoke(main, arguments)
    assert done.exit_code == 2
    assert "not a TubID" in done.output
    assert not (tmp_path / "out").exists()
