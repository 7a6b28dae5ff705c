"""``lae image`` as an operator types it, against a local cloud."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from attrs import define

from lae_flapp.journal import hosts, images
from lae_protocol.ids import Generation
from tests.account.conftest import settings_in
from tests.deploy.conftest import git
from tests.images.small import small_image
from tests.journal.conftest import Desk
from tests.twins.journal import answer

LAE = Path(sys.executable).with_name("lae")
KEY = "alias/image-commands"


@define
class Machine:
    """The daemon's machine: settings, a journal, an administrator's keys."""

    facts: dict[str, Any]
    folder: Path
    settings: dict[str, Any]

    @property
    def registry(self) -> str:
        name: str = self.facts["registry"]["name"]
        return name

    def program(self, **program: Any) -> None:
        authority = self.facts["registry"]["authority"]
        held = {"registry_ca": authority, "ecr_endpoint": self.facts["aws_endpoint"]}
        self.settings["cells"][0]["program"] = {**held, **program}

    def listed(self) -> list[dict[str, Any]]:
        told = json.loads(self.image("list", "node", "--json")[0])
        images: list[dict[str, Any]] = told["images"]
        return images

    def image(self, *words: str, code: int = 0) -> tuple[str, str]:
        """What ``lae image`` prints, and says."""
        config = self.folder / "daemon.yaml"
        config.write_text(yaml.safe_dump(self.settings))
        done = subprocess.run(
            [LAE, "image", words[0], "--config", config, *words[1:]],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "LANG": "C.UTF-8",
                "AWS_ACCESS_KEY_ID": self.facts["access_key"],
                "AWS_SECRET_ACCESS_KEY": self.facts["secret_key"],
            },
            timeout=120,
        )
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        assert self.facts["secret_key"] not in said
        assert done.returncode == code, said
        return done.stdout, done.stderr


@pytest.fixture
def machine(
    registry_facts: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> Machine:
    number = abs(hash(request.node.name)) % 10**8
    made = Machine(registry_facts, tmp_path, settings_in(registry_facts, f"d{number}"))
    made.settings["state"] = str(tmp_path)
    made.program(command=["/bin/true"])
    return made


def test_an_image_on_its_way_to_hosts(machine: Machine) -> None:
    """A key is made, an image pushed, signed, configured, verified and listed; each
    command may be repeated.
    """
    key, said = machine.image("key", KEY, "--make")
    assert key.startswith("-----BEGIN PUBLIC KEY-----\n")
    again, _ = machine.image("key", KEY, "--make")
    assert again == key
    (machine.folder / "key.pem").write_text(key)

    made = small_image(machine.folder, version="0.1.0+gabc")
    pushed, said = machine.image("push", str(made.folder))
    deployment = machine.settings["deployment"]
    reference = f"{machine.registry}/{deployment}/node@{made.digest}"
    assert pushed == reference + "\n"
    assert "the tag is 0.1.0-gabc" in said
    _, said = machine.image("push", str(made.folder))
    assert "0 bytes sent" in said

    keys = ("--key-file", str(machine.folder / "key.pem"))
    _, said = machine.image("verify", reference, *keys, code=1)
    assert "no host would run it: it is not signed" in said
    _, said = machine.image("sign", reference, "--key", KEY)
    assert f": signed by {KEY}" in said
    _, said = machine.image("sign", reference, "--key", KEY)
    assert "was signed already" in said

    machine.program(image=reference, signing_keys=[str(machine.folder / "key.pem")])
    told, _ = machine.image("verify")
    assert told.startswith(f"{reference}: right; 1 signature,")
    told, _ = machine.image("list", "node")
    assert "0.1.0-gabc" in told
    assert "yes" in told
    assert f"{made.digest} (configured)" in told
    (listed,) = machine.listed()
    assert (listed["digest"], listed["signed"]) == (made.digest, True)
    assert listed["configured"]


def test_what_hosts_run_is_never_pruned(machine: Machine) -> None:
    """Without a journal nothing is pruned; with one, what it or the settings name, the
    newest, and what is young stays.
    """
    pushed = []
    for version in ("1", "2", "3", "4"):
        made = small_image(machine.folder, version, version)
        pushed.append(machine.image("push", str(made.folder))[0].strip())
    _, said = machine.image("prune", "node", "--yes", code=1)
    assert "prune on the daemon's machine" in said
    desk = Desk(machine.folder / "journal")
    signup = desk.register("a").signup_id
    desk.write(hosts.begin, signup)
    desk.write(images.note, signup, Generation(1), pushed[0])
    answer(desk.journal.close())
    used = {one.partition("@")[2] for one in pushed[:2]}
    (machine.folder / "key.pem").write_text(machine.image("key", KEY, "--make")[0])
    machine.program(image=pushed[1], signing_keys=[str(machine.folder / "key.pem")])

    _, said = machine.image("prune", "node", "--newest", "1", "--yes")
    assert "Nothing to prune." in said
    old = ("--newest", "1", "--days", "0")
    told, _ = machine.image("prune", "node", *old, "--dry-run")
    assert told.splitlines()
    assert not [digest for digest in used if digest in told]
    _, said = machine.image("prune", "node", *old, code=1)
    assert "--yes does it without asking" in said
    assert len(machine.listed()) == 4
    machine.image("prune", "node", *old, "--yes")
    left = {one["digest"] for one in machine.listed()}
    assert used <= left
    assert len(left) < 4


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("verify", "nothing"), "an image is named REGISTRY/NAME@sha256:DIGEST"),
        (
            ("sign", f"other.example/x@sha256:{'0' * 64}", "--key", KEY),
            "is not this account's registry",
        ),
        (("push", "."), "No such file"),
        (("key", "alias/nobody-made-this"), "alias/nobody-made-this"),
        (("key", "no-alias", "--make"), "a new key needs a name: alias/NAME"),
        (("list", "service"), "there is no repository"),
    ],
)
def test_a_mistake_is_told_in_a_line(
    machine: Machine, words: tuple[str, ...], says: str
) -> None:
    """Whatever is wrong, one line says what, and nothing is changed."""
    code = 2 if words[0] == "verify" else 1
    _, said = machine.image(*words, code=code)
    assert says in said


@pytest.mark.parametrize("what", ["no repository", "untested", "changed"])
def test_only_what_may_be_released_becomes_an_image(tmp_path: Path, what: str) -> None:
    """An image is made of a commit on which the tests passed, or for a reason."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "setup.py").write_text('version="0.1.0",')
    says = "a release is made of a commit"
    if what != "no repository":
        git(tree, "init", "-q")
        git(tree, "add", "-A")
        git(tree, "commit", "-q", "-m", "one")
        says = "the tests have not passed"
    if what == "changed":
        (tree / "setup.py").write_text("other")
        says = "not as committed"
    done = subprocess.run(
        [LAE, "image", "build", "node", "--source", tree],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tree / "build").exists()
