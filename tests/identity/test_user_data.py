"""User-data of a customer's host."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import urllib.request
from pathlib import Path
from unittest import SkipTest

import yaml
from attrs import asdict, evolve
from twisted.trial.unittest import SynchronousTestCase

from lae_localcloud.booter import ignition
from lae_localcloud.booter import unit as booter_unit
from lae_protocol.secret import Secret
from lae_provision.hosts.node_unit import unit
from lae_provision.hosts.program_change import ProgramState
from lae_provision.hosts.programs import CommandLaunch
from lae_provision.hosts.user_data import (
    LIMIT,
    HostSettings,
    UserDataTooLarge,
    user_data,
)
from tests.hosts.launches import IMAGE, LABEL, LARGEST, SSH_KEY

FURL = Secret("pb://" + "a" * 32 + "@daemon.example:7777/" + "b" * 32)
SETTINGS = HostSettings(
    metadata_url="http://169.254.169.254",
    aws_region="eu-central-1",
    s3_endpoint=None,
    log_format="json",
)
COMMAND = CommandLaunch(("/opt/s4/bin/twistd", "--nodaemon", "--pidfile=", "lae-node"))


def files(document: Secret) -> dict[str, str]:
    """The files of an Ignition document: path to content."""
    return {
        f["path"]: text(f["contents"])
        for f in json.loads(document.reveal())["storage"]["files"]
    }


def text(contents: dict[str, str]) -> str:
    """What a file holds, packed or not."""
    data: bytes = urllib.request.urlopen(contents["source"]).read()
    packed = contents.get("compression") == "gzip"
    return (gzip.decompress(data) if packed else data).decode()


class UserDataTests(SynchronousTestCase):
    def test_ignition_takes_it(self) -> None:
        """The real validator of Ignition accepts both forms of launch."""
        validator = shutil.which("ignition-validate")
        if validator is None:
            raise SkipTest("ignition-validate is not installed: apt install ignition")
        for number, launch in enumerate((COMMAND, IMAGE, LARGEST)):
            path = Path(self.mktemp() + str(number))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(user_data(SETTINGS, FURL, launch, LABEL).reveal())
            done = subprocess.run(
                [validator, path], capture_output=True, text=True, check=False
            )
            self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_same_bytes(self) -> None:
        """The same arguments give the same bytes: EC2 refuses a token with others."""
        first, second = (user_data(SETTINGS, FURL, IMAGE, LABEL) for _ in range(2))
        self.assertEqual(first, second)

    def test_one_secret_in_a_private_file(self) -> None:
        """The bootstrap furl stands in one file of mode 0600 and nowhere else; on a
        CoreOS the node's user owns it.
        """
        for launch, owner in ((COMMAND, None), (IMAGE, {"id": 10001})):
            document = user_data(SETTINGS, FURL, launch, LABEL)
            found = files(document)
            holding = [path for path, text in found.items() if FURL.reveal() in text]
            self.assertEqual(holding, ["/etc/s4/bootstrap.furl"])
            self.assertNotIn("pb://", document.reveal())
            entries = json.loads(document.reveal())["storage"]["files"]
            private = {
                f["path"]: f for f in entries if f["path"].startswith("/etc/s4/")
            }
            self.assertEqual(len(private), 2)
            for entry in private.values():
                self.assertEqual(entry["mode"], 0o600)
                self.assertEqual(entry.get("user"), owner)
                self.assertEqual(entry.get("group"), owner)

    def test_the_state_is_the_nodes_own(self) -> None:
        """On a CoreOS the node's user alone may enter the folder of its state, and root
        alone that of what stands, which is the image of the launch.
        """
        made = user_data(SETTINGS, FURL, IMAGE, LABEL)
        document = json.loads(made.reveal())
        owner = {"id": 10001}
        self.assertEqual(
            document["storage"]["directories"],
            [
                {"path": "/var/lib/s4", "mode": 0o700, "user": owner, "group": owner},
                {"path": "/etc/s4-program", "mode": 0o700},
            ],
        )
        stands = json.loads(files(made)["/etc/s4-program/state.json"])
        self.assertEqual(stands, asdict(ProgramState(IMAGE.image.text)))

    def test_scripts_are_whole(self) -> None:
        """What is packed is a program that a shell reads, with no mark left unfilled."""
        found = files(user_data(SETTINGS, FURL, LARGEST, LABEL))
        scripts = [one for one in found.values() if one.startswith("#!/bin/sh")]
        self.assertEqual(len(scripts), 3)
        for script in scripts:
            read = subprocess.run(["sh", "-n"], input=script, text=True, check=False)
            self.assertEqual(read.returncode, 0)
            self.assertNotRegex(script, "@[A-Z_]+@")

    def test_settings(self) -> None:
        """``node.yaml`` says where things are, and null where AWS itself is meant."""
        said = yaml.safe_load(
            files(user_data(SETTINGS, FURL, COMMAND, LABEL))["/etc/s4/node.yaml"]
        )
        self.assertEqual(said["process"], "node")
        self.assertEqual(said["aws_region"], "eu-central-1")
        self.assertIsNone(said["s3_endpoint"])

    def test_command(self) -> None:
        """The command runs in ``/`` with the settings' path relative to it."""
        lines = unit(COMMAND).splitlines()
        self.assertIn("WorkingDirectory=/", lines)
        self.assertIn(
            "ExecStart=/opt/s4/bin/twistd --nodaemon --pidfile= lae-node"
            " --config etc/s4/node.yaml",
            lines,
        )

    def test_booter_reads_it(self) -> None:
        """The local cloud's booter finds in it what was meant."""
        document = user_data(SETTINGS, FURL, COMMAND, LABEL)
        provision = ignition.parse(document.reveal().encode())
        ((name, contents),) = provision.units
        found = booter_unit.parse(name, contents)
        self.assertEqual(found.argv[: len(COMMAND.command)], COMMAND.command)
        self.assertEqual(found.argv[-2:], ("--config", "etc/s4/node.yaml"))
        self.assertEqual((found.working_directory, found.notifies), ("/", True))
        self.assertEqual((found.restart, found.stop_seconds), ("always", 20.0))
        bootstrap = {f.path: f for f in provision.files}["/etc/s4/bootstrap.furl"]
        self.assertEqual(bootstrap.data.decode().strip(), FURL.reveal())
        self.assertEqual(bootstrap.mode, 0o600)

    def test_odd_words(self) -> None:
        """A word with a space or a specifier reaches the program unchanged."""
        line = unit(CommandLaunch(("/my tools/twistd", "100%", "$HOME")))
        self.assertIn('ExecStart="/my tools/twistd" 100%% $$HOME --config', line)

    def test_a_booted_command_has_no_machine_to_keep(self) -> None:
        """What the local cloud runs as processes gets two files and one unit: no
        policy, no updates, no masks.
        """
        document = json.loads(user_data(SETTINGS, FURL, COMMAND, LABEL).reveal())
        self.assertEqual(len(document["storage"]["files"]), 2)
        self.assertEqual(len(document["systemd"]["units"]), 1)

    def test_the_largest_fits(self) -> None:
        """Two keys, an authority, a break-glass key and all settings leave room."""
        most = evolve(
            SETTINGS,
            s3_endpoint="http://" + "s" * 60,
            expire_leases_after_days=10_000,
            connections=1_000_000,
            connections_per_address=1_000_000,
        )
        size = len(user_data(most, FURL, LARGEST, LABEL).reveal())
        self.assertLess(size, LIMIT - 1024)
        self.assertLess(len(user_data(SETTINGS, FURL, IMAGE, LABEL).reveal()), 12_000)

    def test_too_large(self) -> None:
        """User-data of exactly EC2's limit is rendered; one byte more is refused here,
        with both sizes.
        """

        def rendered(size: int) -> Secret:
            # The key's comment is in the document as it is: a byte for each letter.
            key = f"{SSH_KEY} {'n' * size}"
            launch = evolve(LARGEST, break_glass_key=key)
            return user_data(SETTINGS, FURL, launch, LABEL)

        left = LIMIT - len(rendered(1).reveal()) + 1
        self.assertEqual(len(rendered(left).reveal()), LIMIT)
        error = self.assertRaises(UserDataTooLarge, rendered, left + 1)
        self.assertIn("16385", str(error))
        self.assertIn("16384", str(error))
