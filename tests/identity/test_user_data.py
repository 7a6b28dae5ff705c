"""User-data of a customer's host."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from pathlib import Path
from unittest import SkipTest

import yaml
from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from lae_localcloud.booter import ignition
from lae_localcloud.booter import unit as booter_unit
from lae_protocol.secret import Secret
from lae_provision.hosts.user_data import (
    LIMIT,
    CommandLaunch,
    HostSettings,
    ImageLaunch,
    UserDataTooLarge,
    unit,
    user_data,
)

FURL = Secret("pb://" + "a" * 32 + "@daemon.example:7777/" + "b" * 32)
SETTINGS = HostSettings(
    metadata_url="http://169.254.169.254",
    aws_region="eu-central-1",
    s3_endpoint=None,
    log_format="json",
)
COMMAND = CommandLaunch(("/opt/s4/bin/twistd", "--nodaemon", "--pidfile=", "lae-node"))
IMAGE = ImageLaunch(
    "1.dkr.ecr.eu-central-1.amazonaws.com/s4@sha256:" + "0" * 64,
    ("/usr/local/bin/ecr-login",),
)


def files(document: Secret) -> dict[str, str]:
    """The files of an Ignition document: path to content."""
    return {
        f["path"]: urllib.request.urlopen(f["contents"]["source"]).read().decode()
        for f in json.loads(document.reveal())["storage"]["files"]
    }


class UserDataTests(SynchronousTestCase):
    def test_ignition_takes_it(self) -> None:
        """The real validator of Ignition accepts both forms of launch."""
        validator = shutil.which("ignition-validate")
        if validator is None:
            raise SkipTest("ignition-validate is not installed: apt install ignition")
        for number, launch in enumerate((COMMAND, IMAGE)):
            path = Path(self.mktemp() + str(number))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(user_data(SETTINGS, FURL, launch).reveal())
            done = subprocess.run(
                [validator, path], capture_output=True, text=True, check=False
            )
            self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_same_bytes(self) -> None:
        """The same arguments give the same bytes: EC2 refuses a token with others."""
        first, second = (user_data(SETTINGS, FURL, IMAGE) for _ in range(2))
        self.assertEqual(first, second)

    def test_one_secret_in_a_private_file(self) -> None:
        """The bootstrap furl stands in one file of mode 0600 and nowhere else."""
        document = user_data(SETTINGS, FURL, COMMAND)
        found = files(document)
        holding = [path for path, text in found.items() if FURL.reveal() in text]
        self.assertEqual(holding, ["/etc/s4/bootstrap.furl"])
        self.assertNotIn("pb://", document.reveal())
        modes = {f["mode"] for f in json.loads(document.reveal())["storage"]["files"]}
        self.assertEqual(modes, {0o600})

    def test_settings(self) -> None:
        """``node.yaml`` says where things are, and null where AWS itself is meant."""
        said = yaml.safe_load(
            files(user_data(SETTINGS, FURL, COMMAND))["/etc/s4/node.yaml"]
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
        document = user_data(SETTINGS, FURL, COMMAND)
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

    def test_image_by_digest_alone(self) -> None:
        """An image that is named by a tag is refused."""
        self.assertRaises(ValueError, ImageLaunch, "registry.example/s4:latest")
        self.assertIn(IMAGE.image, unit(IMAGE))
        self.assertIn("ExecStartPre=/usr/local/bin/ecr-login", unit(IMAGE))

    def test_too_large(self) -> None:
        """User-data that EC2 would refuse is refused here, with both sizes."""
        fitting = user_data(SETTINGS, FURL, COMMAND)
        self.assertLess(len(fitting.reveal()), LIMIT // 4)
        huge = evolve(SETTINGS, metadata_url="http://" + "m" * LIMIT)
        error = self.assertRaises(UserDataTooLarge, user_data, huge, FURL, COMMAND)
        self.assertIn("16384", str(error))
