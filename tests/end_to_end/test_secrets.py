"""Nothing that a run wrote holds a secret, but for the few places that must."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path
from urllib.parse import quote

import requests
from attrs import Factory, define

from tests.end_to_end.checks import check_served, text_of
from tests.end_to_end.customer import Customer
from tests.end_to_end.stack import Stack

EVERYTHING = "*"
#: Where a secret may be, which kinds, and why.  Paths are those of the run's folder.
MAY_HOLD = (
    ("config/secrets/*", EVERYTHING, "what the settings name: by file, and nothing else"),
    ("recovery.key", EVERYTHING, "for the operator's safe"),
    ("daemon/*.pem", EVERYTHING, "the daemon's own certificates"),
    ("lost-machine/*.pem", EVERYTHING, "the same, of a machine that is given up"),
    ("lost-machine/*.furl", EVERYTHING, "the same, of a machine that is given up"),
    ("daemon/*.furl", EVERYTHING, "first furls: for the site, and the first operator"),
    ("backups-elsewhere/*.files/*", EVERYTHING, "what a restore needs beside the journal"),
    ("aws/aws.json", "aws key", "the local AWS tells what it issued"),
    ("smtp/smtp/*", EVERYTHING, "the local mail server's own"),
    ("stripe/*-key", "stripe key", "the local Stripe tells what it issued"),
    ("stripe/webhook-secret-0", "webhook secret", "the local Stripe's, too"),
    ("aws/instances/*/var/lib/s4/*", EVERYTHING, "the customer's host's own volume"),
    ("aws/instances/*/etc/s4/bootstrap.furl", "bootstrap furl", "came by user-data"),
    ("mail/new/*", "introducer furl", "the mail brings it"),
    ("mail/new/*", "code of a link", "the mail's link has it behind its #"),
    ("pages/owner-*", "introducer furl", "the owner's page shows it"),
    ("customers/*", "introducer furl", "the customer's own laptop"),
    ("customers/*", "storage furl", "the laptop has it from its introducer"),
    ("customers/*", "rootcap", "the customer's own laptop"),
)  # fmt: skip
#: What is shorter could be anywhere by chance.
SHORTEST = 16


@define
class Secrets:
    """What no file may hold, each with its kind."""

    kinds: dict[str, str] = Factory(dict)

    def add(self, kind: str, text: str) -> None:
        """One, as it is and as it stands in a URL."""
        text = text.strip()
        assert len(text) >= SHORTEST, f"{kind}: too short to be looked for"
        self.kinds.setdefault(text, kind)
        self.kinds.setdefault(quote(text, safe=""), kind)

    def furl(self, kind: str, text: str) -> None:
        """Its last part is the right."""
        self.add(kind, text.strip().rpartition("/")[2])

    def pem(self, kind: str, text: str) -> None:
        """Every whole line of a private key's body."""
        keys = re.findall(r"PRIVATE KEY-----(.*?)-----END", text, re.DOTALL)
        assert keys, "no private key"
        for line in keys[0].replace("\\n", "\n").split():
            if len(line) == 64:
                self.add(kind, line)


def private_files(folder: Path) -> list[Path]:
    """What the settings name: files, and folders of keys."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def of_the_run(stack: Stack) -> Secrets:
    """Every secret that was made in this run, as far as one can know."""
    found, layout = Secrets(), stack.layout
    root = layout.root
    for path in private_files(layout.config / "secrets"):
        name = path.relative_to(layout.config / "secrets").as_posix()
        if name.endswith(".furl"):
            found.furl("front-desk furl", path.read_text())
        elif name != "aws-access.key":
            found.add(name, path.read_text())
    found.furl("operator furl", layout.operator_furl.read_text())
    found.add("recovery key", (root / "recovery.key").read_text())
    found.pem("Tub key", (layout.daemon / "private.pem").read_text())
    found.pem("Tub key", (layout.daemon / "hosts.pem").read_text())
    aws = layout.aws_facts()
    found.kinds[aws["secret_key"]] = found.kinds[aws["daemon_secret_key"]] = "aws key"
    for name in ("secret-key", "restricted-key"):
        found.kinds[(layout.stripe / name).read_text().strip()] = "stripe key"
    secret = (layout.stripe / "webhook-secret-0").read_text().strip()
    found.kinds[secret] = "webhook secret"
    for value in stack.cookies:
        found.add("cookie", value)
    for path in (root / "aws" / "instances").iterdir():
        _of_a_host(found, path)
    _of_mails(found, stack)
    for aliases in root.glob("customers/*/*/private/aliases"):
        for line in aliases.read_text().splitlines():
            found.add("rootcap", line.split(": ")[1].split(":", 2)[2])
    return found


def _of_mails(found: Secrets, stack: Stack) -> None:
    for mail in stack.mailbox.every():
        for code in re.findall(r"/(?:cancel|return)#(\S+)", text_of(mail)):
            found.add("code of a link", code)


def _of_a_host(found: Secrets, folder: Path) -> None:
    bootstrap = folder / "etc" / "s4" / "bootstrap.furl"
    if bootstrap.exists():
        found.furl("bootstrap furl", bootstrap.read_text())
    own = folder / "var" / "lib" / "s4"
    if not (own / "claimed.json").exists():
        return
    found.add("agent key", (own / "agent-key").read_text())
    claimed = json.loads((own / "claimed.json").read_text())
    identity = claimed["identity"]
    for side in ("introducer", "storage"):
        found.pem("identity key", identity[side]["pem"])
        found.add(f"{side} furl", identity[side]["swissnum"])
    found.add("identity key", identity["signing_key"])
    found.add("identity key", identity["lease_secret"])
    found.furl("host furl", claimed["host_furl"])


def session_keys(stack: Stack, instance_id: str) -> list[str]:
    """The keys that an instance has from its metadata service now."""
    url = stack.cloud.booted()[instance_id]["metadata_url"]
    token = requests.put(
        f"{url}/latest/api/token",
        headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"},
        timeout=10,
    ).text
    path = f"{url}/latest/meta-data/iam/security-credentials/"
    asked = {"X-aws-ec2-metadata-token": token}
    role = requests.get(path, headers=asked, timeout=10).text
    keys = requests.get(path + role, headers=asked, timeout=10).json()
    return [keys["SecretAccessKey"], keys["Token"]]


def where(root: Path, patterns: Path) -> list[tuple[str, str]]:
    """Every file below *root* with every pattern that is in it."""
    done = subprocess.run(
        ["grep", "-rFoa", "--null", "-f", patterns, "."],
        cwd=root, capture_output=True, check=False, env={"LC_ALL": "C"},
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    lines = {line for line in done.stdout.split(b"\n") if line}
    pairs = [line.decode("ascii").split("\0") for line in lines]
    return [(name.removeprefix("./"), text) for name, text in pairs]


def allowed(name: str, kind: str) -> bool:
    return any(
        fnmatch.fnmatchcase(name, place) and kinds in (EVERYTHING, kind)
        for place, kinds, _ in MAY_HOLD
    )


def test_no_secret_is_where_it_must_not_be(stack, tmp_path) -> None:
    """Logs, journal, consoles, pages, mails, S3's store and settings hold no secret,
    but for the places that the list above names.
    """
    customer = Customer(stack, "secrets@example.org")
    customer.sign_up()
    check_served(stack, customer)
    stranger = Customer(stack, "stranger@example.org", kind="stranger")
    stranger.visit.open(f"/signup/{customer.signup_id}")
    found = of_the_run(stack)
    (instance,) = stack.cloud.instances(customer.signup_id)
    for key in session_keys(stack, instance["InstanceId"]):
        found.add("session key", key)
    known = {"introducer furl", "bootstrap furl", "host furl", "cookie"}
    assert known | {"code of a link"} <= set(found.kinds.values())
    patterns = tmp_path / "patterns"
    patterns.write_text("".join(f"{text}\n" for text in found.kinds))
    hits = where(stack.layout.root, patterns)
    expected = {"config/secrets/stripe-keys/0001.key", "daemon/private.pem"}
    assert expected <= {name for name, _ in hits}
    leaks = defaultdict(set)
    for name, text in hits:
        if not allowed(name, found.kinds[text]):
            leaks[name].add(found.kinds[text])
    assert not leaks

    for line in stack.arguments.seen:
        # On a laptop of their own customers run the command that the mail says.
        if "/.client-venv/" in line:
            continue
        assert not [kind for text, kind in found.kinds.items() if text in line], line
    assert any("lae-node" in line for line in stack.arguments.seen)
    data = stack.cloud.user_data(instance["InstanceId"])
    in_data = {k for text, k in found.kinds.items() if text.encode() in data}
    assert in_data <= {"bootstrap furl"}
    assert len(data) < 16_384


def test_files_with_secrets_are_private(stack) -> None:
    """What holds a secret of a service can be read by its owner alone."""
    root = stack.layout.root
    for path in private_files(root / "config" / "secrets"):
        assert path.stat().st_mode & 0o077 == 0, path
    places = (
        "daemon/*.furl",
        "daemon/*.pem",
        "recovery.key",
        "backups-elsewhere/*.files/*",
    )
    for place in places:
        for path in root.glob(place):
            assert path.stat().st_mode & 0o077 == 0, path
    for path in root.glob("daemon/journal/*"):
        assert path.stat().st_mode & 0o077 == 0, path
