"""The page of the first deployment, as somebody with an empty account types it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from docutils import nodes

from tests.docs.reading import ROOT, Block, blocks, parse

PAGE = ROOT / "docs" / "first-deployment.rst"
MOST = 10
LAE = Path(sys.executable).with_name("lae")
VERBS = {"apply", "build", "check", "first", "key", "mount", "push", "sign"}


def all_blocks() -> list[Block]:
    return [*blocks(PAGE), *blocks(PAGE, "console")]


def typed() -> list[str]:
    """All commands of the page."""
    found = [c.removeprefix("$ ") for block in all_blocks() for c in block.commands]
    return [c for c in found if c.strip()]


def test_at_most_ten_commands_each_with_its_proof() -> None:
    """The page has at most ten commands, and each step says how one knows that it
    worked.
    """
    assert len(typed()) <= MOST
    tree, _ = parse(PAGE)
    steps = [
        section
        for section in tree.findall(nodes.section)
        if re.match(r"\d+\. ", section.astext())
    ]
    assert len(steps) == len(typed())
    assert all("You know that it worked" in step.astext() for step in steps)


def test_every_command_is_one_of_laes() -> None:
    """Each command of the page exists, with the options that the page gives it."""
    for command in typed():
        line = command.partition(" > ")[0]
        if line.startswith("ssh "):
            line = re.search(r"/lae (volume mount \w+)", line)[1]
        words = shlex.split(line.removeprefix("lae "))
        place = next(n for n, w in enumerate(words) if w in VERBS)
        told = subprocess.run(
            [LAE, *words[: place + 1], "--help"],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        for option in (w for w in words if w.startswith("--")):
            assert option in told.stdout, command


def test_the_account_from_nothing(operator) -> None:
    """What the page types to `lae account`, from an account without network and zone to
    one with the daemon's machine, does what the page says, each time.
    """
    name = operator.settings["deployment"]
    domain = f"{name}.example"
    operator.settings["account"] = {"domain": domain}
    operator.change("cells", dns_zone=f"grids.{domain}")
    operator.change("cells", subnet_id="", dns_zone_id="", security_groups=[])
    first, again, check = (
        shlex.split(c)[2] for c in typed() if c.startswith("lae account")
    )
    said = operator.json(first, "--yes", code=2)
    assert said["outputs"]["NameServers"]
    for line in (d["remedy"].partition(": ")[2] for d in said["differences"]):
        key, _, value = line.partition(": ")
        ids = [value.strip("[]")] if value.startswith("[") else value
        operator.change("cells", **{key: ids})
    key = operator.folder / "operator.pub"
    key.write_text("ssh-ed25519 AAAA somebody\n")
    operator.settings["account"]["machine"] = {
        "release": "r1",
        "image_id": operator.cloud.facts["image_id"],
        "key": str(key),
        "operators_from": "192.0.2.0/24",
    }
    said = operator.json(again, "--yes")
    assert said["outputs"]["MachineAddress"]
    assert {c["becomes"] for c in said["changes"]} == {"made"}
    operator.cloud.client("iam").create_access_key(UserName=f"{name}-daemon")
    assert "Everything is as it should be." in operator.account(check)
