"""What the agent keeps on the volume, and the folders made from it."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
from allmydata.client import read_config
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lae_protocol.host_messages import Claimed, StoragePlace
from lae_protocol.secret import Secret
from lae_provision.identity.keys import at_generation
from lae_storage.agent.volume import Volume, VolumeDamaged, write_private
from lae_storage.folders import write_folders
from lae_storage.health import say_problem


def contents(folder: Path) -> dict[str, str]:
    """Every file below *folder*: its text by its relative path."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.usefixtures("host_doubles")
class VolumeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.volume = Volume(Path(self.mktemp()) / "var" / "lib" / "s4")

    def claimed(self) -> Claimed:
        place = StoragePlace("bucket", "eu-central-1", None, 10**9)
        return Claimed(self.an_identity(), place, Secret("pb://host"))

    def test_key_is_kept(self) -> None:
        """The key that a claim was bound to is the same after a restart."""
        first = self.volume.agent_key().private_bytes_raw()
        again = Volume(self.volume.folder).agent_key().private_bytes_raw()
        self.assertEqual(first, again)

    def test_claim_is_kept(self) -> None:
        """What was claimed is there after a restart, whole."""
        self.volume.agent_key()
        self.assertIsNone(self.volume.claimed())
        claimed = self.claimed()
        self.volume.keep(claimed)
        self.assertEqual(Volume(self.volume.folder).claimed(), claimed)

    def test_the_health_check_reads_the_claim(self) -> None:
        """The check has no code of ours, and finds the port of what was kept."""
        self.volume.agent_key()
        claimed = self.claimed()
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = f"tcp:{closed.getsockname()[1]}:interface=127.0.0.1"
        tub = evolve(claimed.identity.introducer, port=port)
        identity = evolve(claimed.identity, introducer=tub)
        self.volume.keep(evolve(claimed, identity=identity))
        self.assertIn("does not answer", str(say_problem(self.volume.folder)))

    def test_nobody_else_reads_it(self) -> None:
        """Every file is 0600 and every folder 0700, whatever the umask is."""
        self.volume.agent_key()
        claimed = self.claimed()
        self.volume.keep(claimed)
        write_folders(self.volume, claimed.identity, self.volume.count_start())
        for path in [self.volume.folder, *self.volume.folder.rglob("*")]:
            wanted = 0o700 if path.is_dir() else 0o600
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), wanted, path)

    def test_damage_is_named(self) -> None:
        """A damaged file is an error that names the file and not its content."""
        self.volume.agent_key()
        for name in ("agent-key", "claimed.json", "starts"):
            write_private(self.volume.folder / name, "pb://secret")
        for read in (
            self.volume.agent_key,
            self.volume.claimed,
            self.volume.count_start,
        ):
            error = self.assertRaises(VolumeDamaged, read)
            self.assertNotIn("secret", str(error))

    def test_half_written_file_is_none(self) -> None:
        """A write that never ended leaves what was there before."""
        self.volume.agent_key()
        write_private(self.volume.folder / "starts", "7")
        (self.volume.folder / "starts.new").write_text("")
        self.assertEqual(self.volume.count_start(), 8)


@pytest.mark.usefixtures("host_doubles")
class FoldersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.identity = self.an_identity()

    def folders(self, identity: object, start: int = 1) -> dict[str, str]:
        volume = Volume(Path(self.mktemp()))
        volume.agent_key()
        write_folders(volume, identity, start)
        return {k: v for k, v in contents(volume.folder).items() if k != "agent-key"}

    def test_replacement_is_byte_equal(self) -> None:
        """The next generation's folders differ in the announcement's number alone."""
        first = self.folders(self.identity)
        second = self.folders(
            at_generation(self.identity, self.identity.generation + 1)
        )
        different = {name for name in first if first[name] != second[name]}
        self.assertEqual(first.keys(), second.keys())
        self.assertEqual(different, {"storage/announcement-seqnum"})

    def test_number_grows_over_starts_and_generations(self) -> None:
        """Each start announces with a higher number than all starts before it."""
        successor = at_generation(self.identity, self.identity.generation + 1)
        numbers = [
            int(self.folders(identity, start)["storage/announcement-seqnum"])
            for identity in (self.identity, successor)
            for start in (1, 2, 50_000)
        ]
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_damaged_furl_file_is_mended(self) -> None:
        """A furl file that a dying Tahoe-LAFS left empty is whole at the next start."""
        volume = Volume(Path(self.mktemp()))
        volume.agent_key()
        write_folders(volume, self.identity, 1)
        furl = volume.storage / "private" / "storage.furl"
        whole = furl.read_text()
        furl.write_text("")
        write_folders(volume, self.identity, 2)
        self.assertEqual(furl.read_text(), whole)

    @settings(max_examples=50)
    @given(st.text())
    def test_any_nickname(self, nickname: str) -> None:
        """No nickname can add a section or an option to the configuration."""
        volume = Volume(Path(self.mktemp()))
        volume.agent_key()
        write_folders(volume, evolve(self.identity, nickname=nickname), 1)
        config = read_config(str(volume.storage), "client.port")
        self.assertEqual(config.nickname, " ".join(nickname.split()))
        self.assertEqual(
            config.get_config("node", "tub.location"), self.identity.storage.location
        )
